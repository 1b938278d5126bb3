"""Tokens with a meaning of their own; every other token is an app.

    [4, 9, -4, 7]   apps 4, 9, 4 and 7; a new session begins with the second 4

A negative token is the same app, the first of a session. One number says both, so sessions travel wherever tokens do, and
whoever counts apps takes the absolute value. Sequences whose sessions are not known hold no negative token.
"""

PAD_TOKEN_ID = 0  # always at the end of a row
UNKNOWN_TOKEN_ID = 1  # an app that the vocabulary does not hold
MASK_TOKEN_ID = 2  # pretraining only, never in data
FIRST_APP_TOKEN_ID = 3
