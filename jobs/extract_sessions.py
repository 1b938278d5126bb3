"""Turn raw install logs into sessions, one landing day at a time, and account for every row.

In   landing/installs/ds=…        {"user_id": "u1", "app_id": "maps", "event_time": "2026-01-31T10:00:00Z"}
Out  risk.install_sessions ds=…   u1, 0, 10:00:00, 10:04:10, ["maps", "chat"], [10:00:00, 10:04:10]
     risk.rejected_events ds=…    file, raw text, reason; one row per bad row
     risk.extraction_counts ds=…  landed 4, accepted 2, duplicates 0, not_installs 1, rejected 1, files 1
     receipts/…/ds=….json         the same counts, written last: it says that these files have been extracted

`ds` is the UTC day on which the files landed; the events may be years older. Sessions do not cross landing
days.
"""

import json
import logging
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Annotated

import typer
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from jobs.command import parse_multiple, parse_share, run_job
from jobs.errors import DataError
from jobs.lake.branches import PartitionChangedError
from jobs.lake.hadoop_files import HadoopFiles
from jobs.lake.receipts import (
    DayRange,
    DeliveryChangedError,
    find_unextracted,
    hash_delivery,
    is_extracted,
    list_landed_days,
    list_names,
    read_delivery,
)
from jobs.lake.tables import TablePartition, check_tables_differ, ensure_tables, snapshot_now
from jobs.lake.volume import Release, Volume, VolumeLimits, check_volume, landed_before
from jobs.landing.event_rules import FIELDS, INSTALL, MAX_BAD_SHARE, judge_events
from jobs.landing.files import SUCCESS, list_complete_day
from jobs.landing.rows import read_rows, reading_alone
from jobs.landing.unreadable import naming_unreadable_files

logger = logging.getLogger("extract_sessions")

SESSION_GAP_SECONDS = 30 * 60
# A session is one array in memory. Only programs install an app a minute for a day; their sessions are cut.
LONGEST_SESSION = 2_048  # installs
EXAMPLE_LENGTH = 200  # characters of a bad row that an error shows


class TooManyBadRowsError(DataError):
    """More rows are bad than allowed, so the whole delivery is suspect."""


class CountsDisagreeError(DataError):
    """Rows appeared or disappeared on the way from landed files to sessions."""


@dataclass(frozen=True)
class Places:
    """Folders of landing days and of receipts, and the tables to write."""

    landing_root: str
    receipts_root: str
    sessions: str
    rejected: str
    counts: str


@dataclass(frozen=True)
class Counts:
    """Counts of a day's landed rows by where they went, and the number of files they came in."""

    landed: int
    accepted: int
    duplicates: int
    not_installs: int
    rejected: int
    files: int

    def __str__(self) -> str:
        return (
            f"landed {self.landed} = accepted {self.accepted} + duplicates {self.duplicates} "
            f"+ not installs {self.not_installs} + rejected {self.rejected}, files {self.files}"
        )

    def check(self) -> None:
        """Raise CountsDisagreeError unless every landed row went to exactly one place."""
        total = self.accepted + self.duplicates + self.not_installs + self.rejected
        if total != self.landed:
            raise CountsDisagreeError(
                f"{self}: the right side adds up to {total}, so the job lost or repeated rows; "
                "nothing is published"
            )


def count_copies(judged: DataFrame) -> DataFrame:
    """Count how often each good event landed.

    Returns:
        One row per user_id, app_id, event_time and event_type, with `copies`.
    """
    # One shuffle by user serves this grouping, the window of assign_sessions and the grouping of
    # collect_sessions.
    by_user = judged.where(F.col("reason").isNull()).repartition("user_id")
    return by_user.groupBy("user_id", "app_id", "event_time", "event_type").agg(F.count("*").alias("copies"))


def keep_installs(events: DataFrame) -> DataFrame:
    """Keep user_id, app_id and event_time of the installs."""
    return events.where(F.col("event_type") == INSTALL).select("user_id", "app_id", "event_time")


def assign_sessions(
    installs: DataFrame, gap_seconds: int = SESSION_GAP_SECONDS, longest_session: int = LONGEST_SESSION
) -> DataFrame:
    """Add 0-based `session_index`, raised when a user is idle for `gap_seconds` or longer.

    It is also raised after `longest_session` installs.
    """
    # app_id breaks ties, so a rerun cuts the same sessions.
    by_user = Window.partitionBy("user_id").orderBy("event_time", "app_id")
    up_to_here = by_user.rowsBetween(Window.unboundedPreceding, Window.currentRow)

    microseconds = F.unix_micros("event_time")
    idle_microseconds = microseconds - F.lag(microseconds).over(by_user)  # null on a user's first install
    was_idle = F.coalesce(idle_microseconds >= gap_seconds * 1_000_000, F.lit(True))
    position = F.row_number().over(by_user)

    # Spark rejects a window inside a window, hence three steps. They share one order, hence one sort.
    marked = installs.withColumn("position", position).withColumn(
        "began_at", F.when(was_idle, F.col("position"))
    )
    since_idle = F.col("position") - F.max("began_at").over(up_to_here)
    marked = marked.withColumn("starts_session", (since_idle % longest_session == 0).cast("int"))
    session_index = F.sum("starts_session").over(up_to_here).cast("int") - 1
    return marked.withColumn("session_index", session_index).drop("position", "began_at", "starts_session")


