"""A user's last installs, from the sessions of many landing days.

In   risk.install_sessions   u1, 0, …, ["maps", "chat"], [10:00:00, 10:04:10], ds=2026-01-30
Out  one row per user        u1, ["maps", "chat", "bank"], [10:00:00, 10:04:10, 22:15:00], 3

Installs are in order of (event_time, app_id). One that was delivered on two landing days counts once.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

LOOKBACK_DAYS = 365
MAX_SEQUENCE_LENGTH = 2_048  # installs that the model reads by default: `recipe.max_history`


def list_installs(sessions: DataFrame, *keys: str) -> DataFrame:
    """Make one row of each install of the sessions: `keys`, event_time, app_id."""
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
    # A window spills to disk, an array does not: only the kept installs are collected. Copies share a rank.
    newest_first = Window.partitionBy(*keys).orderBy(F.desc("event_time"), F.desc("app_id"))
    newest = installs.withColumn("rank", F.dense_rank().over(newest_first)).where(
        F.col("rank") <= max_sequence_length
    )
    in_order = F.sort_array(F.collect_set(F.struct("event_time", "app_id")))
    sequences = newest.groupBy(*keys).agg(in_order.alias("kept"))
    return sequences.select(
        *keys,
        F.col("kept.app_id").alias("app_ids"),
        F.col("kept.event_time").alias("event_times"),
        F.size("kept").alias("sequence_length"),
    )
