"""The installs that were known of a user at the time of each label.

In   risk.install_sessions   u1, 0, …, ["maps", "chat"], [10:00:00, 10:04:10], ds=2026-01-30
     labels                  u1, as of 2026-01-31 00:00 UTC, label 1
Out  one row per label       u1, 1, 2026-01-31 00:00, ["maps", "chat"], [10:00:00, 10:04:10]

An install is known at `as_of` if it happened before and had landed by the end of that UTC day. The rows of a
history day landed all at once, long after they happened, and nobody knows when they would have landed:
they count as known once they have happened.
"""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.lake.user_sequences import collect_sequences, list_installs


def had_landed(lookback_days: int, history_days: Sequence[date]) -> Column:
    """Whether landing day `ds` is in the look-back of `as_of`, and had landed by then or is a history day."""
    as_of_day = F.to_date("as_of")
    by_then = (F.col("ds") <= as_of_day) | F.col("ds").isin(*history_days)
    return (F.col("ds") >= F.date_sub(as_of_day, lookback_days - 1)) & by_then


def had_happened(time: str) -> Column:
    """Whether the time in column `time` lies before `as_of`."""
    return F.col(time) < F.col("as_of")


def known_installs(
    sessions: DataFrame, labels: DataFrame, lookback_days: int, history_days: Sequence[date]
) -> DataFrame:
    """Give each label its user's installs that were known at its `as_of`.

    Returns:
        user_id, as_of, label, event_time, app_id; one row per label and install. A label without installs
        has no row.
    """
    landed = sessions.join(labels, "user_id").where(had_landed(lookback_days, history_days))
    started = landed.where(had_happened("started_at"))
    return list_installs(started, "user_id", "as_of", "label").where(had_happened("event_time"))


def build_examples(
    sessions: DataFrame,
    labels: DataFrame,
    lookback_days: int,
    max_sequence_length: int,
    history_days: Sequence[date] = (),
) -> DataFrame:
    """Make one example for each label whose user had a known install."""
    installs = known_installs(sessions, labels, lookback_days, history_days)
    sequences = collect_sequences(installs, ["user_id", "as_of", "label"], max_sequence_length)
    return sequences.select("user_id", "label", "as_of", "app_ids", "event_times")
