"""The training set of one date: from extracted days and landed labels to a folder."""

import json
from datetime import date

import pyarrow.parquet as pq
import pytest

from jobs.build_training_set import check_training_date, main
from jobs.errors import WrongArgumentsError
from jobs.lake.output_folder import OutputFolderError
from jobs.lake.receipts import MissingExtractionError
from jobs.lake.tables import TablePartition, ensure_tables
from jobs.landing.label_counts import NothingToLearnError
from jobs.landing.labels import LabelsMissingError, MalformedLabelsError
from tests.made_up.landing_day import land, uri, write_receipts
from tests.made_up.schemas import SESSIONS
from tests.made_up.sessions import at, session


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

    def build(self, lookback_days=2, output="out/run-1"):
        main(
            sessions="risk.install_sessions",
            labels=uri(self.root / "labels"),
            training_date=date(2026, 1, 31),
            output=uri(self.root / output),
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
        "history_days": [],
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


def files_below(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


GOOD_LABELS = ("u1,1,2026-01-20,2026-01-25", "u2,0,2026-01-20,2026-01-25")


@pytest.mark.parametrize(
    "output", ["labels", "landing", "receipts", ".", "landing/ds=2026-01-18", "out/../labels"]
)
def test_an_output_that_overlaps_an_input_is_refused_and_nothing_is_deleted(training, output):
    training.land_labels(*GOOD_LABELS)
    before = files_below(training.root)
    with pytest.raises(OutputFolderError, match="equals, holds or lies in"):
        training.build(output=output)
    assert files_below(training.root) == before


def test_an_output_in_the_folder_of_tables_is_refused(spark, training):
    training.land_labels(*GOOD_LABELS)
    warehouse = spark.conf.get("spark.sql.catalog.lake.warehouse").removeprefix("file://")
    with pytest.raises(OutputFolderError, match="equals, holds or lies in"):
        training.build(output=f"{warehouse}/risk/run-1")


def test_a_folder_of_training_sets_is_no_training_set_and_stays(training):
    training.land_labels(*GOOD_LABELS)
    training.build()
    before = files_below(training.root)
    with pytest.raises(OutputFolderError, match=r"not all of it is an earlier output; found: run-1"):
        training.build(output="out")
    assert files_below(training.root) == before


def test_a_failed_rerun_leaves_the_earlier_training_set(training):
    training.land_labels(*GOOD_LABELS)
    training.build()
    before = files_below(training.root / "out")
    malformed = "user_id,label,as_of,observed_at\nu1,maybe,2026-01-20,2026-01-25\n"
    land(training.root / "labels", more__csv=malformed)
    with pytest.raises(MalformedLabelsError):
        training.build()
    assert files_below(training.root / "out") == before


def test_sessions_that_another_job_committed_since_the_table_was_loaded_are_read(spark, training):
    training.land_labels(*GOOD_LABELS)
    # Iceberg's catalog of this session keeps the table for 30 s; an extraction has a session of its own.
    spark.table("lake.risk.install_sessions").count()
    corrected = [session(user, 19, ("19 08:00", "corrected")) for user in ("u1", "u2")]
    extraction = spark.newSession()
    TablePartition("risk.install_sessions", date(2026, 1, 19)).overwrite_with(
        extraction.createDataFrame(corrected, SESSIONS)
    )
    training.build()
    examples = pq.read_table(training.root / "out" / "run-1").to_pylist()
    assert [row["app_ids"] for row in examples] == [["corrected"]] * 2


def test_a_history_day_is_known_by_the_times_of_its_installs(spark, training):
    users = [session(user, 19, ("17 08:00", "early"), ("19 08:00", "late")) for user in ("u1", "u2")]
    TablePartition("risk.install_sessions", date(2026, 1, 19)).overwrite_with(
        spark.createDataFrame(users, SESSIONS)
    )
    training.land_labels("u1,1,2026-01-18,2026-01-25", "u2,0,2026-01-18,2026-01-25")
    with pytest.raises(NothingToLearnError, match=r"2 have no install .* put an empty file _HISTORY"):
        training.build(lookback_days=30)
    land(training.root / "landing" / "ds=2026-01-19", _HISTORY="")
    training.build(lookback_days=30)
    examples = pq.read_table(training.root / "out" / "run-1").to_pylist()
    assert [row["app_ids"] for row in examples] == [["early"], ["early"]]
    facts = json.loads((training.root / "out" / "run-1" / "_training_set.json").read_text())
    assert facts["history_days"] == ["2026-01-19"]


def test_a_training_date_in_the_future_is_refused():
    check_training_date(date(2026, 1, 31), today=date(2026, 1, 31))
    with pytest.raises(WrongArgumentsError, match="2026-02-01 is in the future, today is 2026-01-31 UTC"):
        check_training_date(date(2026, 2, 1), today=date(2026, 1, 31))


def test_a_missing_folder_of_labels_is_named(training):
    with pytest.raises(LabelsMissingError, match="/labels does not exist"):
        training.build()
