"""Build each user's last installs as of the end of one landing day.

In   risk.install_sessions, all landing days of the look-back window; one row per user, landing day and session
         u1, 0, …, ["maps", "chat"], [10:00:00, 10:04:10], ds=2026-01-30
Out  risk.user_sequences ds=2026-01-31; one row per user, first install first
         u1, ["maps", "chat", "bank"], [10:00:00, 10:04:10, 22:15:00], 3

Installs are in order of (event_time, app_id). One that was delivered on two landing days counts once.
"""

import logging
from datetime import timedelta
from typing import Annotated

import typer
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.command import run_job
from jobs.hadoop_files import HadoopFiles
from jobs.receipts import Window, require_receipts
from jobs.tables import CATALOG, TablePartition, ensure_tables

logger = logging.getLogger("build_sequences")

LOOKBACK_DAYS = 365
MAX_SEQUENCE_LENGTH = 2_048  # what the model reads of a user by default: `recipe.max_history`


def landed_in(sessions: DataFrame, window: Window) -> DataFrame:
    """Keep the sessions that landed in the window."""
    return sessions.where(F.col("ds").between(F.lit(window.first), F.lit(window.last)))


def list_installs(sessions: DataFrame, *keys: str) -> DataFrame:
    """Make one row for each install of the sessions: `keys`, event_time, app_id."""
    install = F.explode(F.arrays_zip("event_times", "app_ids"))
    exploded = sessions.select(*keys, install.alias("install"))
    return exploded.select(
        *keys, F.col("install.event_times").alias("event_time"), F.col("install.app_ids").alias("app_id")
    )


def collect_sequences(installs: DataFrame, keys: list[str], max_sequence_length: int) -> DataFrame:
    """Collect the last installs of each combination of `keys`, each install once.

    Returns:
        `keys`, app_ids and event_times (parallel, first install first), sequence_length (1 to the maximum).
    """
    # Newest first, so that the last installs are the head, however many there are.
    newest_first = F.sort_array(F.collect_set(F.struct("event_time", "app_id")), asc=False)
    kept = F.reverse(F.slice("newest_first", 1, max_sequence_length))

    sequences = installs.groupBy(*keys).agg(newest_first.alias("newest_first")).withColumn("kept", kept)
    return sequences.select(
        *keys,
        F.col("kept.app_id").alias("app_ids"),
        F.col("kept.event_time").alias("event_times"),
        F.size("kept").alias("sequence_length"),
    )


def build_sequences(sessions: DataFrame, window: Window, max_sequence_length: int) -> DataFrame:
    """Make one row of `user_sequences` (without `ds`) for each user with an install that landed in the window."""
    installs = list_installs(landed_in(sessions, window), "user_id")
    return collect_sequences(installs, ["user_id"], max_sequence_length)


def main(
    sessions: Annotated[str, typer.Option(help="table of sessions: risk.install_sessions")],
    sequences: Annotated[
        TablePartition,
        typer.Option(parser=TablePartition.parse, metavar="TABLE/ds=DAY", help="what is written"),
    ],
    landing_root: Annotated[str, typer.Option(help="folder of the landing days: hdfs://…/landing/installs")],
    receipts_root: Annotated[
        str, typer.Option(help="folder of receipts: hdfs://…/receipts/extract_sessions")
    ],
    lookback_days: Annotated[
        int, typer.Option(min=1, help="landing days of the window, the written day included")
    ] = LOOKBACK_DAYS,
    max_sequence_length: Annotated[
        int, typer.Option(min=1, help="installs kept of a user, the last ones")
    ] = MAX_SEQUENCE_LENGTH,
) -> None:
    """Build the sequences of one landing day; a rerun replaces them."""
    window = Window(sequences.ds - timedelta(days=lookback_days - 1), sequences.ds)
    spark = SparkSession.builder.appName(f"build_sequences {sequences.ds}").getOrCreate()
    ensure_tables(spark)
    # First the receipts, then the sessions: a receipt is written after its sessions.
    require_receipts(HadoopFiles(spark), landing_root, receipts_root, window)
    built = build_sequences(spark.table(f"{CATALOG}.{sessions}"), window, max_sequence_length)
    sequences.overwrite_with(built)
    logger.info("%s: sequences from the landing days %s", sequences, window)


if __name__ == "__main__":
    run_job(main)
