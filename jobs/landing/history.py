"""Landing days that brought a history all at once.

In   folders of landing days   hdfs://…/landing/installs/ds=2026-01-31/_HISTORY
Out  the days with that mark   2026-01-31

A first delivery often holds years of events. Its landing day says nothing about when they became known.
"""

import re
from datetime import date

from jobs.lake.hadoop_files import HadoopFiles
from jobs.lake.receipts import DayRange

HISTORY = "_HISTORY"
DAY_FOLDER = re.compile(r"ds=([0-9]{4}-[0-9]{2}-[0-9]{2})")


def find_history_days(files: HadoopFiles, landing_root: str, window: DayRange) -> list[date]:
    """Find the landed days of the window whose folder holds a file `_HISTORY`, in order."""
    try:
        landed = {parse_day_folder(entry.name): entry.uri for entry in files.list(landing_root)}
    except FileNotFoundError:
        return []
    return sorted(
        day
        for day, folder in landed.items()
        if day and window.first <= day <= window.last and is_history(files, folder)
    )


def parse_day_folder(name: str) -> date | None:
    """Read the day from a folder's name, such as ds=2026-01-31; None for any other name."""
    match = DAY_FOLDER.fullmatch(name)
    try:
        return date.fromisoformat(match[1]) if match else None
    except ValueError:  # not in the calendar
        return None


def is_history(files: HadoopFiles, folder: str) -> bool:
    return HISTORY in {entry.name for entry in files.list(folder)}
