"""The vocabulary: which app is which token.

In   app ids of training users, or of users to score      [["maps", "chat"], ["chat"]]
Out  token ids                                            [[4, 3], [3]]

    token 0   padding
    token 1   an app that the vocabulary does not hold
    token 2   mask, used by pretraining only
    token 3…  apps, most frequent first
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.encoder.tokens import FIRST_APP_TOKEN_ID, UNKNOWN_TOKEN_ID
from jobs.training.app_sequences import AppSequences
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
        lengths = pc.list_value_length(sequences).to_numpy().astype(np.int64)
        tokens = TokenSequences.join(self._look_up(sequences.flatten()), lengths)
        # Scoring buffers many of these: what is cut off must not stay in memory.
        return tokens.last(max_history).compact()

    def translate(self, sequences: AppSequences, max_history: int) -> TokenSequences:
        """The same for sequences in a file, to another file."""
        return sequences.codes.last(max_history).translate(self._look_up(sequences.apps))

    def _look_up(self, app_ids: pa.StringArray) -> NDArray[np.int32]:
        ranks = pc.index_in(app_ids, value_set=pa.array(self.apps, pa.string()))
        token_ids = pc.fill_null(pc.add(ranks, FIRST_APP_TOKEN_ID), UNKNOWN_TOKEN_ID)
        table: NDArray[np.int32] = token_ids.to_numpy().astype(np.int32)
        return table


def build_vocabulary(sequences: AppSequences, min_count: int, max_size: int) -> Vocabulary:
    """Keep the apps seen at least `min_count` times, most frequent first, ties by app id.

    Args:
        max_size: most token ids, the three special ones included.
    """
    counts = zip(sequences.apps.to_pylist(), sequences.count_apps().tolist(), strict=True)
    frequent = sorted((-count, app) for app, count in counts if count >= min_count)
    return Vocabulary(apps=tuple(app for _, app in frequent[: max(max_size - FIRST_APP_TOKEN_ID, 0)]))
