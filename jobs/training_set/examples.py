"""Labelled users, each as of one moment, and the facts about their source."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.sequences.app_sequences import AppSequences


@dataclass(frozen=True)
class Examples:
    """Labelled users, each as of one moment."""

    user_ids: NDArray[np.object_]
    labels: NDArray[np.int8]
    as_of: NDArray[np.datetime64]  # UTC
    installs: AppSequences  # with sessions if times are known

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> "Examples":
        return Examples(
            self.user_ids[indices],
            self.labels[indices],
            self.as_of[indices],
            self.installs.take(indices),
        )

    @property
    def users(self) -> int:
        """Number of different users."""
        return int(pc.count_distinct(pa.array(self.user_ids, pa.string())).as_py())


@dataclass(frozen=True)
class TrainingSet:
    """All examples, and the facts about their source."""

    examples: Examples
    facts: dict[str, Any]  # table, snapshot_id, first_landing_day, last_landing_day, training_date, counts
