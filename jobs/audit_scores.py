"""Check one day's staged scores and, if they pass every gate, publish them in one atomic step.

In   risk.risk_scores/ds=…     staged by score_users under a write-audit-publish id
     risk.user_sequences/ds=…  the users that must have a score
Out  the same rows, now visible; or, refused, the branch as it was: staged, invisible, named in the error

    AuditRefusedError   a gate failed; the message names every failed gate, with figures
    UnusualVolumeError  far fewer or far more users than in the last seven nights, and nobody released them
    NotStagedError      no branch carries the id
    StalePublishError   another run replaced the day's published scores after these were staged

Audited again after they were published, as after a lost answer, scores stay as they are: exit 0.
"""

import logging
import math
from typing import Annotated

import typer
from pyspark.sql import SparkSession

from jobs.command import parse_multiple, parse_share, run_job
from jobs.errors import DataError
from jobs.lake.staging import (
    count_written_rows,
    find_published_wap_id,
    find_staged_snapshot,
    publish,
    read_staged,
)
from jobs.lake.tables import TablePartition, check_tables_differ, ensure_tables
from jobs.lake.volume import Release, Volume, VolumeLimits, check_volume, rows_before
from jobs.scoring.gates import ScoreCounts, count_scores, failed_gates
from model_registry.versions import PinnedModel

logger = logging.getLogger(__name__)


class AuditRefusedError(DataError):
    """At least one gate failed."""


def audit(
    spark: SparkSession,
    sequences: TablePartition,
    scores: TablePartition,
    model: PinnedModel,
    wap_id: str,
    snapshot_id: int,
) -> ScoreCounts:
    """Check the scores staged under `wap_id` as `snapshot_id` against every gate.

    Raises:
        AuditRefusedError: a gate failed; the scores stay staged.
    """
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
    lowest_volume: Annotated[
        float,
        typer.Option(
            parser=parse_share,
            metavar="SHARE",
            help="fewest users, as a share of the median of the last seven nights",
        ),
    ] = 0.0,
    highest_volume: Annotated[
        float,
        typer.Option(
            parser=parse_multiple,
            metavar="MULTIPLE",
            help="most users, as a multiple of the median of the last seven nights",
        ),
    ] = math.inf,
    released_by: Annotated[str, typer.Option(help="who publishes an unusual number of users")] = "",
    release_reason: Annotated[str, typer.Option(help="why that number is right")] = "",
) -> None:
    """Audit one day's staged scores against its sequences and the pinned model, then publish them."""
    expected, target = TablePartition.parse(sequences), TablePartition.parse(scores)
    check_tables_differ(expected.table, target.table)
    pinned, release = PinnedModel.from_json(model), Release.of(released_by, release_reason)
    spark = SparkSession.builder.appName(f"audit_scores {target}").getOrCreate()
    ensure_tables(spark)
    if find_published_wap_id(spark, target) == wap_id:
        target.open(spark).drop(wap_id)
        logger.info("%s is published already under wap id %s: nothing to do", target, wap_id)
        return
    snapshot_id = find_staged_snapshot(spark, target, wap_id)
    counts = audit(spark, expected, target, pinned, wap_id, snapshot_id)
    users = Volume("users", counts.scored, rows_before(spark, target))
    check_volume(spark, target.ds, users, VolumeLimits(lowest_volume, highest_volume), release)
    if publish_scores:
        publish(spark, target, wap_id, snapshot_id)
        logger.info("published %s, wap id %s: %d rows", target, wap_id, counts.scored)


if __name__ == "__main__":
    run_job(main)
