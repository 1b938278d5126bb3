"""Files below a table that are not as Iceberg recorded them."""

import random
from dataclasses import replace
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from jobs.command import Failure
from jobs.lake.branches import MAIN, TableDamagedError
from jobs.lake.data_files import Footers
from jobs.lake.receipts import DayRange
from jobs.lake.tables import TablePartition, ensure_tables

PARTITION = TablePartition("risk.user_sequences", date(1998, 1, 1))
COLUMNS = "user_id string, app_ids array<string>, event_times array<timestamp>, sequence_length int"


@pytest.fixture
def table(spark):
    """300 users in one file."""
    ensure_tables(spark)
    users = spark.range(300).selectExpr(
        "concat('u', id) AS user_id",
        "array('a', concat('b', id)) AS app_ids",
        "array(timestamp_seconds(id), timestamp_seconds(id + 60)) AS event_times",
        "2 AS sequence_length",
    )
    PARTITION.overwrite_with(spark.createDataFrame(users.collect(), COLUMNS).coalesce(1))
    return PARTITION.open(spark)


@pytest.fixture
def file(table):
    """The file and its record."""
    table.refresh()
    (file,) = table.data_files(DayRange(PARTITION.ds, PARTITION.ds), table.head(MAIN))
    return file


@pytest.fixture
def path(file):
    path = Path(urlsplit(file.path).path)
    path.with_name(f".{path.name}.crc").unlink()  # Hadoop's own, which knows nothing of a later rewrite
    return path


def test_a_file_is_compared_with_its_record(spark, table, file):
    footers, schemas = Footers(spark), table.schemas()
    assert not [*footers.find_flaws(file, schemas)]
    assert [*footers.find_flaws(replace(file, rows=301), schemas)] == ["expected 301 rows, found 300"]
    assert [*footers.find_flaws(replace(file, size=1), schemas)] == [f"expected 1 bytes, found {file.size:,}"]
    (flaw,) = footers.find_flaws(file, frozenset({"struct<1: user_id: optional int>"}))
    assert flaw.startswith("expected the columns struct<1: user_id: optional int>, found struct<1: user_id:")


@pytest.mark.usefixtures("table")
def test_a_file_from_before_a_column_was_added_is_as_it_was_written(spark):
    spark.sql(f"ALTER TABLE {PARTITION.name} ADD COLUMN later INT")
    try:
        assert PARTITION.read(spark).count() == 300
    finally:
        spark.sql(f"ALTER TABLE {PARTITION.name} DROP COLUMN later")


def test_a_file_that_is_cut_off_is_named(spark, path):
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TableDamagedError, match=rf"{path.name}: expected .* bytes, found 1,000"):
        PARTITION.read(spark)


def test_a_file_that_is_gone_is_named(spark, path):
    path.unlink()
    with pytest.raises(TableDamagedError, match=rf"{path.name}: .* FileNotFoundException"):
        PARTITION.read(spark)


def flips(content):
    """Places of one bit each: numbers of rows and of values in the footer, and its description of columns."""
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    number = bytes([600 & 127 | 128, 600 >> 7])  # 300, as Thrift writes it
    numbers = [place for place in range(footer, len(content)) if content[place : place + 2] == number]
    columns = range(footer, content.rindex(b"sequence_length", footer, footer + 400) + 25)
    drawn = random.Random(0)
    return [(place, 3) for place in numbers] + [
        (drawn.choice(columns), drawn.randrange(8)) for _ in range(40)
    ]


def test_a_flipped_bit_in_a_footer_never_gives_other_rows(spark, path):
    content = path.read_bytes()
    as_written = sorted(PARTITION.read(spark).collect())
    named = []
    for place, bit in flips(content):
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :])
        try:
            assert sorted(PARTITION.read(spark).collect()) == as_written, (place, bit)
        except (TableDamagedError, Py4JJavaError, PySparkException) as error:
            named.append(Failure.of(error).name)
    assert {*named} == {"TableDamagedError"}
    assert len(named) > 20
