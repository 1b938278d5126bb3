"""Receipts: a small file for each landing day that has been extracted.

In   folders of landing days      hdfs://…/landing/installs/ds=2026-01-31/
     receipts                     hdfs://…/receipts/extract_sessions/ds=2026-01-31.json,
                                  written last by extract_sessions
Out  nothing if every landed day of a window has its receipt, else an error that names the days without one
"""

import re
from dataclasses import dataclass
from datetime import date

from jobs.lake.hadoop_files import HadoopFiles

DAY_NAME = re.compile(r"ds=(\d{4}-\d{2}-\d{2})(?:\.json)?")


class MissingExtractionError(Exception):
    """A landed day of the window has not been extracted yet; a retry after its extraction helps."""


@dataclass(frozen=True)
class DayRange:
    """Landing days, both ends included."""

    first: date
    last: date

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"


def require_receipts(files: HadoopFiles, landing_root: str, receipts_root: str, window: DayRange) -> None:
    """Check that every day of the window that has landed has been extracted.

    Raises:
        MissingExtractionError: names every day that has not.
    """
    landed = {day for day in list_days(files, landing_root) if window.first <= day <= window.last}
    missing = sorted(landed - list_days(files, receipts_root))
    if missing:
        raise MissingExtractionError(
            f"{len(missing)} of the {len(landed)} days that landed from {window} have no receipt "
            f"in {receipts_root}: {', '.join(map(str, missing))}; run extract_sessions for them first"
        )


def list_days(files: HadoopFiles, folder: str) -> set[date]:
    """Read the days from the names `ds=…` in a folder; none if the folder does not exist."""
    try:
        entries = files.list(folder)
    except FileNotFoundError:
        return set()
    matches = (DAY_NAME.fullmatch(entry.name) for entry in entries)
    return {date.fromisoformat(match[1]) for match in matches if match}
