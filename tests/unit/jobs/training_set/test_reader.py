"""Reading a training set."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.sequences.app_sequences import AppSequences
from jobs.training_set.reader import FACTS_FILE, TrainingSetError, read_training_set
from tests.made_up.examples import FACTS, labelled_users, made_up_examples, write_training_set

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
TIMES = pa.list_(pa.timestamp("us", "UTC"))


def test_a_written_training_set_is_read_back_in_order_of_user(tmp_path):
    examples = labelled_users(("u2", 1), ("u1", 0))
    write_training_set(examples, tmp_path)
    read = read_training_set(tmp_path)
    assert list(read.examples.user_ids) == ["u1", "u2"]
    assert list(read.examples.labels) == [0, 1]
    assert read.examples.installs.to_lists().to_pylist() == [["maps"], ["maps"]]
    assert read.facts == FACTS


def test_times_tell_where_sessions_begin(tmp_path):
    examples = made_up_examples(30)
    write_training_set(examples, tmp_path)
    read = read_training_set(tmp_path).examples
    order = np.argsort(examples.user_ids.astype(str))
    assert not np.isnan(read.installs.installs_per_session())
    np.testing.assert_array_equal(
        read.installs.codes.begins_session, examples.installs.codes.take(order).begins_session
    )


def test_a_set_without_times_knows_no_sessions(tmp_path):
    write_training_set(labelled_users(("u1", 0)), tmp_path)
    assert np.isnan(read_training_set(tmp_path).examples.installs.installs_per_session())


def test_times_in_one_file_only_are_refused(tmp_path):
    write_training_set(made_up_examples(3), tmp_path)
    (path,) = tmp_path.glob("*.parquet")
    pq.write_table(pq.read_table(path).drop_columns("event_times"), tmp_path / "other.parquet")
    with pytest.raises(TrainingSetError, match=r"other\.parquet lacks the columns \['event_times'\]"):
        read_training_set(tmp_path)


def test_a_user_without_installs_is_left_out(tmp_path):
    examples = labelled_users(("u1", 0), ("u2", 1))
    write_training_set(
        replace(examples, installs=AppSequences.of_lists(pa.array([[], ["maps"]], pa.list_(pa.string())))),
        tmp_path,
    )
    assert list(read_training_set(tmp_path).examples.user_ids) == ["u2"]


def test_a_folder_without_facts_is_refused(tmp_path):
    write_training_set(labelled_users(("u1", 0)), tmp_path)
    (tmp_path / FACTS_FILE).unlink()
    with pytest.raises(TrainingSetError, match=r"_training_set\.json is missing"):
        read_training_set(tmp_path)


def test_a_folder_without_parquet_is_refused(tmp_path):
    (tmp_path / FACTS_FILE).write_text(json.dumps(FACTS))
    with pytest.raises(TrainingSetError, match=r"no \*\.parquet file"):
        read_training_set(tmp_path)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("label", pa.array([0, 2]), r"labels .* must be 0 or 1, found \[0, 2\]"),
        ("label", pa.array([0, None]), "column label .* holds 1 nulls"),
        ("app_ids", pa.array([["maps"], [None]]), "column app_ids .* holds 1 nulls"),
        ("app_ids", pa.array([["maps", ""], [""]]), r"app_ids .* hold 1 ids that are empty or .* such as ''"),
        ("app_ids", pa.array([["maps"], ["a\nb"]]), r"app_ids .* hold 1 ids .* such as 'a\\nb'"),
        ("as_of", None, r"lacks the columns \['as_of'\]"),
        ("event_times", pa.array([[NOON], [None]], TIMES), "column event_times .* holds 1 nulls"),
        (
            "event_times",
            pa.array([[NOON], [NOON] * 2], TIMES),
            "app_ids and event_times .* differ in length",
        ),
    ],
)
def test_a_malformed_column_is_named(tmp_path, column, values, message):
    write_training_set(labelled_users(("u1", 0), ("u2", 1)), tmp_path)
    (path,) = tmp_path.glob("*.parquet")
    table = pq.read_table(path)
    table = table.drop_columns([column] if column in table.column_names else [])
    pq.write_table(table if values is None else table.append_column(column, values), path)
    with pytest.raises(TrainingSetError, match=message):
        read_training_set(tmp_path)
