"""The Iceberg tables of the lake, and one day's partition of one of them as a value.

In   a partition's name on a command line: risk.user_sequences/ds=2026-01-31
Out  the rows of exactly that partition, read or replaced; no job handles dates by itself

Every table is partitioned by `ds`, the UTC day on which the data landed. Timestamps are instants.
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import cast
from uuid import uuid4

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from jobs.errors import DataError, WrongArgumentsError
from jobs.lake.branches import BRANCHING, MAIN, LakeTable, PartitionChangedError, open_table
from jobs.lake.data_files import check_data_files
from jobs.lake.receipts import DayRange

CATALOG = "lake"
NAMESPACE = "risk"
PARTITION_NAME = re.compile(r"(?P<table>\w+\.\w+)/ds=(?P<ds>\d{4}-\d{2}-\d{2})")

COLUMNS = {
    "install_sessions": """
        user_id STRING, session_index INT, started_at TIMESTAMP, ended_at TIMESTAMP,
        app_ids ARRAY<STRING>, event_times ARRAY<TIMESTAMP>, ds DATE""",
    "rejected_events": "file STRING, raw STRING, reason STRING, ds DATE",
    "extraction_counts": """
        landed BIGINT, accepted BIGINT, duplicates BIGINT, not_installs BIGINT, rejected BIGINT,
        files INT, ds DATE""",
    "user_sequences": """
        user_id STRING, app_ids ARRAY<STRING>, event_times ARRAY<TIMESTAMP>, sequence_length INT, ds DATE""",
    "risk_scores": """
        user_id STRING, risk_score DOUBLE, logit DOUBLE, sequence_length INT, unknown_apps INT,
        model_name STRING, model_version INT, model_sha256 STRING, run_id STRING, ds DATE""",
    "volume_releases": """
        what STRING, found BIGINT, expected DOUBLE, released_by STRING, reason STRING,
        released_at TIMESTAMP, ds DATE""",
}
# Columns that later versions added, at the end. Existing tables get them, with null in their earlier rows.
ADDED_COLUMNS = {
    "risk_scores": {"reasons": "ARRAY<STRUCT<app_id: STRING, installs_ago: INT, contribution: DOUBLE>>"}
}
EVERY_TABLE = {
    # All rows of a write belong to one ds: the default, a shuffle by partition, would hand them to one task.
    "write.distribution-mode": "none",
    # Several dates commit to one table at once; the later commit retries on the newer metadata.
    "commit.retry.num-retries": "20",
    # Every write goes to a branch first: branches.py.
    BRANCHING[0]: BRANCHING[1],
}


NEVER_WRITTEN = 0  # in place of a snapshot's id


class PartitionNameError(DataError):
    """A partition was not named as `namespace.table/ds=YYYY-MM-DD`."""


class TableColumnsError(DataError):
    """A table has other columns than this version reads and writes."""


class NeverWrittenError(DataError):
    """Nothing was ever written to the table."""


@dataclass(frozen=True)
class TablePartition:
    """One landing day of one table: `table` without the catalog, as in `risk.user_sequences`."""

    table: str
    ds: date

    @classmethod
    def parse(cls, name: str) -> "TablePartition":
        """Read a partition's name.

        Raises:
            PartitionNameError: another form, or a day that the calendar does not have.
        """
        match = PARTITION_NAME.fullmatch(name)
        try:
            if match:
                return cls(match["table"], date.fromisoformat(match["ds"]))
        except ValueError as error:
            raise PartitionNameError(f"no such day in {name!r}: {error}") from error
        raise PartitionNameError(
            f"expected a partition such as risk.user_sequences/ds=2026-01-31, got {name!r}"
        )

    def __str__(self) -> str:
        return f"{self.table}/ds={self.ds}"

    def read(self, spark: SparkSession) -> DataFrame:
        """Read the partition's rows, `ds` included.

        Raises:
            TableDamagedError: a file below it is not as it was written.
        """
        return read_days(spark, self.table, DayRange(self.ds, self.ds))

    def overwrite_with(self, frame: DataFrame, since: int | None = None) -> None:
        """Replace the partition's rows by `frame`, with or without a column `ds`, in one atomic step.

        Args:
            since: what `snapshot_now` gave before the job read its input; by default, when this call begins.

        Raises:
            PartitionChangedError: another job wrote the partition since then; nothing is replaced.
        """
        spark = frame.sparkSession
        if since is None:
            since = snapshot_now(spark, self.table)
        table, branch = self.open(spark), f"write-{uuid4().hex}"
        table.write(frame, self.ds, branch, {})
        try:
            table.move_main(self.ds, branch, None if since == NEVER_WRITTEN else since, {})
        except PartitionChangedError:
            table.drop(branch)
            raise

    def open(self, spark: SparkSession) -> LakeTable:
        """Open the partition's table as it is now."""
        return LakeTable(spark, self.name)

    @property
    def name(self) -> str:
        """The table with its catalog: `lake.risk.user_sequences`."""
        return f"{CATALOG}.{self.table}"