def collect_sessions(installs: DataFrame) -> DataFrame:
    """Make one row of `install_sessions` (without `ds`) for each user and `session_index`."""
    in_order = F.sort_array(F.collect_list(F.struct("event_time", "app_id")))
    sessions = installs.groupBy("user_id", "session_index").agg(
        F.min("event_time").alias("started_at"),
        F.max("event_time").alias("ended_at"),
        in_order.alias("installs"),
    )
    return sessions.select(
        "user_id",
        "session_index",
        "started_at",
        "ended_at",
        F.col("installs.app_id").alias("app_ids"),
        F.col("installs.event_time").alias("event_times"),
    )


def select_rejected(judged: DataFrame) -> DataFrame:
    """Select the rows of `rejected_events` (without `ds`)."""
    return judged.where(F.col("reason").isNotNull()).select("file", "raw", "reason")


def count_rows(
    landed: int, files: int, rejected: DataFrame, events: DataFrame, sessions: DataFrame
) -> Counts:
    """Count each part of a day in its own frame, so that `Counts.check` can notice a lost row."""
    repeated = events.agg(
        F.coalesce(F.sum(F.col("copies") - 1), F.lit(0)).alias("duplicates"),
        F.count_if(F.col("event_type") != INSTALL).alias("not_installs"),
    ).collect()[0]
    accepted = sessions.agg(F.coalesce(F.sum(F.size("app_ids")), F.lit(0)).alias("installs")).collect()[0]
    return Counts(
        landed=landed,
        accepted=accepted.installs,
        duplicates=repeated.duplicates,
        not_installs=repeated.not_installs,
        rejected=rejected.count(),
        files=files,
    )


def check_bad_share(rejected: DataFrame, landed: int, max_bad_share: float) -> None:
    """Check that at most `max_bad_share` of the rows are bad.

    Raises:
        TooManyBadRowsError: more are; the message holds each reason's count and one row.
    """
    by_reason = rejected.groupBy("reason").agg(
        F.count("*").alias("rows"), F.min_by(F.struct("file", "raw"), "raw").alias("example")
    )
    reasons = by_reason.orderBy(F.desc("rows"), "reason").collect()  # one row per rule at most
    bad = sum(reason.rows for reason in reasons)
    if bad <= max_bad_share * landed:
        return
    listed = ", ".join(f"{reason.reason} {reason.rows}" for reason in reasons)
    example = reasons[0].example
    raise TooManyBadRowsError(
        f"{bad} of {landed} rows ({bad / landed:.1%}) are bad, allowed are {max_bad_share:.1%}, "
        f"nothing is published: {listed}; "
        f"for example {reasons[0].reason} in {example.file}: {example.raw[:EXAMPLE_LENGTH]}"
    )


def check_unchanged(files: HadoopFiles, folder: str, delivery: str) -> None:
    """Check that the folder still holds the delivery with this hash.

    Raises:
        DeliveryChangedError: it holds other files.
    """
    if hash_delivery(files, folder) != delivery:
        raise DeliveryChangedError(
            f"expected the files of {folder} to stay as they were listed at the start, found other names, "
            "sizes or times: extract the day again once its delivery is complete"
        )


@dataclass(frozen=True)
class Rules:
    """What a day's delivery must meet, and how its installs are cut into sessions."""

    max_bad_share: float
    session_gap_seconds: int
    volume: VolumeLimits


