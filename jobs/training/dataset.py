"""The training set: reading it, and splitting it by user.

In   folder of Parquet files       user_id string, label int, as_of timestamp (UTC), app_ids array<string>
     _training_set.json beside     {"table": "risk.install_sessions", "snapshot_id": "812…", "training_date": "2026-01-31", …}
Out  train, validation and test examples, no user in two of them
"""

import hashlib
import json
from dataclasses import dataclass
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
VALIDATION_SHARE = 0.2
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
    app_ids: pa.ListArray  # of strings; first install first

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> "Examples":
        """The examples at `indices`."""
        return Examples(self.user_ids[indices], self.labels[indices], self.app_ids.take(pa.array(indices)))

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
    validation: Examples
    test: Examples


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
    if not list(folder.glob("*.parquet")):
        raise TrainingSetError(
            f"no *.parquet file in {folder}: expected the output folder of build_training_set"
        )
    table = pq.read_table(folder, partitioning=None)
    _check_columns(table, folder)
    # Spark's files come in any order; a fixed one makes runs repeatable.
    table = table.select(COLUMNS).sort_by([("user_id", "ascending"), ("as_of", "ascending")])
    table = table.filter(pc.greater(pc.list_value_length(table["app_ids"]), 0))
    examples = Examples(
        user_ids=table["user_id"].to_numpy(),
        labels=table["label"].to_numpy().astype(np.int8),
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
    """Give 60% of the users to training, 20% to validation, 20% to the test.

    Users who ever had label 1 and the others are each ordered by a hash of the user id and cut, so a
    split depends on nothing but the users themselves: runs with other seeds or sizes are measured on
    the same users, and a small set still has both labels in each part.

    Raises:
        SplitError: a part would lack one of the labels.
    """
    if len(examples) == 0:
        raise SplitError("the training set has no example with an install: nothing to train on")
    users = pd.Series(examples.labels).groupby(examples.user_ids).max()  # user_id -> ever positive
    parts = pd.concat([_assign_parts(group.index) for _, group in users.groupby(users)])
    part_of_example = parts.loc[examples.user_ids].to_numpy()
    split = Split(
        *(examples.take(np.flatnonzero(part_of_example == name)) for name in ("train", "validation", "test"))
    )
    _check_labels(examples, split)
    return split


def _assign_parts(user_ids: pd.Index) -> pd.Series:
    hashes = [hashlib.sha256(user_id.encode()).digest() for user_id in user_ids]
    ordered = [user_id for _, user_id in sorted(zip(hashes, user_ids, strict=True))]
    validation, test = (max(1, round(len(ordered) * share)) for share in (VALIDATION_SHARE, TEST_SHARE))
    parts = ["test"] * test + ["validation"] * validation
    parts = parts[: len(ordered)] + ["train"] * (len(ordered) - validation - test)
    return pd.Series(parts, index=ordered)


def _check_labels(examples: Examples, split: Split) -> None:
    for name, part in (("training", split.train), ("validation", split.validation), ("test", split.test)):
        if set(part.labels) != {0, 1}:
            raise SplitError(
                f"the {name} part of the split needs users of both labels, but {_describe(part)}; the whole "
                f"training set {_describe(examples)}: at least 3 users of each label are needed"
            )


def _describe(examples: Examples) -> str:
    positives = int(examples.labels.sum())
    return (
        f"has {examples.users} users with {positives} examples of label 1 "
        f"and {len(examples) - positives} of label 0"
    )
