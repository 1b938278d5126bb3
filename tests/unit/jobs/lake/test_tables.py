"""One day of one Iceberg table, on real Iceberg tables in a temporary folder."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest

from jobs.lake.tables import COLUMNS, PartitionNameError, TablePartition, ensure_tables

SCHEMA = "file STRING, raw STRING, reason STRING"


def reasons(spark, partition):
    return sorted(row.reason for row in partition.read(spark).collect())


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


def test_a_frame_of_another_day_is_written_to_the_partition_it_was_given_to(spark, rejected):
    frame = spark.createDataFrame([("f", "r", "x", date(1999, 1, 9))], SCHEMA + ", ds DATE")
    rejected.overwrite_with(frame)
    assert [row.ds for row in rejected.read(spark).collect()] == [rejected.ds]


def test_tables_may_be_created_by_several_dates_at_once(spark):
    for table in COLUMNS:
        spark.sql(f"DROP TABLE IF EXISTS lake.risk.{table}")
    with ThreadPoolExecutor(3) as dates:
        list(dates.map(lambda _: ensure_tables(spark), range(3)))
    assert {row.tableName for row in spark.sql("SHOW TABLES IN lake.risk").collect()} == set(COLUMNS)


def test_several_days_may_be_overwritten_at_once(spark, rejected):
    days = [TablePartition(rejected.table, date(1999, 2, day)) for day in range(1, 5)]
    frame = spark.createDataFrame([("f", "r", "x")], SCHEMA)
    with ThreadPoolExecutor(4) as dates:
        list(dates.map(lambda day: day.overwrite_with(frame), days))
    assert [reasons(spark, day) for day in days] == [["x"]] * 4