def extract_day(
    spark: SparkSession, places: Places, ds: date, rules: Rules, release: Release | None
) -> Counts:
    """Extract one landing day; a rerun replaces what it wrote.

    Raises:
        DayNotCompleteError: the day has not landed completely.
        UnreadableFileError, TooManyBadRowsError, UnusualVolumeError, CountsDisagreeError: nothing is
            published, and these files get no receipt.
        DeliveryChangedError: files came, went or changed meanwhile; these files get no receipt.
        PartitionChangedError: another job wrote the day since this one began; it gets no receipt.
    """
    files, folder = HadoopFiles(spark), f"{places.landing_root}/ds={ds}"
    receipt = f"{places.receipts_root}/ds={ds}.json"
    rejected, sessions, counted = (
        TablePartition(table, ds) for table in (places.rejected, places.sessions, places.counts)
    )
    begun = {partition: snapshot_now(spark, partition.table) for partition in (rejected, sessions, counted)}
    # First: what changes from here on is noticed.
    delivery = hash_delivery(files, folder)
    landed_files = list_complete_day(files, folder)

    # Every landed file is read here and nowhere below: what fails later is not the fault of a file.
    with naming_unreadable_files(landed_files, reading_alone(spark, FIELDS)):
        judged = judge_events(read_rows(spark, landed_files, FIELDS), ds).persist()
        landed = judged.count()
    bad_rows = select_rejected(judged)
    check_bad_share(bad_rows, landed, rules.max_bad_share)
    check_volume(spark, ds, Volume("events", landed, landed_before(spark, counted)), rules.volume, release)

    events = count_copies(judged)
    user_sessions = collect_sessions(
        assign_sessions(keep_installs(events), rules.session_gap_seconds)
    ).persist()
    counts = count_rows(landed, len(landed_files), bad_rows, events, user_sessions)
    counts.check()

    check_unchanged(files, folder, delivery)
    # From here on the tables are no longer what a receipt of other files says.
    if read_delivery(files, receipt) != delivery:
        files.delete(receipt)
    rejected.overwrite_with(bad_rows, begun[rejected])
    sessions.overwrite_with(user_sessions, begun[sessions])
    counts_row = spark.range(1).select(*(F.lit(n).alias(name) for name, n in asdict(counts).items()))
    counted.overwrite_with(counts_row, begun[counted])
    check_unchanged(files, folder, delivery)
    files.write(receipt, json.dumps({"ds": str(ds), "delivery": delivery, **asdict(counts)}))
    user_sessions.unpersist()
    judged.unpersist()
    return counts


def find_days_to_extract(files: HadoopFiles, places: Places, window: DayRange) -> Iterator[date]:
    """Find the complete days of the window that have no receipt of their files, newest first.

    Each is looked at again when its turn comes: the job of another date may have extracted it by then.
    """
    landed = list_landed_days(files, places.landing_root, window)
    for ds in reversed(find_unextracted(files, places.landing_root, places.receipts_root, landed)):
        is_complete = SUCCESS in list_names(files, f"{places.landing_root}/ds={ds}")
        if is_complete and not is_extracted(files, places.landing_root, places.receipts_root, ds):
            yield ds


def main(
    landing_root: Annotated[str, typer.Option(help="folder of the landing days: hdfs://…/landing/installs")],
    receipts_root: Annotated[
        str, typer.Option(help="folder of receipts: hdfs://…/receipts/extract_sessions")
    ],
    sessions: Annotated[str, typer.Option(help="table written to: risk.install_sessions")],
    rejected: Annotated[str, typer.Option(help="table written to: risk.rejected_events")],
    counts: Annotated[str, typer.Option(help="table written to: risk.extraction_counts")],
    day: Annotated[
        list[date],
        typer.Option(
            parser=date.fromisoformat, metavar="DATE", help="landing day; repeat the option for several"
        ),
    ],
    max_bad_share: Annotated[
        float,
        typer.Option(
            parser=parse_share, metavar="SHARE", help="largest share of bad rows in a day's delivery"
        ),
    ] = MAX_BAD_SHARE,
    session_gap_seconds: Annotated[
        int, typer.Option(min=1, help="idle time that ends a session")
    ] = SESSION_GAP_SECONDS,
    lookback_days: Annotated[
        int,
        typer.Option(min=1, help="extract also what lacks a receipt of this many days up to the last --day"),
    ] = 1,
    lowest_volume: Annotated[
        float,
        typer.Option(
            parser=parse_share,
            metavar="SHARE",
            help="fewest rows, as a share of the median of the last seven days",
        ),
    ] = 0.0,
    highest_volume: Annotated[
        float,
        typer.Option(
            parser=parse_multiple,
            metavar="MULTIPLE",
            help="most rows, as a multiple of the median of the last seven days",
        ),
    ] = math.inf,
    released_by: Annotated[str, typer.Option(help="who accepts an unusual number of rows")] = "",
    release_reason: Annotated[str, typer.Option(help="why that number is right")] = "",
) -> None:
    """Validate, deduplicate and sessionize landing days in order; the job ends at the first that fails."""
    check_tables_differ(sessions, rejected, counts)
    places = Places(landing_root, receipts_root, sessions, rejected, counts)
    rules = Rules(max_bad_share, session_gap_seconds, VolumeLimits(lowest_volume, highest_volume))
    release = Release.of(released_by, release_reason)
    spark = SparkSession.builder.appName(f"extract_sessions {min(day)}").getOrCreate()
    ensure_tables(spark)

    for ds in sorted(day):
        logger.info("ds=%s: %s", ds, extract_day(spark, places, ds, rules, release))
    window = DayRange(max(day) - timedelta(days=lookback_days - 1), max(day))
    files = HadoopFiles(spark)
    for ds in find_days_to_extract(files, places, window):
        try:
            logger.info("ds=%s: %s", ds, extract_day(spark, places, ds, rules, release=None))
        except PartitionChangedError:
            if not is_extracted(files, places.landing_root, places.receipts_root, ds):
                raise
            logger.info("ds=%s: the job of another date has extracted it meanwhile", ds)


if __name__ == "__main__":
    run_job(main)
