"""The training users of a version, so that none of them tests it or a version that starts from it.

In   the training users and their folds
Out  trained_on.parquet, a row per user     user_hash uint64, held_out_in int8: the fold whose encoder has not
                                            seen the user, counted from 1; 0 if the encoder of every fold has

The training users of an earlier version also count for a version that starts from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.training_set.examples import Examples
from jobs.training_set.folds import Fold
from jobs.training_set.splits import hash_users

TRAINED_ON_FILE = "trained_on.parquet"
IN_NO_FOLD = 0
NOT_TRAINED_ON = -1


@dataclass(frozen=True)
class TrainedOn:
    """The users behind a version's weights."""

    user_hashes: NDArray[np.uint64]  # (users,), rising; hashes, so that no ids lie beside a model
    held_out_in: NDArray[np.int8]  # (users,)

    @classmethod
    def of_folds(cls, train: Examples, folds: Sequence[Fold]) -> "TrainedOn":
        """Collect the users of a training without an earlier version."""
        held_out_in = np.full(len(train), IN_NO_FOLD, np.int8)
        for number, fold in enumerate(folds, start=1):
            held_out_in[fold.held_out] = number
        hashes, first = np.unique(_hashes(train), return_index=True)
        return cls(hashes, held_out_in[first])

    def holds(self, examples: Examples) -> NDArray[np.bool_]:
        """Mark examples of users that the version was trained on, `(examples,)`."""
        known: NDArray[np.bool_] = self._find(_hashes(examples)) != NOT_TRAINED_ON
        return known

    def fold_has_seen(self, number: int, examples: Examples) -> NDArray[np.bool_]:
        """Mark examples of users that the encoder of fold `number`, from 1, was trained on, `(examples,)`."""
        held_out_in = self._find(_hashes(examples))
        seen: NDArray[np.bool_] = (held_out_in != NOT_TRAINED_ON) & (held_out_in != number)
        return seen

    def after(self, earlier: "TrainedOn") -> "TrainedOn":
        """Merge with the users of an earlier version: each fold started from its fold of the same number."""
        hashes = np.union1d(self.user_hashes, earlier.user_hashes)
        now, before = self._find(hashes), earlier._find(hashes)
        both = np.where(now == before, now, IN_NO_FOLD)
        held_out_in = np.select([now == NOT_TRAINED_ON, before == NOT_TRAINED_ON], [before, now], both)
        return TrainedOn(hashes, held_out_in.astype(np.int8))

    def write(self, folder: Path) -> None:
        table = pa.table({"user_hash": self.user_hashes, "held_out_in": self.held_out_in})
        pq.write_table(table, folder / TRAINED_ON_FILE)

    @classmethod
    def read(cls, path: Path) -> "TrainedOn":
        table = pq.read_table(path)
        return cls(table["user_hash"].to_numpy(), table["held_out_in"].to_numpy())

    def _find(self, hashes: NDArray[np.uint64]) -> NDArray[np.int8]:
        """`held_out_in` of each hash; -1 if the user is unknown."""
        if not len(self.user_hashes):
            return np.full(len(hashes), NOT_TRAINED_ON, np.int8)
        place = np.minimum(np.searchsorted(self.user_hashes, hashes), len(self.user_hashes) - 1)
        is_there = self.user_hashes[place] == hashes
        return np.where(is_there, self.held_out_in[place], NOT_TRAINED_ON).astype(np.int8)


def _hashes(examples: Examples) -> NDArray[np.uint64]:
    return hash_users(pa.array(examples.user_ids, pa.string()))
