"""Vocabulary: the token of each app.

In   app ids                 ["maps", "chat", "never seen"]
Out  token ids               [4, 3, 1]

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
from jobs.sequences.app_sequences import AppSequences


@dataclass(frozen=True)
class Vocabulary:
    """Apps in token order: `apps[0]` is token 3."""

    apps: tuple[str, ...]

    @property
    def size(self) -> int:
        """Number of token ids, the three special ones included."""
        return FIRST_APP_TOKEN_ID + len(self.apps)

    def look_up(self, app_ids: pa.StringArray) -> NDArray[np.int32]:
        """Look up the token of each app id: `(len(app_ids),)`."""
        ranks = pc.index_in(app_ids, value_set=pa.array(self.apps, pa.string()))
        token_ids = pc.fill_null(pc.add(ranks, FIRST_APP_TOKEN_ID), UNKNOWN_TOKEN_ID)
        table: NDArray[np.int32] = token_ids.to_numpy().astype(np.int32)
        return table


def build_vocabulary(sequences: AppSequences, min_count: int, max_size: int) -> Vocabulary:
    """Keep the apps seen at least `min_count` times, most frequent first, ties by app id.

    Args:
        max_size: largest number of token ids, the three special ones included.
    """
    counts = zip(sequences.apps.to_pylist(), sequences.count_apps().tolist(), strict=True)
    frequent = sorted((-count, app) for app, count in counts if count >= min_count)
    return Vocabulary(apps=tuple(app for _, app in frequent[: max(max_size - FIRST_APP_TOKEN_ID, 0)]))
