"""Special tokens; every other token is an app.

    [4, 9, -4, 7]   apps 4, 9, 4 and 7; a new session begins with the second 4

A negative token stands for the same app, as the first install of a session. One number holds both facts, so
sessions travel wherever tokens do. Sequences without known sessions hold no negative token. Only this file
and `jobs/sequences/` know of the sign; other code asks for one of the two facts.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

PAD_TOKEN_ID = 0  # always at the end of a row
UNKNOWN_TOKEN_ID = 1  # an app that the vocabulary does not hold
MASK_TOKEN_ID = 2  # pretraining only, never in data
FIRST_APP_TOKEN_ID = 3


def apps_of(token_ids: Any) -> Any:
    """Tokens without their sessions, as a NumPy array or a tensor of any backend of Keras, as they came."""
    return abs(token_ids)


def begins_session(token_ids: Any) -> Any:
    """Which tokens begin a session, bool, as a NumPy array or a tensor."""
    return token_ids < 0


def mark_session_starts(apps: NDArray[np.int32], begins: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Tokens of these apps, of which some begin a session."""
    return np.where(begins, -apps, apps)
