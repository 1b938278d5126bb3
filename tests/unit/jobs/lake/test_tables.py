"""One day of one Iceberg table, on real Iceberg tables in a temporary folder."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from pyspark.sql import functions as F

from jobs.lake.branches import BranchingOffError, LakeTable, PartitionChangedError, open_table
from jobs.lake.clock import ClockSkewError
from jobs.lake.hadoop_files import HadoopFiles
from jobs.lake.tables import (
    COLUMNS,
    PartitionNameError,
    TableColumnsError,
    TablePartition,
    ensure_tables,
    snapshot_now,
)

SCHEMA = "file STRING, raw STRING, reason STRING"


def sessions_like(spark, number):
    sessions = [spark.newSession() for _ in range(number)]
    for session in sessions:
        for name, value in spark.conf.getAll.items():
            if name.startswith("spark.sql.catalog.lake"):
                session.conf.set(name, value)
    return sessions


def reasons(spark, partition):
    spark.catalog.refreshTable(partition.name)
    return sorted(row.reason for row in partition.read(spark).collect())


@pytest.fixture
def spark(either_catalog):
    return either_catalog


@pytest.fixture
def rejected(spark):
    ensure_tables(spark)
    return TablePartition("risk.rejected_events", date(1999, 1, 1))


def test_a_partition_is_parsed_from_its_name_and_prints_as_the_same_name():
    partition = TablePartition.parse("risk.user_sequences/ds=2026-01-31")
    assert partition == TablePartition("risk.user_sequences", date(2026, 1, 31))
    assert str(partition) == "risk.user_sequences/ds=2026-01-31"


@pytest.mark.parametrize(
    "name",
    [
        "risk.user_sequences/ds=None",  # what Airflow renders for a run without a partition key
        "risk.user_sequences/ds=2026-02-30",
        "user_sequences/ds=2026-01-31",
        "risk.user_sequences",
        "risk.user_sequences/ds=2026-01-31/",
        "risk.user_sequences; DROP TABLE x/ds=2026-01-31",
    ],
)
def test_any_other_name_is_refused_with_the_name_in_the_error(name):
    with pytest.raises(PartitionNameError) as refused:
        TablePartition.parse(name)
    assert repr(name) in str(refused.value)


def test_overwriting_replaces_the_rows_of_that_day_only(spark, rejected):
    other_day = TablePartition(rejected.table, date(1999, 1, 2))
    other_day.overwrite_with(spark.createDataFrame([("f", "r", "other")], SCHEMA))
    rejected.overwrite_with(spark.createDataFrame([("f", "r", "first")], SCHEMA))
    rejected.overwrite_with(spark.createDataFrame([("f", "r", "second")], SCHEMA))
    assert reasons(spark, rejected) == ["second"]
    assert reasons(spark, other_day) == ["other"]


def test_overwriting_with_nothing_leaves_nothing(spark, rejected):
    rejected.overwrite_with(spark.createDataFrame([("f", "r", "old")], SCHEMA))
    rejected.overwrite_with(spark.createDataFrame([], SCHEMA))
    assert reasons(spark, rejected) == []


@pytest.mark.parametrize("later_rows", [[("f", "r", "newer")], []])
def test_a_job_that_was_frozen_cannot_replace_what_was_written_meanwhile(spark, rejected, later_rows):
    old = spark.createDataFrame([("f", "r", "older")], SCHEMA)
    rejected.overwrite_with(old)
    begun = snapshot_now(spark, rejected.table)
    rejected.overwrite_with(spark.createDataFrame(later_rows, SCHEMA))
    with pytest.raises(PartitionChangedError, match=r"rejected_events/ds=1999-01-01 was written by another"):
        rejected.overwrite_with(old, since=begun)
    assert reasons(spark, rejected) == [reason for *_, reason in later_rows]


def test_a_job_that_began_before_the_first_write_of_a_table_cannot_replace_it(spark):
    spark.sql("DROP TABLE IF EXISTS lake.risk.rejected_events")
    ensure_tables(spark)
    partition = TablePartition("risk.rejected_events", date(1999, 1, 1))
    begun = snapshot_now(spark, partition.table)
    rows = spark.createDataFrame([("f", "r", "x")], SCHEMA)
    partition.overwrite_with(rows)
    with pytest.raises(PartitionChangedError):
        partition.overwrite_with(rows, since=begun)


def test_a_write_of_another_day_is_no_conflict(spark, rejected):
    begun = snapshot_now(spark, rejected.table)
    frame = spark.createDataFrame([("f", "r", "x")], SCHEMA)
    TablePartition(rejected.table, date(1999, 1, 2)).overwrite_with(frame)
    rejected.overwrite_with(frame, since=begun)
    assert reasons(spark, rejected) == ["x"]


def test_a_frame_of_another_day_is_written_to_the_partition_it_was_given_to(spark, rejected):
    frame = spark.createDataFrame([("f", "r", "x", date(1999, 1, 9))], SCHEMA + ", ds DATE")
    rejected.overwrite_with(frame)
    assert [row.ds for row in rejected.read(spark).collect()] == [rejected.ds]


def test_a_write_that_would_be_visible_before_it_is_whole_is_refused(spark, rejected):
    spark.sql(f"ALTER TABLE lake.{rejected.table} SET TBLPROPERTIES ('write.wap.enabled' = 'false')")
    with pytest.raises(BranchingOffError, match=r"write\.wap\.enabled=true"):
        rejected.overwrite_with(spark.createDataFrame([("f", "r", "x")], SCHEMA))
    ensure_tables(spark)  # as the next job does
    rejected.overwrite_with(spark.createDataFrame([("f", "r", "x")], SCHEMA))


@pytest.mark.parametrize(("ahead", "said"), [(2, "ahead of"), (-2, "behind")])
def test_a_driver_with_a_wrong_clock_writes_nothing(spark, rejected, monkeypatch, ahead, said):
    real = HadoopFiles.now
    monkeypatch.setattr(HadoopFiles, "now", lambda *args: real(*args) - timedelta(hours=ahead))
    with pytest.raises(ClockSkewError, match=rf"clock is (1:59|2:00):\d\d.* {said} that of"):
        rejected.overwrite_with(spark.createDataFrame([("f", "r", "x")], SCHEMA))
    assert [row.name for row in spark.sql(f"SELECT name FROM {rejected.name}.refs").collect()] in (
        [],
        ["main"],
    )


def test_a_write_leaves_no_branch_behind(spark, rejected):
    frame = spark.createDataFrame([("f", "r", "x")], SCHEMA)
    begun = snapshot_now(spark, rejected.table)
    rejected.overwrite_with(frame)
    with pytest.raises(PartitionChangedError):
        rejected.overwrite_with(frame, since=begun)
    names = [row.name for row in spark.sql(f"SELECT name FROM lake.{rejected.table}.refs").collect()]
    assert names == ["main"]


def test_tables_may_be_created_by_several_dates_at_once(spark):
    for table in COLUMNS:
        spark.sql(f"DROP TABLE IF EXISTS lake.risk.{table}")
    with ThreadPoolExecutor(3) as dates:
        list(dates.map(lambda _: ensure_tables(spark), range(3)))
    assert {row.tableName for row in spark.sql("SHOW TABLES IN lake.risk").collect()} == set(COLUMNS)


def test_a_move_that_another_job_has_just_overtaken_is_tried_again(spark, rejected, monkeypatch):
    other_day = TablePartition(rejected.table, date(1999, 1, 2))
    frame = spark.createDataFrame([("f", "r", "x")], SCHEMA)
    move = LakeTable._move

    def overtaken_once(table, *arguments):
        monkeypatch.undo()
        other_day.overwrite_with(frame)
        return move(table, *arguments)

    monkeypatch.setattr(LakeTable, "_move", overtaken_once)
    rejected.overwrite_with(frame)
    assert (reasons(spark, rejected), reasons(spark, other_day)) == (["x"], ["x"])
    names = [row.name for row in spark.sql(f"SELECT name FROM {rejected.name}.refs").collect()]
    assert names == ["main"]


def test_several_days_may_be_overwritten_at_once(spark, rejected):
    days = [TablePartition(rejected.table, date(1999, 2, day)) for day in range(1, 5)]
    # A session each, as jobs have: the branch that is written to is a setting of the session.
    frames = [session.createDataFrame([("f", "r", "x")], SCHEMA) for session in sessions_like(spark, 4)]
    with ThreadPoolExecutor(4) as dates:
        list(dates.map(lambda day, frame: day.overwrite_with(frame), days, frames))
    assert [reasons(spark, day) for day in days] == [["x"]] * 4


@pytest.fixture
def changed(spark):
    """Name of a table that a test may change: it is made anew before and after."""
    name = "lake.risk.extraction_counts"
    spark.sql(f"DROP TABLE IF EXISTS {name}")
    ensure_tables(spark)
    yield name
    spark.sql(f"DROP TABLE {name}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DROP COLUMN rejected", r"rejected bigint \(found none\)"),
        ("RENAME COLUMN landed TO rows", r"landed bigint \(found none\)"),
        ("ALTER COLUMN files TYPE BIGINT", r"files int \(found bigint\)"),
    ],
)
def test_a_table_whose_columns_somebody_changed_is_refused_by_name(spark, changed, change, said):
    spark.sql(f"ALTER TABLE {changed} {change}")
    with pytest.raises(TableColumnsError, match=rf"extraction_counts: expected the columns {said}"):
        ensure_tables(spark)


def test_a_column_that_somebody_added_does_no_harm(spark, changed):
    spark.sql(f"ALTER TABLE {changed} ADD COLUMN note STRING")
    ensure_tables(spark)
    day = TablePartition("risk.extraction_counts", date(1999, 1, 1))
    names = ("landed", "accepted", "duplicates", "not_installs", "rejected")
    frame = spark.range(1).select(
        *(F.lit(1).cast("bigint").alias(name) for name in names), F.lit(1).alias("files")
    )
    day.overwrite_with(frame)
    assert [(row.landed, row.note) for row in day.read(spark).collect()] == [(1, None)]


def test_a_catalog_that_cannot_be_loaded_says_why(spark):
    spark.conf.set("spark.sql.catalog.away", "org.apache.iceberg.spark.SparkCatalog")
    spark.conf.set("spark.sql.catalog.away.type", "jdbc")
    spark.conf.set("spark.sql.catalog.away.uri", "jdbc:postgresql://127.0.0.1:9/lake")  # nothing listens
    spark.conf.set("spark.sql.catalog.away.warehouse", "file:///tmp/away")
    with pytest.raises(Exception, match=r"Connection to 127\.0\.0\.1:9 refused|Failed to connect") as raised:
        open_table(spark, "away.risk.risk_scores")
    assert "REQUIRES_SINGLE_PART_NAMESPACE" not in str(raised.value)
