"""Check that the driver's clock agrees with the filesystem's.

Iceberg refuses a commit that is more than one minute older than the last one. So one driver whose clock runs
an hour ahead would keep all others from committing for an hour.
"""

from datetime import UTC, datetime, timedelta

from jobs.lake.hadoop_files import HadoopFiles

MOST_SKEW = timedelta(seconds=30)


class ClockSkewError(Exception):
    """This machine's clock, or that of the filesystem, is wrong; a retry on another node may help."""


def check_clock(files: HadoopFiles, folder: str) -> None:
    """Compare this machine's time with that of the filesystem of `folder`.

    Raises:
        ClockSkewError: they differ by more than 30 seconds.
    """
    skew = datetime.now(UTC) - files.now(folder)
    if abs(skew) > MOST_SKEW:
        raise ClockSkewError(
            f"this driver's clock is {abs(skew)} {'ahead of' if skew > timedelta() else 'behind'} that of "
            f"{folder}: expected at most {MOST_SKEW.seconds} s; nothing is written. Set the clock (NTP), then "
            "run this job again"
        )
