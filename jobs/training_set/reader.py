"""Read and check the files of a training set.

In   folder of Parquet files       user_id string, label int, as_of timestamp (UTC), app_ids array<string>,
                                   and event_times array<timestamp> if times are known; texts, lists and times
                                   in any of Arrow's types, since every writer has its own
     _training_set.json beside     {"table": "risk.install_sessions", "snapshot_id": "812…", …}
Out  examples, ordered by user and as_of, and the facts

Files are streamed: installs are written to a file of integers, and memory holds only ids, labels and times of
the users.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.errors import DataError
from jobs.sequences.app_sequences import code_apps
from jobs.sequences.sessions import begins_session
from jobs.training_set.examples import Examples, TrainingSet

FACTS_FILE = "_training_set.json"
TIME = pa.timestamp("us", "UTC")
KEYS = pa.schema([("user_id", pa.string()), ("label", pa.int8()), ("as_of", TIME)])
COLUMNS = (*KEYS.names, "app_ids")
LISTS = ("app_ids", "event_times")
# What columns are turned into. A label is a float first: 0.73 must be refused and not become 0.
READ_AS = {
    "user_id": pa.string(),
    "label": pa.float64(),
    "as_of": TIME,
    "app_ids": pa.list_(pa.string()),
    "event_times": pa.list_(TIME),
}
ROWS_AT_ONCE = 10_000  # rows of a file in memory


class TrainingSetError(DataError):
    """The training set's files are missing or malformed."""


def read_training_set(folder: Path) -> TrainingSet:
    """Read the folder's Parquet files and facts; users without installs are left out.

    Raises:
        TrainingSetError: files or columns are missing, a column has a type that it cannot have, or it holds
            nulls or labels other than 0 and 1.
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
                yield batch["app_ids"], starts

    app_ids = code_apps(read_installs())
    check_apps(app_ids.apps, folder)
    users = pa.Table.from_batches(keys, KEYS)
    # Spark's files have no fixed order; a fixed one makes runs repeatable.
    order = pc.sort_indices(users, sort_keys=[("user_id", "ascending"), ("as_of", "ascending")])
    users = users.take(order)
    examples = Examples(
        user_ids=users["user_id"].to_numpy(),
        labels=users["label"].to_numpy(),
        as_of=users["as_of"].to_numpy().astype("datetime64[us]"),
        installs=app_ids.take(order.to_numpy()),
    )
    return TrainingSet(examples, json.loads(facts_path.read_text()))


def choose_columns(files: Sequence[Path]) -> list[str]:
    """Columns to read; event_times is one of them if every file has it."""
    names_in = {path: pq.read_schema(path).names for path in files}
    columns = (
        [*COLUMNS, "event_times"] if any("event_times" in names for names in names_in.values()) else COLUMNS
    )
    for path, names in names_in.items():
        missing = [name for name in columns if name not in names]
        if missing:
            raise TrainingSetError(f"{path} lacks the columns {missing}; it has {names}")
    return list(columns)


def read_rows(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of one file that have installs, checked, in batches."""
    with pq.ParquetFile(path) as file:
        for read in file.iter_batches(ROWS_AT_ONCE, columns=columns):
            casted = [cast_column(read[name], name, path) for name in columns]
            batch = pa.RecordBatch.from_arrays(casted, columns)
            check_rows(batch, path)
            yield batch.filter(pc.greater(pc.list_value_length(batch["app_ids"]), 0))


def cast_column(column: pa.Array, name: str, path: Path) -> pa.Array:
    """Turn a column into the type of `READ_AS`; a time without zone counts as UTC.

    Raises:
        TrainingSetError: the column's type, or one of its values, cannot be read as that.
    """
    wanted = READ_AS[name]
    refusal = f"column {name} in {path} has the type {column.type}, expected {wanted}"
    values = column.type
    if name in LISTS:
        if not hasattr(values, "value_type") or pa.types.is_dictionary(values):
            raise TrainingSetError(refusal)
        values = values.value_type
    # Arrow would read integers as microseconds, whatever they are.
    is_time = name in ("as_of", "event_times")
    if is_time and (pa.types.is_integer(values) or pa.types.is_floating(values)):
        raise TrainingSetError(refusal)
    try:
        # Arrow 25 loses values when it casts views of lists.
        if pa.types.is_list_view(column.type) or pa.types.is_large_list_view(column.type):
            return pa.array(column.to_pylist(), wanted)
        try:
            # Finer digits of times than microseconds are cut off.
            return column.cast(wanted, safe=not is_time)
        except pa.ArrowNotImplementedError:  # such as a list of dictionary-encoded texts
            return pa.array(column.to_pylist(), wanted)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise TrainingSetError(f"{refusal}: {error}") from error


def check_rows(batch: pa.RecordBatch, path: Path) -> None:
    """Refuse nulls, labels other than 0 and 1, and rows with fewer or more times than apps."""
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
        found = ", ".join(f"{label:g}" for label in sorted(labels - {0, 1})[:5])
        raise TrainingSetError(f"labels in {path} must be 0 or 1, found {found}")


def check_apps(apps: pa.StringArray, folder: Path) -> None:
    """Refuse app ids that the landing zone refuses too: a model's vocabulary file has one app id a line."""
    bad = apps.filter(pc.match_substring_regex(apps, r"^$|[\x00-\x1f\x7f]"))
    if len(bad):
        raise TrainingSetError(
            f"app_ids in {folder} hold {len(bad)} ids that are empty or have control characters, such as "
            f"{bad[0].as_py()!r}; expected ids as docs/data_contract.md has them: name or drop these installs"
        )
