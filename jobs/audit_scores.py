"""Check one day's staged scores and, if every gate holds, publish them to readers in one atomic step.

In   risk.risk_scores/ds=…     staged by score_users under a write-audit-publish id
     risk.user_sequences/ds=…  who must have a score
Out  the same rows, now visible; or, refused, the snapshot as it was: staged, invisible, named in the error

    AuditRefusedError       a gate failed; the message names every one that did, with figures
    NotStagedError          no snapshot carries the id
    AmbiguousWapIdError     several do, so it cannot say which one is meant
    DuplicatePublishError   these scores are published already
    StalePublishError       another run replaced the day's published scores after these were staged
"""

import logging
from datetime import date
from typing import Annotated

import typer
from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.command import run_job
from jobs.errors import DataError
from jobs.scoring.gates import Findings, examine, failed_gates
from jobs.scoring.snapshots import snapshots_with_wap_id
from jobs.tables import CATALOG, TablePartition
from model_registry.versions import PinnedModel

logger = logging.getLogger(__name__)


class AuditRefusedError(DataError):
    """At least one gate failed."""


class NotStagedError(DataError):
    """No snapshot of the table carries the write-audit-publish id."""


class AmbiguousWapIdError(DataError):
    """More than one snapshot of the table carries the write-audit-publish id."""


class DuplicatePublishError(DataError):
    """The scores staged under the id were published before."""


class StalePublishError(DataError):
    """The published scores of the day changed after these were staged."""


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


def audit(
    spark: SparkSession, sequences: TablePartition, scores: TablePartition, model: PinnedModel, wap_id: str
) -> Findings:
    """Hold the scores staged under `wap_id` to every gate.

    Raises:
        AuditRefusedError: the scores stay staged.
    """
    snapshot_id = find_staged_snapshot(spark, scores.table, wap_id)
    found = examine(sequences.read(spark), read_staged(spark, scores, snapshot_id), model)
    failed = failed_gates(found, model, count_written_rows(spark, scores.table, snapshot_id), scores.ds)
    if failed:
        raise AuditRefusedError(
            f"{scores} is not published; wap id {wap_id!r}, snapshot {snapshot_id}, stays staged: "
            + "; ".join(failed)
        )
    logger.info("audit passed for %s, wap id %s, snapshot %d: %s", scores, wap_id, snapshot_id, found)
    return found


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


def main(
    sequences: Annotated[str, typer.Option(help="who must have a score: risk.user_sequences/ds=2026-01-31")],
    scores: Annotated[str, typer.Option(help="partition to audit: risk.risk_scores/ds=2026-01-31")],
    model: Annotated[str, typer.Option(help="JSON that `python -m model_registry pin` printed")],
    wap_id: Annotated[str, typer.Option(help="what score_users staged under")],
    publish_scores: Annotated[
        bool, typer.Option("--publish/--no-publish", help="publish what passes, or only report")
    ] = True,
) -> None:
    """Audit one day's staged scores against its sequences and the pinned model, then publish them."""
    expected, target = TablePartition.parse(sequences), TablePartition.parse(scores)
    pinned = PinnedModel.from_json(model)
    spark = SparkSession.builder.appName(f"audit_scores {target}").getOrCreate()
    found = audit(spark, expected, target, pinned, wap_id)
    if publish_scores:
        snapshot_id = publish(spark, target, wap_id)
        logger.info("published %s as snapshot %d: %d rows", target, snapshot_id, found.scored)


if __name__ == "__main__":
    run_job(main)
