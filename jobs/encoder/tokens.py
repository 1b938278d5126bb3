"""Special tokens; every other token is an app.

    [4, 9, -4, 7]   apps 4, 9, 4 and 7; a new session begins with the second 4

A negative token stands for the same app, as the first install of a session. One number holds both facts, so
sessions travel wherever tokens do, and code that counts apps takes the absolute value. Sequences without
known sessions hold no negative token.
"""

PAD_TOKEN_ID = 0  # always at the end of a row
UNKNOWN_TOKEN_ID = 1  # an app that the vocabulary does not hold
MASK_TOKEN_ID = 2  # pretraining only, never in data
FIRST_APP_TOKEN_ID = 3
