"""Build each user's last installs as of the end of one landing day.

In   risk.install_sessions, landing days of the look-back window; one row per user, landing day and session
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

from jobs.command import run_job
from jobs.lake.hadoop_files import HadoopFiles
from jobs.lake.receipts import DayRange, require_receipts
from jobs.lake.tables import TablePartition, check_tables_differ, ensure_tables, read_days, snapshot_now
from jobs.lake.user_sequences import (
    LOOKBACK_DAYS,
    MAX_SEQUENCE_LENGTH,
    collect_sequences,
    list_installs,
)

logger = logging.getLogger("build_sequences")


def build_sequences(sessions: DataFrame, max_sequence_length: int) -> DataFrame:
    """Make the rows of `user_sequences` (without `ds`): one for each user with an install."""
    installs = list_installs(sessions, "user_id")
    return collect_sequences(installs, ["user_id"], max_sequence_length)


def main(
    sessions: Annotated[str, typer.Option(help="table of sessions: risk.install_sessions")],
    sequences: Annotated[
        TablePartition,
        typer.Option(parser=TablePartition.parse, metavar="TABLE/ds=DAY", help="partition to write"),
    ],
    landing_root: Annotated[str, typer.Option(help="folder of the landing days: hdfs://…/landing/installs")],
    receipts_root: Annotated[
        str, typer.Option(help="folder of receipts: hdfs://…/receipts/extract_sessions")
    ],
    lookback_days: Annotated[
        int, typer.Option(min=1, help="landing days to look back over, the written day included")
    ] = LOOKBACK_DAYS,
    max_sequence_length: Annotated[
        int, typer.Option(min=1, help="installs to keep of each user, the last ones")
    ] = MAX_SEQUENCE_LENGTH,
) -> None:
    """Build the sequences of one landing day; a rerun replaces them."""
    check_tables_differ(sessions, sequences.table)
    window = DayRange(sequences.ds - timedelta(days=lookback_days - 1), sequences.ds)
    spark = SparkSession.builder.appName(f"build_sequences {sequences.ds}").getOrCreate()
    ensure_tables(spark)
    begun = snapshot_now(spark, sequences.table)
    # Receipts are checked before sessions are read: a receipt is written after its sessions.
    require_receipts(HadoopFiles(spark), landing_root, receipts_root, window)
    built = build_sequences(read_days(spark, sessions, window), max_sequence_length)
    sequences.overwrite_with(built, since=begun)
    logger.info("%s: sequences from the landing days %s", sequences, window)


if __name__ == "__main__":
    run_job(main)
