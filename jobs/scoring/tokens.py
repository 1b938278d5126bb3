"""What scoring asks of ragged token ids, beyond what training does; nothing here loops over users.

In   app_ids      list<string>, one list per user     [["maps", "chat"], ["never_seen"]]
     event_times  list<timestamp> beside it           [[10:00, 10:04], [08:00]]
     tokenizer    the one that training encoded with  chat = 3, maps = 4
Out  token ids, ragged                                [-4, 3 | -1], unknown apps [0, 1]
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.training.token_sequences import TokenSequences
from jobs.training.tokenizer import Tokenizer


class EmptySequenceError(ValueError):
    """A user has no installs, so a score would be a guess at best and NaN at worst."""


def encode_app_ids(
    app_ids: pa.ListArray, event_times: pa.ListArray | None, tokenizer: Tokenizer
) -> TokenSequences:
    """Map the installs of each user to token ids, as `Tokenizer.encode` does.

    Raises:
        EmptySequenceError: a list is empty or null.
    """
    lengths = pc.fill_null(pc.list_value_length(app_ids), 0).to_numpy()
    empty = int(np.count_nonzero(lengths == 0))
    if empty:
        raise EmptySequenceError(
            f"expected at least one install for every user, got {empty} of {len(lengths)} users without any, "
            f"the first in row {int(np.argmin(lengths))} of the batch; build_sequences must leave them out"
        )
    return tokenizer.encode(app_ids, event_times)


def count_token(sequences: TokenSequences, token: int) -> NDArray[np.int32]:
    """Count one token in each sequence, whether it begins a session or not: `(users,)`."""
    found = [np.empty(0, np.int32)]
    for part in sequences.chunks():
        seen = np.concatenate([[0], np.cumsum(np.abs(part.values) == token)])
        found.append((seen[part.starts + part.lengths] - seen[part.starts]).astype(np.int32))
    return np.concatenate(found)


def concatenate(parts: Sequence[TokenSequences]) -> TokenSequences:
    """Join the users of several parts, in order."""
    lengths = np.concatenate([part.lengths for part in parts])
    return TokenSequences.join(np.concatenate([part.flatten() for part in parts]), lengths)
