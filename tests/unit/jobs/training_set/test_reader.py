"""Reading a training set."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.sequences.app_sequences import AppSequences
from jobs.training_set.reader import (
    FACTS_FILE,
    READ_AS,
    TrainingSetError,
    cast_column,
    read_training_set,
)
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
        ("label", pa.array([0, 2]), r"labels .* must be 0 or 1, found 2"),
        ("label", pa.array([1.0, 0.73]), r"labels .* must be 0 or 1, found 0\.73"),
        ("label", pa.array(["1", "yes"]), "column label .* has the type string, expected double: .*yes"),
        ("app_ids", pa.array(["maps chat", "maps"]), "column app_ids .* has the type string, expected list<"),
        ("as_of", pa.array([1769817600000] * 2), "column as_of .* has the type int64, expected timestamp"),
        ("as_of", pa.array(["soon", "later"]), "column as_of .* has the type string, expected timestamp"),
        (
            "event_times",
            pa.array([[1], [2]]),
            r"column event_times .* has the type list<.*int64>, expected list<",
        ),
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


TEXTS = pa.array(["u1", "u2"])
APPS = pa.array([["maps", "chat"], ["maps"]])


@pytest.mark.parametrize(
    ("name", "column"),
    [
        pytest.param("user_id", TEXTS.cast(pa.large_string()), id="large_string"),
        pytest.param("user_id", TEXTS.cast(pa.string_view()), id="string_view"),
        pytest.param("user_id", TEXTS.dictionary_encode(), id="dictionary"),
        pytest.param("user_id", TEXTS.cast(pa.binary()), id="binary"),
        pytest.param("app_ids", APPS.cast(pa.large_list(pa.large_string())), id="large_list of large_string"),
        pytest.param(
            "app_ids", pa.array(APPS.to_pylist(), pa.list_(pa.string_view())), id="list of string_view"
        ),
        pytest.param(
            "app_ids",
            pa.array(APPS.to_pylist(), pa.large_list(pa.string_view())),
            id="large_list of string_view",
        ),
        pytest.param("app_ids", pa.array(APPS.to_pylist(), pa.list_view(pa.string())), id="list_view"),
        pytest.param(
            "app_ids", pa.array(APPS.to_pylist(), pa.large_list_view(pa.string_view())), id="large_list_view"
        ),
        pytest.param(
            "app_ids",
            pa.ListArray.from_arrays([0, 2, 3], pa.array(["maps", "chat", "maps"]).dictionary_encode()),
            id="list of dictionary",
        ),
        pytest.param(
            "app_ids", pa.array([["a", "b"], ["c", "d"]], pa.list_(pa.string(), 2)), id="fixed size"
        ),
        pytest.param("label", pa.array([True, False]), id="bool"),
        pytest.param("label", pa.array([Decimal("1.0"), Decimal("0.0")]), id="decimal"),
        pytest.param("label", pa.array([1, 0], pa.uint64()), id="uint64"),
        pytest.param("as_of", pa.array([date(2026, 1, 31)] * 2), id="date"),
        pytest.param("as_of", pa.array([NOON] * 2, pa.timestamp("ns")), id="nanoseconds without zone"),
        pytest.param("as_of", pa.array([NOON] * 2, pa.timestamp("ms", "Europe/Berlin")), id="another zone"),
        pytest.param("as_of", pa.array(["2026-01-31T12:00:00Z"] * 2), id="text"),
        pytest.param(
            "event_times", pa.array([[NOON], [NOON]], pa.large_list(pa.timestamp("ns", "UTC"))), id="times"
        ),
    ],
)
def test_a_column_of_another_writers_type_means_the_same(tmp_path, name, column):
    wanted = READ_AS[name]
    read = cast_column(column, name, tmp_path)
    expected = [[app for app in row] for row in column.to_pylist()] if name == "app_ids" else None
    assert read.type == wanted
    assert expected is None or read.to_pylist() == expected


def test_a_set_of_another_writers_types_is_read_like_ours(tmp_path):
    write_training_set(labelled_users(("u1", 0), ("u2", 1)), tmp_path)
    expected = read_training_set(tmp_path).examples
    (path,) = tmp_path.glob("*.parquet")
    ours = pq.read_table(path)
    theirs = pa.table(
        {
            "user_id": ours["user_id"].cast(pa.string_view()),
            "label": ours["label"].cast(pa.bool_()),
            "as_of": ours["as_of"].cast(pa.timestamp("ns")),
            "app_ids": ours["app_ids"].cast(pa.large_list(pa.string_view())),
        }
    )
    pq.write_table(theirs, path)
    read = read_training_set(tmp_path).examples
    assert list(read.user_ids) == list(expected.user_ids)
    assert list(read.labels) == list(expected.labels)
    assert list(read.as_of) == list(expected.as_of)
    assert read.installs.to_lists() == expected.installs.to_lists()
