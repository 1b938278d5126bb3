"""Write, audit, publish: scores staged where no reader looks, found again, and made visible in one step.

In   risk.risk_scores/ds=2026-01-31, its rows, and a write-audit-publish id: nightly-2026-01-31-1
Out  one staged snapshot that carries the id, 2819138466029160431, and after `publish` the table's current snapshot

    WapIdTakenError         scores are staged under the id already
    StagingOffError         the table would show the scores to readers at once
    NotStagedError          no snapshot carries the id
    AmbiguousWapIdError     several do, so it cannot say which one is meant
    DuplicatePublishError   these scores are published already
    StalePublishError       another run replaced the day's published scores after these were staged
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.errors import DataError
from jobs.lake.tables import CATALOG, TablePartition

WAP_ID_SETTING = "spark.wap.id"


class WapIdTakenError(DataError):
    """Scores are staged under this id already: a second snapshot would make the id ambiguous."""


class StagingOffError(DataError):
    """The table would show the scores to readers at once."""


class NotStagedError(DataError):
    """No snapshot of the table carries the write-audit-publish id."""


class AmbiguousWapIdError(DataError):
    """More than one snapshot of the table carries the write-audit-publish id."""


class DuplicatePublishError(DataError):
    """The scores staged under the id were published before."""


class StalePublishError(DataError):
    """The published scores of the day changed after these were staged."""


def snapshots_with_wap_id(spark: SparkSession, table: str, wap_id: str) -> list[int]:
    """List the snapshots staged under `wap_id`, oldest first; published ones keep their id and count too."""
    rows = spark.sql(
        f"SELECT snapshot_id FROM {CATALOG}.{table}.snapshots "
        "WHERE summary['wap.id'] = :wap_id ORDER BY committed_at",
        args={"wap_id": wap_id},
    ).collect()
    return [row.snapshot_id for row in rows]


def check_can_stage(spark: SparkSession, scores: TablePartition, wap_id: str) -> None:
    """Make sure that what is written next stays hidden, under an id that names only it.

    Raises:
        StagingOffError: without the table property Iceberg ignores the id and writes for all to see.
        WapIdTakenError: Iceberg stages a second snapshot under the same id, and then publishes neither.
    """
    properties = spark.sql(f"SHOW TBLPROPERTIES {CATALOG}.{scores.table}").collect()
    if ("write.wap.enabled", "true") not in [(row.key, row.value) for row in properties]:
        raise StagingOffError(f"{scores.table} needs the table property write.wap.enabled=true, set it first")
    staged = snapshots_with_wap_id(spark, scores.table, wap_id)
    if staged:
        raise WapIdTakenError(
            f"scores are staged in {scores.table} under wap id {wap_id!r} already (snapshot {staged[0]}): "
            "give every attempt an id of its own, such as run id and try number"
        )


@contextmanager
def staging_as(spark: SparkSession, wap_id: str) -> Iterator[None]:
    """Stage every write of this session to a write-audit-publish table under `wap_id`."""
    spark.conf.set(WAP_ID_SETTING, wap_id)
    try:
        yield
    finally:
        spark.conf.unset(WAP_ID_SETTING)


def find_staged_snapshot(spark: SparkSession, table: str, wap_id: str) -> int:
    """Find the one snapshot staged under `wap_id`.

    Raises:
        NotStagedError, AmbiguousWapIdError: none, or several.
    """
    found = snapshots_with_wap_id(spark, table, wap_id)
    if not found:
        raise NotStagedError(
            f"no snapshot of {table} carries wap id {wap_id!r}: score_users did not finish under that id, "
            "or the snapshot has expired since; score the day again"
        )
    if len(found) > 1:
        raise AmbiguousWapIdError(
            f"snapshots {found} of {table} all carry wap id {wap_id!r}: score the day again under a new id"
        )
    return found[0]


def count_written_rows(spark: SparkSession, table: str, snapshot_id: int) -> dict[date, int]:
    """Count the rows that a snapshot itself adds to each day, from the table's metadata."""
    added = spark.sql(
        f"SELECT data_file.partition.ds AS ds, sum(data_file.record_count) AS written "
        f"FROM {CATALOG}.{table}.entries VERSION AS OF {snapshot_id} "
        f"WHERE snapshot_id = {snapshot_id} AND status = 1 GROUP BY 1"
    )
    return {row.ds: int(row.written) for row in added.collect()}


def read_staged(spark: SparkSession, scores: TablePartition, snapshot_id: int) -> DataFrame:
    """Read the day as it will be once the snapshot is published."""
    version = spark.sql(f"SELECT * FROM {CATALOG}.{scores.table} VERSION AS OF {snapshot_id}")
    return version.where(F.col("ds") == F.lit(scores.ds))


def publish(spark: SparkSession, scores: TablePartition, wap_id: str) -> int:
    """Make the scores staged under `wap_id` visible and return the table's current snapshot.

    When other days are published at the same moment, Iceberg itself checks and commits again on their result.

    Raises:
        DuplicatePublishError, StalePublishError: readers see what they saw before.
    """
    try:
        (published,) = spark.sql(
            f"CALL {CATALOG}.system.publish_changes(table => '{scores.table}', wap_id => :wap_id)",
            args={"wap_id": wap_id},
        ).collect()
    except Py4JJavaError as error:
        named = named_publish_error(error, scores, wap_id)
        if named is None:
            raise
        raise named from error
    return int(published.current_snapshot_id)


def named_publish_error(error: Py4JJavaError, scores: TablePartition, wap_id: str) -> DataError | None:
    """Choose the error for what Iceberg threw; None for what has no name here, such as HDFS being away."""
    thrown = error.java_exception.getClass().getSimpleName()
    message = str(error.java_exception.getMessage())
    if thrown in ("DuplicateWAPCommitException", "CherrypickAncestorCommitException"):
        return DuplicatePublishError(f"wap id {wap_id!r} of {scores} is published already ({message})")
    if thrown == "ValidationException" and ("cherry-pick" in message or "Missing required files" in message):
        return StalePublishError(
            f"{scores} was replaced after wap id {wap_id!r} was staged, which stays staged; "
            f"score the day again if these scores are the wanted ones ({message})"
        )
    return None
