"""Write, audit, publish: stage scores where no reader sees them, then make them visible in one step.

In   risk.risk_scores/ds=2026-01-31, its rows, and a write-audit-publish id: nightly-2026-01-31-1
Out  one staged snapshot that carries the id, 2819138466029160431, and after `publish` the table's current
     snapshot

    WapIdTakenError         scores are already staged under the id
    StagingOffError         the table would show the scores to readers at once
    NotStagedError          no snapshot carries the id
    AmbiguousWapIdError     several snapshots carry the id, so it does not name one of them
    DuplicatePublishError   these scores are already published
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
    """Scores are already staged under this id: a second snapshot would make the id ambiguous."""


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
    """Check that the next write stays hidden, and that its id names no other snapshot.

    Raises:
        StagingOffError: without the table property, Iceberg ignores the id and publishes at once.
        WapIdTakenError: Iceberg would stage a second snapshot under the id, and then publish neither.
    """
    properties = spark.sql(f"SHOW TBLPROPERTIES {CATALOG}.{scores.table}").collect()
    if ("write.wap.enabled", "true") not in [(row.key, row.value) for row in properties]:
        raise StagingOffError(
            f"{scores.table} needs the table property write.wap.enabled=true, without which readers see "
            "scores before their audit: set it first"
        )
    staged = snapshots_with_wap_id(spark, scores.table, wap_id)
    if staged:
        raise WapIdTakenError(
            f"scores are already staged in {scores.table} under wap id {wap_id!r} (snapshot {staged[0]}): "
            "give every attempt its own id, such as run id and try number"
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
        NotStagedError: no snapshot carries the id.
        AmbiguousWapIdError: several do.
    """
    snapshot_ids = snapshots_with_wap_id(spark, table, wap_id)
    if not snapshot_ids:
        raise NotStagedError(
            f"no snapshot of {table} carries wap id {wap_id!r}: score_users did not finish under that id, "
            "or the snapshot has expired; score the day again"
        )
    if len(snapshot_ids) > 1:
        raise AmbiguousWapIdError(
            f"expected one snapshot of {table} with wap id {wap_id!r}, found {snapshot_ids}: "
            "score the day again under a new id"
        )
    return snapshot_ids[0]


def count_written_rows(spark: SparkSession, table: str, snapshot_id: int) -> dict[date, int]:
    """Count the rows that this snapshot adds to each day, from the table's metadata."""
    added = spark.sql(
        f"SELECT data_file.partition.ds AS ds, sum(data_file.record_count) AS written "
        f"FROM {CATALOG}.{table}.entries VERSION AS OF {snapshot_id} "
        f"WHERE snapshot_id = {snapshot_id} AND status = 1 GROUP BY 1"
    )
    return {row.ds: int(row.written) for row in added.collect()}


def read_staged(spark: SparkSession, scores: TablePartition, snapshot_id: int) -> DataFrame:
    """Read the day as readers will see it after the snapshot is published."""
    version = spark.sql(f"SELECT * FROM {CATALOG}.{scores.table} VERSION AS OF {snapshot_id}")
    return version.where(F.col("ds") == F.lit(scores.ds))


def publish(spark: SparkSession, scores: TablePartition, wap_id: str) -> int:
    """Make the scores staged under `wap_id` visible and return the table's current snapshot.

    If other days are published at the same moment, Iceberg checks again and commits on top of them.

    Raises:
        DuplicatePublishError, StalePublishError: nothing changes for readers.
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
    """Choose the error for what Iceberg threw; None if it has no name here, such as HDFS being down."""
    thrown = error.java_exception.getClass().getSimpleName()
    message = str(error.java_exception.getMessage())
    if thrown in ("DuplicateWAPCommitException", "CherrypickAncestorCommitException"):
        return DuplicatePublishError(
            f"wap id {wap_id!r} of {scores} is already published: nothing to do ({message})"
        )
    if thrown == "ValidationException" and ("cherry-pick" in message or "Missing required files" in message):
        return StalePublishError(
            f"another run replaced {scores} after wap id {wap_id!r} was staged; the staged scores stay "
            f"unpublished, score the day again if they are the right ones ({message})"
        )
    return None
