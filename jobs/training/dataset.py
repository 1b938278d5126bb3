"""The training set: reading it, and splitting it by user.

In   folder of Parquet files       user_id string, label int, as_of timestamp (UTC), app_ids array<string>
     _training_set.json beside     {"table": "risk.install_sessions", "snapshot_id": "812…", "training_date": "2026-01-31", …}
Out  training and test examples, no user in both
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.command import DataError

FACTS_FILE = "_training_set.json"
COLUMNS = ("user_id", "label", "as_of", "app_ids")
TEST_SHARE = 0.2


class TrainingSetError(DataError):
    """The training set's files are missing or malformed."""


class SplitError(DataError):
    """Too few users, or users of one label only, to train and to measure."""


@dataclass(frozen=True)
class Examples:
    """Labelled users as of one moment each."""

    user_ids: NDArray[np.object_]
    labels: NDArray[np.int8]
    as_of: NDArray[np.datetime64]  # UTC
    app_ids: pa.ListArray  # of strings; first install first

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> "Examples":
        """The examples at `indices`."""
        return Examples(
            self.user_ids[indices],
            self.labels[indices],
            self.as_of[indices],
            self.app_ids.take(pa.array(indices)),
        )

    @property
    def users(self) -> int:
        """Number of different users."""
        return len(np.unique(self.user_ids.astype(str)))


@dataclass(frozen=True)
class TrainingSet:
    """All examples, and where they come from."""

    examples: Examples
    facts: dict[str, Any]  # table, snapshot_id, first_landing_day, last_landing_day, training_date, counts


@dataclass(frozen=True)
class Split:
    """Examples by use; no user is in two parts."""

    train: Examples
    test: Examples
    method: str


def read_training_set(folder: Path) -> TrainingSet:
    """Read the folder's Parquet files and facts; users without installs are left out.

    Raises:
        TrainingSetError: files or columns are missing, or hold nulls or labels other than 0 and 1.
    """
    facts_path = folder / FACTS_FILE
    if not facts_path.is_file():
        raise TrainingSetError(
            f"{facts_path} is missing: it says which table and snapshot the examples are from. "
            'build_training_set writes it; for a set of your own, {"table": "where it is from"} is enough'
        )
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise TrainingSetError(
            f"no *.parquet file in {folder}: expected the output folder of build_training_set"
        )
    table = pq.read_table(files, partitioning=None)
    _check_columns(table, folder)
    # Spark's files come in any order; a fixed one makes runs repeatable.
    table = table.select(COLUMNS).sort_by([("user_id", "ascending"), ("as_of", "ascending")])
    table = table.filter(pc.greater(pc.list_value_length(table["app_ids"]), 0))
    examples = Examples(
        user_ids=table["user_id"].to_numpy(),
        labels=table["label"].to_numpy().astype(np.int8),
        as_of=table["as_of"].to_numpy().astype("datetime64[us]"),
        app_ids=table["app_ids"].combine_chunks().cast(pa.list_(pa.string())),
    )
    return TrainingSet(examples, json.loads(facts_path.read_text()))


def _check_columns(table: pa.Table, folder: Path) -> None:
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise TrainingSetError(f"{folder} lacks the columns {missing}; it has {table.column_names}")
    for name in COLUMNS:
        column = table[name]
        nulls = column.null_count + (pc.list_flatten(column).null_count if name == "app_ids" else 0)
        if nulls:
            raise TrainingSetError(f"column {name} in {folder} holds {nulls} nulls, expected none")
    labels = set(pc.unique(table["label"]).to_pylist())
    if not labels <= {0, 1}:
        raise TrainingSetError(f"labels in {folder} must be 0 or 1, found {sorted(labels)}")


def split_by_user(examples: Examples) -> Split:
    """Give 80% of the users to training and 20% to the test.

    Raises:
        SplitError: a part would lack one of the labels.
    """
    part = assign_users(examples, (1.0 - TEST_SHARE, TEST_SHARE))
    return _checked(
        examples,
        Split(
            examples.take(np.flatnonzero(part == 0)),
            examples.take(np.flatnonzero(part == 1)),
            "by a hash of the user id",
        ),
    )


def split_by_time(examples: Examples, test_from: date) -> Split:
    """Train on labels with `as_of` before `test_from` (UTC), test on the later ones.

    A user with labels on both sides belongs to the test alone: no user is in both parts.

    Raises:
        SplitError: a part would lack one of the labels.
    """
    is_test = examples.as_of >= np.datetime64(test_from)
    is_tested_user = np.isin(examples.user_ids.astype(str), examples.user_ids[is_test].astype(str))
    return _checked(
        examples,
        Split(
            examples.take(np.flatnonzero(~is_tested_user)),
            examples.take(np.flatnonzero(is_test)),
            f"by time: tested on labels as of {test_from} or later, and not trained on their users",
        ),
    )


def assign_users(examples: Examples, shares: Sequence[float]) -> NDArray[np.int64]:
    """Assign each example to a part, `(examples,)`, so that all examples of a user are in one.

    Users who ever had label 1 and the others are each ordered by a hash of the user id and cut, so an
    assignment depends on nothing but the users themselves: runs with other seeds or sizes are measured on
    the same users, and a small set still has both labels in each part.

    Args:
        shares: of the users that each part gets, adding up to 1.

    Raises:
        SplitError: there is no example.
    """
    if len(examples) == 0:
        raise SplitError("the training set has no example with an install: nothing to train on")
    users = pd.Series(examples.labels).groupby(examples.user_ids).max()  # user_id -> ever positive
    parts = pd.concat([_cut(group.index, shares) for _, group in users.groupby(users)])
    assigned: NDArray[np.int64] = parts.loc[examples.user_ids].to_numpy()
    return assigned


def _cut(user_ids: pd.Index, shares: Sequence[float]) -> pd.Series:
    """Part of each user; every part but the first gets at least one user while there are any."""
    hashes = [hashlib.sha256(user_id.encode()).digest() for user_id in user_ids]
    ordered = [user_id for _, user_id in sorted(zip(hashes, user_ids, strict=True))]
    sizes = [max(1, round(len(ordered) * share)) for share in shares[1:]]
    later = np.repeat(np.arange(1, len(shares)), sizes)[: len(ordered)]
    first = np.zeros(len(ordered) - len(later), dtype=np.int64)
    return pd.Series(np.concatenate([later, first]), index=ordered)


def _checked(examples: Examples, split: Split) -> Split:
    for name, part in (("training", split.train), ("test", split.test)):
        if set(part.labels) != {0, 1}:
            raise SplitError(
                f"the {name} part of the split needs users of both labels, but {_describe(part)}; the whole "
                f"training set {_describe(examples)}: more users of both labels are needed"
            )
    return split


def _describe(examples: Examples) -> str:
    positives = int(examples.labels.sum())
    return (
        f"has {examples.users} users with {positives} examples of label 1 "
        f"and {len(examples) - positives} of label 0"
    )
