"""A label sees what was known of its user at the time, and nothing else."""

import json
from datetime import UTC, date, datetime

import pyarrow.parquet as pq
import pytest

from jobs.build_training_set import (
    LabelCounts,
    NothingToLearnError,
    build_examples,
    find_as_of_days,
    keep_observed,
    main,
)
from jobs.lake.receipts import DayRange, MissingExtractionError
from jobs.lake.tables import TablePartition, ensure_tables
from jobs.landing.labels import LabelsMissingError, MalformedLabelsError
from tests.made_up.landing_day import land, uri, write_receipts
from tests.made_up.schemas import LABELS, SESSIONS


def at(text):
    """A moment of January 2026: "20 10:00"."""
    return datetime.strptime(f"2026-01-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


def session(user, landing_day, *installs):
    """A session that landed on a day of January 2026: installs (moment, app), in order."""
    times = [at(moment) for moment, _ in installs]
    return (user, 0, times[0], times[-1], [app for _, app in installs], times, date(2026, 1, landing_day))


def examples_of(spark, sessions, labels, lookback_days=365, max_sequence_length=128):
    """(user_id, as_of's day) -> app_ids"""
    built = build_examples(
        spark.createDataFrame(sessions, SESSIONS),
        spark.createDataFrame([(user, label, at(as_of)) for user, label, as_of in labels], LABELS),
        lookback_days,
        max_sequence_length,
    )
    return {(row.user_id, row.as_of.astimezone(UTC).day): row.app_ids for row in built.collect()}


def test_an_install_at_as_of_is_in_the_future_and_one_before_is_not(spark):
    sessions = [session("u1", 20, ("20 09:59", "before"), ("20 10:00", "at"), ("20 10:01", "after"))]
    assert examples_of(spark, sessions, [("u1", 1, "20 10:00")]) == {("u1", 20): ["before"]}


def test_what_landed_after_the_day_of_as_of_is_unknown_though_it_happened_before(spark):
    sessions = [
        session("u1", 20, ("19 08:00", "landed on the day")),
        session("u1", 21, ("19 09:00", "landed the day after")),
    ]
    assert examples_of(spark, sessions, [("u1", 1, "20 10:00")]) == {("u1", 20): ["landed on the day"]}


def test_landing_days_before_the_look_back_are_not_read(spark):
    sessions = [session("u1", day, (f"{day} 08:00", f"of the {day}th")) for day in (17, 18, 19)]
    examples = examples_of(spark, sessions, [("u1", 1, "20 10:00")], lookback_days=3)
    assert examples == {("u1", 20): ["of the 18th", "of the 19th"]}


def test_two_labels_of_a_user_are_two_examples_each_with_the_installs_of_its_time(spark):
    sessions = [session("u1", 18, ("18 08:00", "a")), session("u1", 20, ("20 08:00", "b"))]
    examples = examples_of(spark, sessions, [("u1", 0, "19 00:00"), ("u1", 1, "21 00:00")])
    assert examples == {("u1", 19): ["a"], ("u1", 21): ["a", "b"]}


def test_an_example_keeps_the_last_installs_each_once(spark):
    sessions = [
        session("u1", 18, ("18 08:00", "a"), ("18 09:00", "b"), ("18 09:30", "c")),
        session("u1", 19, ("18 09:30", "c")),
    ]
    examples = examples_of(spark, sessions, [("u1", 1, "20 00:00")], max_sequence_length=2)
    assert examples == {("u1", 20): ["b", "c"]}


def test_users_without_a_known_install_or_without_a_label_make_no_example(spark):
    sessions = [session("no label", 18, ("18 08:00", "a")), session("u1", 18, ("18 08:00", "a"))]
    assert examples_of(spark, sessions, [("u1", 1, "17 00:00"), ("unseen", 0, "20 00:00")]) == {}


def test_labels_are_known_from_the_day_on_which_they_were_observed(spark):
    observed = [("on the day", at("20 23:59")), ("the day after", at("21 00:00"))]
    labels = spark.createDataFrame(observed, "user_id STRING, observed_at TIMESTAMP")
    assert [row.user_id for row in keep_observed(labels, date(2026, 1, 20)).collect()] == ["on the day"]


def test_as_of_days_are_in_utc_and_none_without_labels(spark):
    labels = spark.createDataFrame([("u1", 1, at("20 23:59")), ("u2", 1, at("18 00:00"))], LABELS)
    assert find_as_of_days(labels) == DayRange(date(2026, 1, 18), date(2026, 1, 20))
    assert find_as_of_days(labels.limit(0)) is None


@pytest.mark.parametrize(
    ("examples", "positives", "says"),
    [
        (0, 0, "but there are none: of 9 labels 2"),
        (4, 4, "but all 4 have label 1"),
        (4, 0, "but all 4 have label 0"),
    ],
)
def test_examples_of_one_label_or_none_are_refused_with_what_became_of_the_labels(examples, positives, says):
    counts = LabelCounts(
        examples=examples,
        positives=positives,
        labels=9,
        labels_not_yet_observed=2,
        labels_superseded=1,
        labels_without_installs=6 - examples,
    )
    with pytest.raises(NothingToLearnError, match=says) as error:
        counts.check("as_of 2026-01-18 to 2026-01-20")
    assert str(error.value).endswith("; as_of 2026-01-18 to 2026-01-20")


class Training:
    """Two extracted landing days and a folder for labels."""

    def __init__(self, spark, root):
        self.root = root
        ensure_tables(spark)
        for day in (18, 19):
            land(root / "landing" / f"ds=2026-01-{day}")
            write_receipts(root, f"2026-01-{day}")
            users = [session(f"u{number}", day, (f"{day} 08:00", f"of the {day}th")) for number in (1, 2)]
            partition = TablePartition("risk.install_sessions", date(2026, 1, day))
            partition.overwrite_with(spark.createDataFrame(users, SESSIONS))

    def build(self, lookback_days=2):
        main(
            sessions="risk.install_sessions",
            labels=uri(self.root / "labels"),
            training_date=date(2026, 1, 31),
            output=uri(self.root / "out" / "run-1"),
            landing_root=uri(self.root / "landing"),
            receipts_root=uri(self.root / "receipts"),
            lookback_days=lookback_days,
        )

    def land_labels(self, *lines):
        land(self.root / "labels", labels__csv="\n".join(["user_id,label,as_of,observed_at", *lines]))


@pytest.fixture
def training(spark, tmp_path):
    return Training(spark, tmp_path)


def test_the_job_writes_examples_and_where_they_come_from(spark, training):
    training.land_labels(
        "u1,1,2026-01-20,2026-01-25",
        "u2,1,2026-01-19,2026-01-24",  # changed the day after, and replaced by
        "u2,0,2026-01-19,2026-01-25",
        "u1,1,2026-01-19,2026-02-01",  # not yet known
        "u9,1,2026-01-19,2026-01-20",  # a user without any install
    )
    training.build()
    training.build()  # a rerun replaces the folder

    examples = pq.read_table(training.root / "out" / "run-1").sort_by("user_id").to_pylist()
    assert [(row["user_id"], row["label"], row["app_ids"]) for row in examples] == [
        ("u1", 1, ["of the 19th"]),  # two days back from the 20th, itself included
        ("u2", 0, ["of the 18th"]),
    ]
    assert [row["event_times"] for row in examples] == [[at("19 08:00")], [at("18 08:00")]]
    facts = json.loads((training.root / "out" / "run-1" / "_training_set.json").read_text())
    snapshots = spark.sql("SELECT snapshot_id FROM lake.risk.install_sessions.refs").collect()
    assert facts == {
        "table": "risk.install_sessions",
        "snapshot_id": str(snapshots[0].snapshot_id),
        "first_landing_day": "2026-01-18",
        "last_landing_day": "2026-01-19",
        "training_date": "2026-01-31",
        "examples": 2,
        "positives": 1,
        "labels": 5,
        "labels_not_yet_observed": 1,
        "labels_superseded": 1,
        "labels_without_installs": 1,
    }


def test_the_job_names_landed_days_that_are_not_extracted(training):
    training.land_labels("u1,1,2026-01-20,2026-01-25")
    (training.root / "receipts" / "ds=2026-01-19.json").unlink()
    with pytest.raises(MissingExtractionError, match=": 2026-01-19; run"):
        training.build()


def test_labels_that_are_all_observed_later_are_refused(training):
    training.land_labels("u1,1,2026-01-20,2026-02-01")
    with pytest.raises(NothingToLearnError, match="none of 1 labels was observed by 2026-01-31"):
        training.build()


def test_malformed_labels_write_nothing(training):
    training.land_labels("u1,maybe,2026-01-20,2026-01-25")
    with pytest.raises(MalformedLabelsError):
        training.build()
    assert not (training.root / "out").exists()


def test_a_missing_folder_of_labels_is_named(training):
    with pytest.raises(LabelsMissingError, match="/labels does not exist"):
        training.build()
