"""Check one day's staged scores and, if they pass every gate, publish them in one atomic step.

In   risk.risk_scores/ds=…     staged by score_users under a write-audit-publish id
     risk.user_sequences/ds=…  the users that must have a score
Out  the same rows, now visible; or, refused, the snapshot as it was: staged, invisible, named in the error

    AuditRefusedError       a gate failed; the message names every failed gate, with figures
    NotStagedError          no snapshot carries the id
    AmbiguousWapIdError     several snapshots carry the id, so it does not name one of them
    DuplicatePublishError   these scores are already published
    StalePublishError       another run replaced the day's published scores after these were staged
"""

import logging
from typing import Annotated

import typer
from pyspark.sql import SparkSession

from jobs.command import run_job
from jobs.errors import DataError
from jobs.lake.staging import (
    count_written_rows,
    find_staged_snapshot,
    publish,
    read_staged,
)
from jobs.lake.tables import TablePartition
from jobs.scoring.gates import ScoreCounts, count_scores, failed_gates
from model_registry.versions import PinnedModel

logger = logging.getLogger(__name__)


class AuditRefusedError(DataError):
    """At least one gate failed."""


def audit(
    spark: SparkSession, sequences: TablePartition, scores: TablePartition, model: PinnedModel, wap_id: str
) -> ScoreCounts:
    """Check the scores staged under `wap_id` against every gate.

    Raises:
        AuditRefusedError: a gate failed; the scores stay staged.
    """
    snapshot_id = find_staged_snapshot(spark, scores.table, wap_id)
    counts = count_scores(sequences.read(spark), read_staged(spark, scores, snapshot_id), model)
    failed = failed_gates(counts, model, count_written_rows(spark, scores.table, snapshot_id), scores.ds)
    if failed:
        raise AuditRefusedError(
            f"{scores} is not published; wap id {wap_id!r}, snapshot {snapshot_id}, stays staged: "
            + "; ".join(failed)
        )
    logger.info("audit passed for %s, wap id %s, snapshot %d: %s", scores, wap_id, snapshot_id, counts)
    return counts


def main(
    sequences: Annotated[
        str, typer.Option(help="users that must have a score: risk.user_sequences/ds=2026-01-31")
    ],
    scores: Annotated[str, typer.Option(help="partition to audit: risk.risk_scores/ds=2026-01-31")],
    model: Annotated[str, typer.Option(help="JSON that `python -m model_registry pin` printed")],
    wap_id: Annotated[str, typer.Option(help="write-audit-publish id of the staged scores")],
    publish_scores: Annotated[
        bool, typer.Option("--publish/--no-publish", help="publish scores that pass, or only check them")
    ] = True,
) -> None:
    """Audit one day's staged scores against its sequences and the pinned model, then publish them."""
    expected, target = TablePartition.parse(sequences), TablePartition.parse(scores)
    pinned = PinnedModel.from_json(model)
    spark = SparkSession.builder.appName(f"audit_scores {target}").getOrCreate()
    counts = audit(spark, expected, target, pinned, wap_id)
    if publish_scores:
        snapshot_id = publish(spark, target, wap_id)
        logger.info("published %s as snapshot %d: %d rows", target, snapshot_id, counts.scored)


if __name__ == "__main__":
    run_job(main)
