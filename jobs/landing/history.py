"""Landing days that brought a history all at once.

In   folders of landing days   hdfs://…/landing/installs/ds=2026-01-31/_HISTORY
Out  the days with that mark   2026-01-31

A first delivery often holds years of events. Its landing day says nothing about when they became known.
"""

from datetime import date

from jobs.lake.hadoop_files import HadoopFiles
from jobs.lake.receipts import DayRange, list_landed_days, list_names
from jobs.landing.files import HISTORY


def find_history_days(files: HadoopFiles, landing_root: str, window: DayRange) -> list[date]:
    """Find the landed days of the window whose folder holds a file `_HISTORY`, in order."""
    landed = list_landed_days(files, landing_root, window)
    return [day for day in landed if is_history(files, f"{landing_root}/ds={day}")]


def is_history(files: HadoopFiles, folder: str) -> bool:
    return HISTORY in list_names(files, folder)
