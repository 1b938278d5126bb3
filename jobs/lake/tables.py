"""The Iceberg tables of the lake, and one day's partition of one of them as a value.

In   a partition's name on a command line: risk.user_sequences/ds=2026-01-31
Out  the rows of exactly that partition, read or replaced; no job handles dates by itself

Every table is partitioned by `ds`, the UTC day on which the data landed. Timestamps are instants.
"""

import re
from dataclasses import dataclass
from datetime import date

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.errors import DataError

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
}
# Scores are staged, audited and then published (https://iceberg.apache.org/docs/latest/branching/).
PROPERTIES = {"risk_scores": {"write.wap.enabled": "true"}}


class PartitionNameError(DataError):
    """A partition was not named as `namespace.table/ds=YYYY-MM-DD`."""


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
        """Read the partition's rows, `ds` included."""
        return spark.table(f"{CATALOG}.{self.table}").where(F.col("ds") == F.lit(self.ds))

    def overwrite_with(self, frame: DataFrame) -> None:
        """Replace the partition's rows by `frame`, with or without a column `ds`, in one atomic commit."""
        # A static filter, since a dynamic overwrite by an empty frame would leave the old rows in place.
        frame.withColumn("ds", F.lit(self.ds)).writeTo(f"{CATALOG}.{self.table}").overwrite(
            F.col("ds") == F.lit(self.ds)
        )


def ensure_tables(spark: SparkSession) -> None:
    """Create the tables and columns that are missing; safe when several dates start at once."""
    spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {CATALOG}.{NAMESPACE}")
    for table, columns in COLUMNS.items():
        properties = EVERY_TABLE | PROPERTIES.get(table, {})
        listed = ", ".join(f"'{key}' = '{value}'" for key, value in properties.items())
        spark.sql(
            f"CREATE TABLE IF NOT EXISTS {CATALOG}.{NAMESPACE}.{table} ({columns}) "
            f"USING iceberg PARTITIONED BY (ds) TBLPROPERTIES ({listed})"
        )
    for table, added in ADDED_COLUMNS.items():
        for column, column_type in added.items():
            add_column(spark, f"{CATALOG}.{NAMESPACE}.{table}", column, column_type)


def add_column(spark: SparkSession, table: str, column: str, column_type: str) -> None:
    """Add the column if the table lacks it."""
    if column in spark.table(table).columns:
        return
    try:
        spark.sql(f"ALTER TABLE {table} ADD COLUMN {column} {column_type}")
    except (PySparkException, Py4JJavaError):
        spark.catalog.refreshTable(table)
        if column not in spark.table(table).columns:  # otherwise another date's job has just added it
            raise


def current_snapshot(spark: SparkSession, table: str) -> str:
    """Read the id of the table's current snapshot.

    Raises:
        NeverWrittenError: nothing was ever written to the table.
    """
    main_branch = spark.sql(f"SELECT snapshot_id FROM {CATALOG}.{table}.refs WHERE name = 'main'").first()
    if main_branch is None:
        raise NeverWrittenError(
            f"{table} was never written to: run extract_sessions for the landed days first"
        )
    return str(main_branch.snapshot_id)
