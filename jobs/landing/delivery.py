"""A folder of install logs as landing days; nothing in it is passed over in silence.

In   a folder of folders ds=YYYY-MM-DD, each with _SUCCESS; or a folder of files, or one file
Out  Delivery(days={2026-01-31: [part-0.jsonl.gz, …]}), or Delivery(history=[events.jsonl]): files that were
     delivered at once, and have no landing day of their own
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from jobs.errors import DataError
from jobs.lake.hadoop_files import Entry, HadoopFiles
from jobs.lake.receipts import landing_day
from jobs.landing.files import (
    HISTORY,
    SUCCESS,
    DayNotCompleteError,
    LandedFile,
    UnreadableFileError,
    check_entry,
    list_complete_day,
)
from jobs.landing.history import is_history

PROBLEMS_SHOWN = 3


class DeliveryError(DataError):
    """A folder of install logs is not laid out as landing days, nor as a flat folder of files."""


@dataclass(frozen=True)
class Delivery:
    """Files of installs, by landing day or as a history."""

    days: dict[date, list[LandedFile]] = field(default_factory=dict)
    history: list[LandedFile] = field(default_factory=list)
    history_days: list[date] = field(default_factory=list)  # days whose folder holds `_HISTORY`
    skipped: list[str] = field(default_factory=list)  # paths that `_` or `.` excludes

    @property
    def files(self) -> list[LandedFile]:
        """All data files, in the order of their days."""
        return [file for day in sorted(self.days) for file in self.days[day]] + self.history


def find_delivery(files: HadoopFiles, installs: str) -> Delivery:
    """Find the landing days or the history in a folder.

    Raises:
        DeliveryError: names what is not laid out as expected, and what to do.
    """
    try:
        entries = files.list(installs)
    except FileNotFoundError as error:
        raise DeliveryError(
            f"{installs} does not exist: expected a folder of installs, or one file"
        ) from error
    shown = [entry for entry in entries if not is_skipped(entry)]
    days = [entry for entry in shown if entry.is_folder and entry.name.startswith("ds=")]
    beside = [entry for entry in shown if entry not in days]
    skipped = [entry.uri for entry in entries if is_skipped(entry) and entry.name != SUCCESS]
    if not shown:
        raise DeliveryError(f"{installs} holds no data: expected folders ds=YYYY-MM-DD, or files")
    if days and beside:
        raise DeliveryError(
            f"beside its {len(days)} folders ds=… {installs} holds {name_some(beside)}: move it into the "
            "folder of the day on which it landed, or elsewhere"
        )
    if days:
        return find_days(files, days, skipped)
    folders = [entry for entry in beside if entry.is_folder]
    if folders:
        raise DeliveryError(
            f"{installs} holds the folder {name_some(folders)}: expected folders named ds=YYYY-MM-DD, or "
            "files alone"
        )
    try:
        return Delivery(history=[check_entry(entry) for entry in beside], skipped=skipped)
    except UnreadableFileError as error:
        raise DeliveryError(str(error)) from error


def find_days(files: HadoopFiles, folders: list[Entry], skipped: list[str]) -> Delivery:
    """Check and list the folders of landing days.

    Raises:
        DeliveryError: names the first folders or files at fault, and their number.
    """
    found = Delivery(skipped=list(skipped))
    problems: list[str] = []
    for folder in folders:
        try:
            day = parse_day(folder)
            found.days[day] = list_complete_day(files, folder.uri)
        except (DeliveryError, DayNotCompleteError, UnreadableFileError) as error:
            problems.append(str(error))
            continue
        if is_history(files, folder.uri):
            found.history_days.append(day)
        found.skipped.extend(
            entry.uri
            for entry in files.list(folder.uri)
            if is_skipped(entry) and entry.name not in (SUCCESS, HISTORY)
        )
    if problems:
        more = f"; and {len(problems) - PROBLEMS_SHOWN} more" if len(problems) > PROBLEMS_SHOWN else ""
        raise DeliveryError("; ".join(problems[:PROBLEMS_SHOWN]) + more)
    return found


def check_names(landed: Sequence[LandedFile]) -> None:
    """Raise DeliveryError if HDFS would not take a file's name."""
    for file in landed:
        if ":" in file.name:
            raise DeliveryError(f"{file.uri} has a colon in its name, which HDFS refuses: rename it")


def parse_day(folder: Entry) -> date:
    day = landing_day(folder.name)
    if day is None:
        raise DeliveryError(f"{folder.uri}: expected a folder named after a day, such as ds=2026-01-31")
    return day


def is_skipped(entry: Entry) -> bool:
    """Return whether Hadoop's rule leaves the entry out: its name starts with `_` or `.`."""
    return entry.name.startswith(("_", "."))


def name_some(entries: list[Entry]) -> str:
    names = ", ".join(entry.name for entry in entries[:PROBLEMS_SHOWN])
    return names if len(entries) <= PROBLEMS_SHOWN else f"{names} and {len(entries) - PROBLEMS_SHOWN} more"
