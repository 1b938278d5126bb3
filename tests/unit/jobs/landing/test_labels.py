"""Labels are read strictly: one malformed label refuses them all."""

from datetime import UTC, datetime

import pytest

from jobs.landing.labels import (
    ConflictingLabelsError,
    MalformedLabelsError,
    check_labels,
    keep_last_observed,
    parse_labels,
)

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
        MalformedLabelsError, match=r"1 malformed labels.*labels.csv: u2,yes,.*neither 0 nor 1"
    ):
        check_labels(labels)


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
