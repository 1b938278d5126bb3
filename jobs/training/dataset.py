"""The training set: reading it, and splitting it by user.

In   folder of Parquet files       user_id string, label int, as_of timestamp (UTC), app_ids array<string>, and, where times
                                   are known, event_times array<timestamp>
     _training_set.json beside     {"table": "risk.install_sessions", "snapshot_id": "812…", "training_date": "2026-01-31", …}
Out  training and test examples, no user in both

Files are streamed: installs end in a file of integers, and memory holds ids, labels and times of the users only.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.errors import DataError
from jobs.sequences.app_sequences import AppSequences, code_apps
from jobs.sequences.sessions import begins_session

FACTS_FILE = "_training_set.json"
KEYS = pa.schema([("user_id", pa.string()), ("label", pa.int8()), ("as_of", pa.timestamp("us", "UTC"))])
COLUMNS = (*KEYS.names, "app_ids")
LISTS = ("app_ids", "event_times")
TEST_SHARE = 0.2
ROWS_AT_ONCE = 10_000  # of the files, in memory


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
    app_ids: AppSequences  # with sessions, where times are known

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> "Examples":
        """The examples at `indices`."""
        return Examples(
            self.user_ids[indices],
            self.labels[indices],
            self.as_of[indices],
            self.app_ids.take(indices),
        )

    @property
    def users(self) -> int:
        """Number of different users."""
        return int(pc.count_distinct(pa.array(self.user_ids, pa.string())).as_py())


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
    keys: list[pa.RecordBatch] = []

    columns = choose_columns(files)

    def read_installs() -> Iterator[tuple[pa.ListArray, NDArray[np.bool_] | None]]:
        for path in files:
            for batch in read_rows(path, columns):
                keys.append(
                    pa.RecordBatch.from_arrays([batch[key.name].cast(key.type) for key in KEYS], schema=KEYS)
                )
                starts = begins_session(batch["event_times"]) if "event_times" in columns else None
                yield batch["app_ids"].cast(pa.list_(pa.string())), starts

    app_ids = code_apps(read_installs())
    check_apps(app_ids.apps, folder)
    users = pa.Table.from_batches(keys, KEYS)
    # Spark's files come in any order; a fixed one makes runs repeatable.
    order = pc.sort_indices(users, sort_keys=[("user_id", "ascending"), ("as_of", "ascending")])
    users = users.take(order)
    examples = Examples(
        user_ids=users["user_id"].to_numpy(),
        labels=users["label"].to_numpy(),
        as_of=users["as_of"].to_numpy().astype("datetime64[us]"),
        app_ids=app_ids.take(order.to_numpy()),
    )
    return TrainingSet(examples, json.loads(facts_path.read_text()))


def choose_columns(files: Sequence[Path]) -> list[str]:
    """The columns to read: event_times among them, where every file has it."""
    found = {path: pq.read_schema(path).names for path in files}
    columns = (
        [*COLUMNS, "event_times"] if any("event_times" in names for names in found.values()) else COLUMNS
    )
    for path, names in found.items():
        missing = [name for name in columns if name not in names]
        if missing:
            raise TrainingSetError(f"{path} lacks the columns {missing}; it has {names}")
    return list(columns)


def read_rows(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows with installs of one file, checked, a few at a time."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=columns):
            check_rows(batch, path)
            yield batch.filter(pc.greater(pc.list_value_length(batch["app_ids"]), 0))


def check_rows(batch: pa.RecordBatch, path: Path) -> None:
    """Refuse nulls, labels other than 0 and 1, and installs without a time beside others that have one."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        nulls = column.null_count + (column.flatten().null_count if name in LISTS else 0)
        if nulls:
            raise TrainingSetError(f"column {name} in {path} holds {nulls} nulls, expected none")
    lengths = [pc.list_value_length(batch[name]) for name in LISTS if name in batch.schema.names]
    if not lengths[0].equals(lengths[-1]):
        raise TrainingSetError(
            f"app_ids and event_times in {path} differ in length, expected a time for each app"
        )
    labels = set(pc.unique(batch["label"]).to_pylist())
    if not labels <= {0, 1}:
        raise TrainingSetError(f"labels in {path} must be 0 or 1, found {sorted(labels)}")


def check_apps(apps: pa.StringArray, folder: Path) -> None:
    """Refuse app ids that the landing zone would not let in either: a model's vocabulary is a file of one a line."""
    bad = apps.filter(pc.match_substring_regex(apps, r"^$|[\x00-\x1f\x7f]"))
    if len(bad):
        raise TrainingSetError(
            f"app_ids in {folder} hold {len(bad)} ids that are empty or have control characters, such as "
            f"{bad[0].as_py()!r}; expected ids as docs/data_contract.md has them: name or drop these installs"
        )


def split_examples(examples: Examples, test_from: date | None) -> Split:
    """By user, or by time where a UTC day is given."""
    return split_by_user(examples) if test_from is None else split_by_time(examples, test_from)


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
    encoded = pa.array(examples.user_ids, pa.string()).dictionary_encode()
    user_ids, user = encoded.dictionary, encoded.indices.to_numpy()
    was_positive = np.zeros(len(user_ids), bool)
    was_positive[user[examples.labels == 1]] = True
    part = np.zeros(len(user_ids), np.int64)
    for group in (np.flatnonzero(~was_positive), np.flatnonzero(was_positive)):
        part[group] = _cut(user_ids.take(pa.array(group)), shares)
    assigned: NDArray[np.int64] = part[user]
    return assigned


def hash_users(user_ids: pa.StringArray) -> NDArray[np.uint64]:
    """First eight bytes of the SHA-256 of each user id, `(users,)`: they tell millions of users apart."""
    hashes = (hashlib.sha256(user_id.as_buffer()).digest()[:8] for user_id in user_ids)
    return np.fromiter(hashes, "S8", len(user_ids)).view(">u8").astype(np.uint64)


def leave_out_of_test(split: Split, is_left_out: NDArray[np.bool_], why: str) -> Split:
    """The split without these test examples, `(test examples,)`; `why` goes with it.

    Raises:
        SplitError: what is left of the test lacks one of the labels.
    """
    if not is_left_out.any():
        return split
    test = split.test.take(np.flatnonzero(~is_left_out))
    left_out = split.test.users - test.users
    if set(test.labels) != {0, 1}:
        raise SplitError(
            f"of {split.test.users} test users {test.users} are left without those that {why}, and a test "
            "needs users of both labels: take a training set with other users, or later labels"
        )
    return Split(split.train, test, f"{split.method}; {left_out:,} test users are left out that {why}")


def _cut(user_ids: pa.StringArray, shares: Sequence[float]) -> NDArray[np.int64]:
    """Part of each user; every part but the first gets at least one user while there are any."""
    rank = np.empty(len(user_ids), np.int64)
    rank[np.argsort(hash_users(user_ids), kind="stable")] = np.arange(len(rank))
    sizes = [max(1, round(len(user_ids) * share)) for share in shares[1:]]
    later = np.repeat(np.arange(1, len(shares)), sizes)[: len(user_ids)]
    by_rank = np.concatenate([later, np.zeros(len(user_ids) - len(later), np.int64)])
    return by_rank[rank]


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
