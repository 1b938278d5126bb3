"""The vocabulary: which app is which token.

In   app ids of training users, list<string>      [["maps", "chat"], ["chat"]]
Out  token ids                                    [[4, 3], [3]]

    token 0   padding
    token 1   an app that the vocabulary does not hold
    token 2   mask, used by pretraining only
    token 3…  apps, most frequent first
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.encoder.tokens import FIRST_APP_TOKEN_ID, UNKNOWN_TOKEN_ID
from jobs.training.token_sequences import TokenSequences


@dataclass(frozen=True)
class Vocabulary:
    """Apps in token order: `apps[0]` is token 3."""

    apps: tuple[str, ...]

    @property
    def size(self) -> int:
        """Number of token ids, the three special ones included."""
        return FIRST_APP_TOKEN_ID + len(self.apps)

    def encode(self, sequences: pa.ListArray, max_history: int) -> TokenSequences:
        """Token ids of each sequence's last `max_history` apps."""
        ranks = pc.index_in(sequences.flatten(), value_set=pa.array(self.apps, pa.string()))
        token_ids = pc.fill_null(pc.add(ranks, FIRST_APP_TOKEN_ID), UNKNOWN_TOKEN_ID).to_numpy()
        lengths = pc.list_value_length(sequences).to_numpy()
        # Counted from its sequence's end, an app is kept when it is among the last ones.
        apps_to_end = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(token_ids))
        kept_lengths = np.minimum(lengths, max_history)
        return TokenSequences(
            values=token_ids[apps_to_end <= max_history].astype(np.int32),
            offsets=np.concatenate([[0], np.cumsum(kept_lengths, dtype=np.int64)]),
        )


def build_vocabulary(sequences: pa.ListArray, min_count: int, max_size: int) -> Vocabulary:
    """Keep the apps seen at least `min_count` times, most frequent first, ties by app id.

    Args:
        max_size: most token ids, the three special ones included.
    """
    counted = pc.value_counts(sequences.flatten())
    counts = zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
    frequent = sorted((-count, app) for app, count in counts if count >= min_count)
    return Vocabulary(apps=tuple(app for _, app in frequent[: max(max_size - FIRST_APP_TOKEN_ID, 0)]))
