"""The gate on volume: a night with far fewer or far more events or users than the nights before is refused.

In   a night's number and those of the last seven nights before it; limits 0.5 and 2
Out  nothing, or "1,904 events, expected 50% to 200% of 20,117, the median of the 7 nights before"

Only nights of the last four weeks count. The first week passes: there is nothing to compare with. A person
may release a night, by name and with a reason, and this is recorded in risk.volume_releases.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from statistics import median

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.errors import DataError, WrongArgumentsError
from jobs.lake.receipts import DayRange
from jobs.lake.tables import CATALOG, TablePartition, read_days

logger = logging.getLogger(__name__)

NIGHTS_COMPARED = 7
OLDEST_COMPARED = timedelta(days=28)  # a delivery of years ago says nothing about tonight's
# Below this, chance alone halves or doubles a number.
FEWEST_COMPARED = 100
RELEASES = "risk.volume_releases"


class UnusualVolumeError(DataError):
    """A night has far fewer or far more events or users than the nights before, and nobody released it."""


@dataclass(frozen=True)
class VolumeLimits:
    """Allowed shares of the median of the nights before."""

    lowest: float
    highest: float


@dataclass(frozen=True)
class Release:
    """A person's decision to publish a night of unusual volume."""

    by: str
    reason: str

    @classmethod
    def of(cls, by: str, reason: str) -> "Release | None":
        """Make a release of both texts, or none if both are blank.

        Raises:
            WrongArgumentsError: one of them is blank.
        """
        by, reason = by.strip(), reason.strip()
        if bool(by) != bool(reason):
            raise WrongArgumentsError(
                "a night is released by a person's name and a reason: expected both released_by and "
                f"release_reason, found {by or reason!r} alone"
            )
        return cls(by, reason) if by else None


@dataclass(frozen=True)
class Volume:
    """A night's number of `what` (events, users), and those of up to seven nights before it."""

    what: str
    found: int
    before: tuple[int, ...]

    @property
    def expected(self) -> float:
        return median(self.before)

    def flaw(self, limits: VolumeLimits) -> str | None:
        """Say how the number is out of the limits; None if it is not, or with too few nights before."""
        if len(self.before) < NIGHTS_COMPARED or max(self.found, self.expected) < FEWEST_COMPARED:
            return None
        if limits.lowest * self.expected <= self.found <= limits.highest * self.expected:
            return None
        return (
            f"{self.found:,} {self.what}, expected {limits.lowest:.0%} to {limits.highest:.0%} of "
            f"{self.expected:,.0f}, the median of the {len(self.before)} nights before"
        )


def landed_before(spark: SparkSession, counts: TablePartition) -> tuple[int, ...]:
    """Read how many rows landed on the last extracted days of the four weeks before this one."""
    recent = DayRange(counts.ds - OLDEST_COMPARED, counts.ds - timedelta(days=1))
    rows = (
        read_days(spark, counts.table, recent)
        .orderBy(F.desc("ds"))
        .select("landed")
        .limit(NIGHTS_COMPARED)
        .collect()
    )
    return tuple(int(row.landed) for row in rows)


def rows_before(spark: SparkSession, partition: TablePartition) -> tuple[int, ...]:
    """Count the rows of the last days of the four weeks before this one, from the table's metadata alone."""
    rows = spark.sql(
        f"SELECT record_count FROM {CATALOG}.{partition.table}.partitions "
        "WHERE partition.ds >= :oldest AND partition.ds < :ds "
        f"ORDER BY partition.ds DESC LIMIT {NIGHTS_COMPARED}",
        args={"ds": partition.ds, "oldest": partition.ds - OLDEST_COMPARED},
    ).collect()
    return tuple(int(row.record_count) for row in rows)


def check_volume(
    spark: SparkSession, ds: date, volume: Volume, limits: VolumeLimits, release: Release | None
) -> None:
    """Refuse an unusual volume, or record by whom it was released.

    Raises:
        UnusualVolumeError: the volume is out of the limits and there is no release.
    """
    flaw = volume.flaw(limits)
    if flaw is None:
        return
    if release is None:
        raise UnusualVolumeError(
            f"ds={ds}: {flaw}; nothing is published. If the number is right, run the date again with the "
            "params released_by and release_reason"
        )
    record(spark, ds, volume, release)
    logger.warning("ds=%s: %s; released by %s: %s", ds, flaw, release.by, release.reason)


def record(spark: SparkSession, ds: date, volume: Volume, release: Release) -> None:
    """Append the release to risk.volume_releases."""
    values = {
        "what": volume.what,
        "found": volume.found,
        "expected": float(volume.expected),
        "released_by": release.by,
        "reason": release.reason,
        "released_at": datetime.now(UTC),
        "ds": ds,
    }
    row = spark.range(1).select(*(F.lit(value).alias(name) for name, value in values.items()))
    row.writeTo(f"{CATALOG}.{RELEASES}").append()
