"""Labels are read strictly: one malformed label refuses them all."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from jobs.landing.files import UnreadableFileError
from jobs.landing.labels import (
    ConflictingLabelsError,
    MalformedLabelsError,
    check_labels,
    keep_last_observed,
    keep_observed,
    parse_labels,
    read_labels,
)
from tests.made_up.landing_day import jsonl, land, uri
from tests.made_up.sessions import at

ROWS = "file STRING, raw STRING, readable BOOLEAN, user_id STRING, label STRING, as_of STRING, observed_at STRING"
PARSED = "user_id STRING, label INT, as_of TIMESTAMP, observed_at TIMESTAMP"
JANUARY = datetime(2026, 1, 31, tzinfo=UTC)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)


def parse(spark, *labels):
    """Labels as (user_id, label, as_of, observed_at), all text."""
    rows = [("labels.csv", ",".join(map(str, label)), True, *label) for label in labels]
    return parse_labels(spark.createDataFrame(rows, ROWS))


def test_a_date_means_its_first_moment_in_utc(spark):
    labels = parse(
        spark,
        ("u1", "1", "2026-01-31", "2026-03-01"),
        ("u2", "0", "2026-01-31T00:00:00Z", "1772323200000"),
        ("u3", "0.0", "2026-01-31T02:00:00+02:00", "2026-03-01"),
    )
    check_labels(labels)
    rows = labels.select("label", "as_of", "observed_at", "flaw").collect()
    assert [row.label for row in rows] == [1, 0, 0]
    assert {row.as_of.astimezone(UTC) for row in rows} == {JANUARY}
    assert {row.observed_at.astimezone(UTC) for row in rows} == {MARCH}


def test_every_flaw_is_found(spark):
    good = ("u1", "1", "2026-01-31", "2026-03-01")
    cases = [
        (good, None),
        (("", *good[1:]), "user_id is missing"),
        (("u1", "2", *good[2:]), "label is neither 0 nor 1"),
        (("u1", None, *good[2:]), "label is neither 0 nor 1"),
        (("u1", "0.73", *good[2:]), "label is neither 0 nor 1"),
        (("u1", "01", *good[2:]), "label is neither 0 nor 1"),
        (("u1", "true", *good[2:]), "label is neither 0 nor 1"),
        (("u1", "1.00", *good[2:]), None),  # a decimal column
        (("u" * 129, *good[1:]), "user_id is over 128 characters"),
        (("u\x01", *good[1:]), "user_id has a control character"),
        ((" ", *good[1:]), "user_id is missing"),
        (("u1 ", *good[1:]), "user_id begins or ends with white space"),
        (("\u200bu1", *good[1:]), "user_id has a control character"),
        (("\U0001f469\u200d\U0001f680", *good[1:]), None),
        (("u1", "1", "2026-01-31T10:00:00", "2026-03-01"), "as_of is neither a date nor a time with zone"),
        (("u1", "1", "2026-01-31", ""), "observed_at is neither a date nor a time with zone"),
        (
            ("u1", "1", "1769853600", "2026-03-01"),
            "as_of is before 1971; are these seconds, not milliseconds?",
        ),
        (("u1", "1", "2026-01-31", "2026-01-30"), "observed_at is before the day of as_of"),
        # Observed on as_of's own day: a date says no more than that.
        (("u1", "1", "2026-01-31T12:00:00Z", "2026-01-31"), None),
    ]
    flaws = [row.flaw for row in parse(spark, *(label for label, _ in cases)).select("flaw").collect()]
    assert flaws == [flaw for _, flaw in cases]


def test_malformed_labels_are_counted_and_one_is_shown(spark):
    labels = parse(spark, ("u1", "1", "2026-01-31", "2026-03-01"), ("u2", "yes", "2026-01-31", "2026-03-01"))
    with pytest.raises(
        MalformedLabelsError, match=r"1 malformed labels: label is neither 0 nor 1 \(1\).*labels.csv: u2,yes,"
    ):
        check_labels(labels)


def test_each_flaw_is_counted_and_the_most_frequent_is_shown(spark):
    flawed = [
        ("u1", "5", "2026-01-31", "2026-03-01"),
        *[(f"u{n}", "1", "soon", "2026-03-01") for n in (2, 3)],
    ]
    with pytest.raises(
        MalformedLabelsError,
        match=r"3 malformed labels: as_of is neither .* \(2\), label is neither 0 nor 1 \(1\); .*csv: u2,1,soon",
    ):
        check_labels(parse(spark, *flawed))


def test_an_error_shows_the_first_characters_of_a_long_label(spark):
    with pytest.raises(MalformedLabelsError) as error:
        check_labels(parse(spark, ("u1", "x" * 100_000, "2026-01-31", "2026-03-01")))
    assert len(str(error.value)) < 500


def parquet_labels(label):
    """One label of any Arrow type beside a good row."""
    times = pa.array(["2026-01-31", "2026-01-31"]), pa.array(["2026-03-01", "2026-03-01"])
    return pa.table([pa.array(["u1", "u2"]), label, *times], ["user_id", "label", "as_of", "observed_at"])


@pytest.mark.parametrize(
    "label",
    [
        pytest.param(pa.array([0, 1], pa.int8()), id="int8"),
        pytest.param(pa.array([0.0, 1.0]), id="double"),
        pytest.param(pa.array([Decimal("0.00"), Decimal("1.00")]), id="decimal"),
        pytest.param(pa.array(["0", "1"]), id="string"),
        pytest.param(pa.array(["0", "1"]).dictionary_encode(), id="dictionary"),
    ],
)
def test_whole_labels_of_any_parquet_type_are_read(spark, tmp_path, label):
    folder = land(tmp_path, labels__parquet=parquet_labels(label))
    assert [row.label for row in read_labels(spark, folder).orderBy("user_id").collect()] == [0, 1]


@pytest.mark.parametrize(
    ("label", "error"),
    [
        pytest.param(pa.array([1.0, 0.73]), MalformedLabelsError, id="double"),
        pytest.param(pa.array([1.0, 0.31], pa.float32()), MalformedLabelsError, id="float"),
        pytest.param(pa.array([Decimal("1.00"), Decimal("0.31")]), MalformedLabelsError, id="decimal"),
        pytest.param(pa.array(["1", "true"]), MalformedLabelsError, id="text"),
        pytest.param(pa.array([True, False]), UnreadableFileError, id="bool"),
    ],
)
def test_no_label_is_rounded_or_guessed(spark, tmp_path, label, error):
    folder = land(tmp_path, labels__parquet=parquet_labels(label))
    with pytest.raises(error, match="label"):
        read_labels(spark, folder)


@pytest.mark.parametrize("observed_at", ["2026-03-01", "1772323200000", "2026-03-01T02:00:00+02:00"])
def test_a_single_file_of_labels_is_read_like_a_folder(spark, tmp_path, observed_at):
    land(tmp_path, labels__csv=f"user_id,label,as_of,observed_at\nu1,1,2026-01-31,{observed_at}\n")
    (row,) = read_labels(spark, uri(tmp_path / "labels.csv")).collect()
    assert (row.as_of.astimezone(UTC), row.observed_at.astimezone(UTC)) == (JANUARY, MARCH)


def test_labels_may_be_json_lines(spark, tmp_path):
    label = {"user_id": "u1", "label": 1, "as_of": "2026-01-31", "observed_at": 1772323200000}
    (row,) = read_labels(spark, land(tmp_path, labels__jsonl=jsonl(label))).collect()
    assert (row.label, row.observed_at.astimezone(UTC)) == (1, MARCH)


def test_a_label_that_is_never_observed_is_well_formed_and_never_used(spark):
    labels = parse(spark, ("u1", "0", "2026-01-31", "9999-12-31"))
    check_labels(labels)
    assert keep_observed(labels, date(2026, 11, 26)).count() == 0


def test_labels_are_known_from_the_day_on_which_they_were_observed(spark):
    observed = [("on the day", at("20 23:59")), ("the day after", at("21 00:00"))]
    labels = spark.createDataFrame(observed, "user_id STRING, observed_at TIMESTAMP")
    assert [row.user_id for row in keep_observed(labels, date(2026, 1, 20)).collect()] == ["on the day"]


def test_the_last_observation_of_a_changed_label_is_kept(spark):
    labels = [("u1", 0, JANUARY, MARCH), ("u1", 1, JANUARY, APRIL), ("u1", 0, MARCH, APRIL)]
    kept = keep_last_observed(spark.createDataFrame(labels, PARSED)).orderBy("as_of").collect()
    assert [row.label for row in kept] == [1, 0]


def test_a_label_that_was_delivered_twice_counts_once(spark):
    labels = spark.createDataFrame([("u1", 1, JANUARY, MARCH)] * 2, PARSED)
    assert keep_last_observed(labels).count() == 1


def test_labels_that_contradict_each_other_are_refused(spark):
    labels = spark.createDataFrame([("u1", 0, JANUARY, MARCH), ("u1", 1, JANUARY, MARCH)], PARSED)
    with pytest.raises(
        ConflictingLabelsError, match="user u1 has label 0 and label 1 as of 2026-01-31 00:00:00 UTC"
    ):
        keep_last_observed(labels)
