"""What an extraction would do with every row of a delivery, counted by landing day.

In   Delivery(days={2026-01-31: [part-0.jsonl.gz, …]})
Out  DayCounts(2026-01-31, landed=1000, accepted=905, duplicates=20, not_installs=60, rejected=15)
     Rejected("missing_field", 12, "file:/…/part-0.jsonl.gz", '{"user_id": "u1"}')

Rows are read and judged by the code of `extract_sessions`, all days at once.
"""

from datetime import UTC, date, datetime, time
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.errors import DataError
from jobs.landing.delivery import Delivery
from jobs.landing.event_rules import FIELDS, INSTALL, judge_events, latest_event
from jobs.landing.rows import read_rows

EXAMPLE_LENGTH = 200  # characters of a rejected row that are shown
ANY_DAY = date(2000, 1, 1)
# From the first moment of a landing day to the latest event that it accepts.
LATEST_EVENT = latest_event(ANY_DAY) - datetime.combine(ANY_DAY, time.min, tzinfo=UTC)


class NoEventsError(DataError):
    """No row of a history could be read, so it has no landing day."""


class DayCounts(NamedTuple):
    """Rows of a landing day by where they would go, as in `extraction_counts`."""

    ds: date
    landed: int
    accepted: int
    duplicates: int
    not_installs: int
    rejected: int


class Rejected(NamedTuple):
    """Rows that one rule rejects, and the first characters of one of them."""

    reason: str
    rows: int
    file: str
    raw: str


def judge_delivery(spark: SparkSession, delivery: Delivery, today: date) -> DataFrame:
    """Judge all rows, each by the rules of its landing day; the frame is cached.

    A history lands on the day of its latest event, which is no later than `today` (UTC).

    Returns:
        ds and the columns of `judge_events`.

    Raises:
        UnreadableFileError: a file cannot be opened.
        NoEventsError: a history without a good row.
    """
    judged = judge_events(
        read_rows(spark, delivery.files, FIELDS), max(delivery.days, default=today)
    ).persist()
    if delivery.days:
        ds = F.to_date(F.regexp_extract("file", r"/ds=([^/]+)/[^/]+$", 1))
    else:
        ds = F.lit(find_last_day(judged, today))
    by_day = judged.withColumn("ds", ds)

    is_too_late = F.col("event_time") > F.col("ds").cast("timestamp") + F.lit(LATEST_EVENT)
    reason = F.coalesce("reason", F.when(is_too_late, F.lit("time_out_of_range")))
    # `raw` is null where the rules of the latest day found nothing.
    raw = F.coalesce("raw", F.to_json(F.struct("user_id", "app_id", "event_time")))
    return by_day.withColumns({"reason": reason, "raw": raw})


def find_last_day(judged: DataFrame, today: date) -> date:
    """Find the day of the latest good event that is not in the future.

    Raises:
        NoEventsError: there is none.
    """
    event_day = F.to_date("event_time")
    good = judged.where(F.col("reason").isNull() & (event_day <= F.lit(today)))
    last: date | None = good.agg(F.max(event_day).alias("day")).collect()[0].day
    if last is None:
        first = judged.select("reason", F.substring("raw", 1, EXAMPLE_LENGTH).alias("raw")).first()
        found = f"; for example {first.reason}: {first.raw}" if first else ", the files have no rows"
        raise NoEventsError(f"no row has a user, an app and a time up to today{found}")
    return last


def count_copies(judged: DataFrame) -> DataFrame:
    """Count how often each good event landed on a day."""
    events = judged.where(F.col("reason").isNull())
    return events.groupBy("ds", "user_id", "app_id", "event_time", "event_type").agg(
        F.count("*").alias("copies")
    )


def keep_installs(events: DataFrame) -> DataFrame:
    """Keep ds, user_id, app_id and event_time of the installs."""
    return events.where(F.col("event_type") == INSTALL).select("ds", "user_id", "app_id", "event_time")


def count_days(judged: DataFrame, events: DataFrame, days: list[date]) -> list[DayCounts]:
    """Count each landing day, in order: those with rows, and those of `days` that are empty."""
    is_install = F.col("event_type") == INSTALL
    good = events.groupBy("ds").agg(
        F.count_if(is_install).alias("accepted"),
        F.sum(F.col("copies") - 1).alias("duplicates"),
        F.count_if(~is_install).alias("not_installs"),
    )
    bad = judged.groupBy("ds").agg(
        F.count("*").alias("landed"), F.count_if(F.col("reason").isNotNull()).alias("rejected")
    )
    counted = {row.ds: row.asDict() for row in bad.join(good, "ds", "left").fillna(0).collect()}
    empty = dict.fromkeys(DayCounts._fields, 0)
    return [DayCounts(**(empty | {"ds": day} | counted.get(day, {}))) for day in sorted({*days, *counted})]


def count_rejected(judged: DataFrame) -> list[Rejected]:
    """Count the rejected rows of all days by reason, the most frequent first."""
    row = F.struct("file", F.substring("raw", 1, EXAMPLE_LENGTH).alias("raw"))
    bad = judged.where(F.col("reason").isNotNull()).select("reason", row.alias("row"))
    reasons = bad.groupBy("reason").agg(F.count("*").alias("rows"), F.min("row").alias("example"))
    rows = reasons.orderBy(F.desc("rows"), "reason").collect()  # one row per rule at most
    return [Rejected(row.reason, row.rows, row.example.file, row.example.raw) for row in rows]
