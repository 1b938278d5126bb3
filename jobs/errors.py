"""Errors that a retry cannot help.

    DataError                the input or the request is refused; `jobs/command.py` exits with 65
    └── WrongArgumentsError  values on the command line that cannot work

The rooms' own errors derive from DataError. Only the standard library is imported here, since every worker
loads this file.
"""


class DataError(Exception):
    """The input or the request is refused: a retry with the same input cannot help."""

    retryable = False


class WrongArgumentsError(DataError):
    """Values on the command line cannot work."""