def check_tables_differ(*tables: str) -> None:
    """Check that no table is named twice: a job would replace what it reads, or its own output.

    Raises:
        WrongArgumentsError: names the options' values.
    """
    if len({*tables}) < len(tables):
        raise WrongArgumentsError(f"expected {len(tables)} different tables, got {', '.join(tables)}")


def read_days(spark: SparkSession, table: str, days: DayRange, snapshot_id: int | None = None) -> DataFrame:
    """Read the rows of some landing days in a snapshot, or, without one, as they are now.

    Raises:
        TableDamagedError: a file below them is not as it was written.
    """
    name = f"{CATALOG}.{table}"
    spark.catalog.refreshTable(name)  # the catalog may keep a table for 30 s, also if others write to it
    opened = LakeTable(spark, name)
    check_data_files(spark, opened, days, snapshot_id or opened.head(MAIN))
    rows = (
        spark.sql(f"SELECT * FROM {name} VERSION AS OF {snapshot_id}") if snapshot_id else spark.table(name)
    )
    return rows.where(F.col("ds").between(F.lit(days.first), F.lit(days.last)))


def ensure_tables(spark: SparkSession) -> None:
    """Create the tables and columns that are missing; safe when several dates start at once.

    Raises:
        TableColumnsError: somebody has dropped, renamed or retyped a column; nothing is written.
        TableDamagedError: a table's metadata file is gone.
    """
    for table, columns in COLUMNS.items():
        # Looked at through Iceberg: every command of Spark's own would take some tenths of a second.
        opened = open_table(spark, f"{CATALOG}.{NAMESPACE}.{table}") or create_table(spark, table, columns)
        opened.allow_branching()
        added = ADDED_COLUMNS.get(table, {})
        for column, column_type in added.items():
            add_column(spark, opened, column, column_type)
        check_columns(opened, f"{columns}, " + ", ".join(map(" ".join, added.items())) if added else columns)


def check_columns(table: LakeTable, columns: str) -> None:
    """Check that the table has these columns; it may have more, which stay null.

    Raises:
        TableColumnsError: names those that are missing or of another type.
    """
    found = table.columns()
    expected = {
        field.name: field.dataType.simpleString() for field in cast(StructType, StructType.fromDDL(columns))
    }
    wrong = [
        f"{name} {column_type} (found {found.get(name, 'none')})"
        for name, column_type in expected.items()
        if found.get(name) != column_type
    ]
    if wrong:
        raise TableColumnsError(
            f"{table.name}: expected the columns {', '.join(wrong)}; nothing was written. Undo the change, or "
            "rename the table, and the next job makes a new one (docs/operations.md)"
        )


def create_table(spark: SparkSession, table: str, columns: str) -> LakeTable:
    create_namespace(spark)
    name = f"{CATALOG}.{NAMESPACE}.{table}"
    listed = ", ".join(f"'{key}' = '{value}'" for key, value in EVERY_TABLE.items())
    spark.sql(
        f"CREATE TABLE IF NOT EXISTS {name} ({columns}) "
        f"USING iceberg PARTITIONED BY (ds) TBLPROPERTIES ({listed})"
    )
    return LakeTable(spark, name)


def create_namespace(spark: SparkSession) -> None:
    """Create the namespace of all tables if it is missing."""
    try:
        spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {CATALOG}.{NAMESPACE}")
    except (PySparkException, Py4JJavaError):
        # In PostgreSQL the second of two that create it at once fails.
        if spark.sql(f"SHOW NAMESPACES IN {CATALOG} LIKE '{NAMESPACE}'").isEmpty():
            raise


def add_column(spark: SparkSession, table: LakeTable, column: str, column_type: str) -> None:
    """Add the column if the table lacks it."""
    if column in table.columns():
        return
    try:
        spark.sql(f"ALTER TABLE {table.name} ADD COLUMN {column} {column_type}")
    except (PySparkException, Py4JJavaError):
        table.refresh()
        if column not in table.columns():  # otherwise another date's job has just added it
            raise
    else:
        table.refresh()


def snapshot_now(spark: SparkSession, table: str) -> int:
    """Read the id of the snapshot that readers see at this moment, or `NEVER_WRITTEN`."""
    opened = LakeTable(spark, f"{CATALOG}.{table}")
    opened.refresh()  # the catalog may keep a table for 30 s, also if others write to it
    return opened.head(MAIN) or NEVER_WRITTEN


def current_snapshot(spark: SparkSession, table: str) -> str:
    """Read the id of the table's current snapshot.

    Raises:
        NeverWrittenError: nothing was ever written to the table.
    """
    snapshot_id = snapshot_now(spark, table)
    if snapshot_id == NEVER_WRITTEN:
        raise NeverWrittenError(
            f"{table} was never written to: run extract_sessions for the landed days first"
        )
    return str(snapshot_id)
