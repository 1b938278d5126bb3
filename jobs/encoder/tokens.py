"""Tokens with a meaning of their own; every other token is an app."""

PAD_TOKEN_ID = 0  # always at the end of a row
UNKNOWN_TOKEN_ID = 1  # an app that the vocabulary does not hold
MASK_TOKEN_ID = 2  # pretraining only, never in data
FIRST_APP_TOKEN_ID = 3
