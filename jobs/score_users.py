"""Score every user of one landing day with the pinned model, staged where no reader sees it.

In   risk.user_sequences/ds=…  u1, ["maps", "chat"], [10:00, 10:04], sequence_length 2
     the pinned SavedModel     pulled to every executor by SparkFiles, its signature verified by the driver
                               and again by each executor, before it is loaded
Out  risk.risk_scores/ds=…     u1, 0.031, -3.44, 2, 0, risk_encoder, 3, ab12…, run_id, and with
                               --reasons-above the installs that raised the score of the riskiest users most
                               (jobs/scoring/reasons.py)

The rows make one Iceberg snapshot on a branch named by the write-audit-publish id; `audit_scores` publishes
it.
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import typer
from pyspark import SparkFiles, TaskContext
from pyspark.errors import PythonException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.command import parse_share, run_job
from jobs.errors import DataError
from jobs.lake.hadoop_files import HadoopFiles
from jobs.lake.staging import check_wap_id, stage_rows
from jobs.lake.tables import ADDED_COLUMNS, TablePartition, check_tables_differ, ensure_tables
from jobs.scoring.engine import load_once, verify_model
from jobs.scoring.reasons import ReasonsOptions
from jobs.scoring.stream import score_stream
from jobs.scoring.worker_errors import named_worker_error
from model_registry.signing import SUFFIX, unsigned
from model_registry.versions import PinnedModel

logger = logging.getLogger(__name__)

REASONS_TYPE = ADDED_COLUMNS["risk_scores"]["reasons"]
SCORED_COLUMNS = (
    "user_id string, risk_score double, logit double, sequence_length int, unknown_apps int, "
    f"reasons {REASONS_TYPE}"
)
# Some seconds of one core. With more users per task, cores would be idle at the end; with fewer, Python
# workers would spend longer importing TensorFlow than scoring.
USERS_PER_TASK = 25_000
# A batch of the default, 8,192, is much quicker than one user at a time; a thousand times as many would need
# gigabytes in every worker.
MOST_TOKENS_PER_BATCH = 2**20


class NoUsersError(DataError):
    """The day has no sequences, so there is no user to score."""


class EmptySequencesError(DataError):
    """Some users of the day have no installs."""


def score_with(
    model: PinnedModel, public_key: str, max_tokens_per_batch: int, reasons: ReasonsOptions | None = None
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """Build the function that executors run; SparkFiles finds the model there by `model.dirname`."""

    def score(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        task = TaskContext.get()
        num_threads = task.cpus() if task else 1
        loaded = load_once(Path(SparkFiles.get(model.dirname)), model.sha256, public_key, num_threads)
        yield from score_stream(batches, loaded, max_tokens_per_batch, reasons)

    return score


def score_users(
    sequences: DataFrame,
    model: PinnedModel,
    public_key: str,
    run_id: str,
    num_tasks: int,
    max_tokens_per_batch: int,
    reasons: ReasonsOptions | None = None,
) -> DataFrame:
    """Make one row of `risk_scores` (without `ds`) for every row of `sequences`."""
    score = score_with(model, public_key, max_tokens_per_batch, reasons)
    spread = spread_over(sequences.select("user_id", "app_ids", "event_times"), num_tasks)
    return spread.mapInArrow(score, SCORED_COLUMNS).select(
        "user_id",
        "risk_score",
        "logit",
        "sequence_length",
        "unknown_apps",
        F.lit(model.name).alias("model_name"),
        F.lit(model.version).cast("int").alias("model_version"),
        F.lit(model.sha256).alias("model_sha256"),
        F.lit(run_id).alias("run_id"),
        "reasons",
    )


def distribute_model(spark: SparkSession, model: PinnedModel, public_key: str) -> None:
    """Let executors fetch the model and its signature, once the driver has verified its own copy.

    Raises:
        UnsignedModelError, SignatureRefusedError, HashMismatchError: it is not as it was promoted.
    """
    signature = f"{model.uri}{SUFFIX}"
    if not HadoopFiles(spark).exists(signature):
        raise unsigned(signature)
    spark.sparkContext.addFile(model.uri, recursive=True)
    spark.sparkContext.addFile(signature)
    verify_model(Path(SparkFiles.get(model.dirname)), model.sha256, public_key)


def spread_over(sequences: DataFrame, num_tasks: int) -> DataFrame:
    """Make `num_tasks` partitions by hash of the user, each in order of users.

    So the same users meet in the same batches of every run, and a rerun gives the same scores to the last
    bit: float32 results depend on the shapes of a batch.
    """
    return sequences.repartition(num_tasks, "user_id").sortWithinPartitions("user_id")


def count_users(sequences: DataFrame, partition: TablePartition) -> int:
    """Count the day's users from Iceberg's metadata alone: no data file is read.

    Raises:
        NoUsersError: there are none.
        EmptySequencesError: a user's sequence is empty.
    """
    counts = sequences.agg(
        F.count(F.lit(1)).alias("users"), F.min("sequence_length").alias("shortest")
    ).first()
    if counts is None or counts.users == 0:
        raise NoUsersError(
            f"{partition} has no rows: expected one per user; run build_sequences for that day"
        )
    if (counts.shortest or 0) < 1:
        raise EmptySequencesError(
            f"{partition} has users with sequence_length {counts.shortest}: expected at least one install "
            "each; run build_sequences for that day"
        )
    return int(counts.users)


def stage(frame: DataFrame, scores: TablePartition, wap_id: str) -> None:
    """Write the day's scores to a branch, which replaces the day once it is published.

    Raises:
        WorkerRefusedError, WorkerFailedError: scoring failed on an executor; nothing is staged.
    """
    try:
        stage_rows(frame, scores, wap_id)
    except PythonException as error:
        raise named_worker_error(str(error)) from error


def main(
    sequences: Annotated[str, typer.Option(help="partition to score: risk.user_sequences/ds=2026-01-31")],
    scores: Annotated[str, typer.Option(help="partition to stage: risk.risk_scores/ds=2026-01-31")],
    model: Annotated[str, typer.Option(help="JSON that `python -m model_registry pin` printed")],
    public_key: Annotated[str, typer.Option(help="key that the model must be signed by, as one line")],
    wap_id: Annotated[str, typer.Option(help="write-audit-publish id, new for every attempt")],
    run_id: Annotated[str, typer.Option(help="the Airflow run, kept in every row")],
    max_tokens_per_batch: Annotated[
        int,
        typer.Option(
            min=1,
            max=MOST_TOKENS_PER_BATCH,
            help="users times their longest sequence, in one call of the model",
        ),
    ] = 8_192,
    reasons_above: Annotated[
        float | None,
        typer.Option(
            parser=parse_share, metavar="SCORE", help="lowest risk score that gets reasons; empty: none"
        ),
    ] = None,
    top_reasons: Annotated[int, typer.Option(min=1, help="most reasons of a user")] = 3,
) -> None:
    """Score one day's users with a pinned model; the scores stay staged until audit_scores publishes them."""
    source, target = TablePartition.parse(sequences), TablePartition.parse(scores)
    check_tables_differ(source.table, target.table)
    pinned = PinnedModel.from_json(model)
    spark = SparkSession.builder.appName(f"score_users {target}").getOrCreate()
    ensure_tables(spark)
    check_wap_id(spark, target, wap_id)
    rows = source.read(spark)
    users = count_users(rows, source)
    num_tasks = math.ceil(users / USERS_PER_TASK)
    logger.info("scoring %d users of %s with %s in %d tasks", users, source, pinned.dirname, num_tasks)
    distribute_model(spark, pinned, public_key)
    reasons = None if reasons_above is None else ReasonsOptions(reasons_above, top_reasons)
    scored = score_users(rows, pinned, public_key, run_id, num_tasks, max_tokens_per_batch, reasons)
    stage(scored, target, wap_id)
    logger.info("staged %s under wap id %s", target, wap_id)


if __name__ == "__main__":
    run_job(main)
