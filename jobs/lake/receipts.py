"""Receipts: a small file for each landing day that has been extracted. It stands for the files of that day.

In   folders of landing days  hdfs://…/landing/installs/ds=2026-01-31/part-0.csv, 1,204 bytes, modified at …
     receipts                 hdfs://…/receipts/extract_sessions/ds=2026-01-31.json, written last by
                              extract_sessions: {"ds": "2026-01-31", "delivery": "9f2c…", "landed": 1000, …}
Out  the landed days whose files have no receipt: they must be extracted, for the first time or again

`delivery` is a hash of the files' names, sizes and modification times. So a receipt ceases to count as soon
as a file is added, replaced or removed. The DAGs import this module too: it needs the standard library only.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

DAY_FOLDER = re.compile(r"ds=([0-9]{4}-[0-9]{2}-[0-9]{2})")


class MissingExtractionError(Exception):
    """A landed day of the window must be extracted first; a retry after its extraction helps."""


class DeliveryChangedError(Exception):
    """The files of a day changed while they were extracted; a retry reads the new ones."""


class Entry(Protocol):
    """One entry of a folder."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...  # bytes

    @property
    def modified_ms(self) -> int: ...  # since 1970, UTC


class Files(Protocol):
    """Files on the cluster, for jobs by Hadoop's client and for DAGs by WebHDFS."""

    def list(self, folder: str) -> Sequence[Entry]:
        """List a folder's entries; raises FileNotFoundError if there is no such folder."""

    def read(self, path: str) -> str:
        """Read a small file; raises FileNotFoundError if there is no such file."""


@dataclass(frozen=True)
class DayRange:
    """Landing days, both ends included."""

    first: date
    last: date

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"


def parse_day(text: str) -> date:
    """Read a day that is written as `YYYY-MM-DD`, as folders and partition keys are.

    Raises:
        ValueError: another form, such as `20260131`, or a day that the calendar does not have.
    """
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise ValueError(f"expected a day such as 2026-01-31, found {text!r}")
    return date.fromisoformat(text)


def landing_day(name: str) -> date | None:
    """Read the day from the name of its folder, `ds=2026-01-31`; None for any other name."""
    match = DAY_FOLDER.fullmatch(name)
    try:
        return date.fromisoformat(match[1]) if match else None
    except ValueError:  # not in the calendar
        return None


def list_landed_days(files: Files, landing_root: str, window: DayRange) -> list[date]:
    """List the days of the window that have a folder in the landing zone, oldest first."""
    days = {landing_day(name) for name in list_names(files, landing_root)}
    return sorted(day for day in days if day is not None and window.first <= day <= window.last)


def find_unextracted(
    files: Files, landing_root: str, receipts_root: str, landed: Iterable[date]
) -> list[date]:
    """Find the landed days that have no receipt of the files that are in their folder now."""
    receipts = list_names(files, receipts_root)  # one listing, instead of a look for each day
    return [
        day
        for day in landed
        if f"ds={day}.json" not in receipts or not is_extracted(files, landing_root, receipts_root, day)
    ]


def is_extracted(files: Files, landing_root: str, receipts_root: str, day: date) -> bool:
    """Return whether the day has a receipt of the files that are in its folder now."""
    delivery = read_delivery(files, f"{receipts_root}/ds={day}.json")
    return delivery == hash_delivery(files, f"{landing_root}/ds={day}")


def require_receipts(files: Files, landing_root: str, receipts_root: str, window: DayRange) -> None:
    """Check that every day of the window that has landed has been extracted as it is now.

    Raises:
        MissingExtractionError: names every day that has not.
    """
    landed = list_landed_days(files, landing_root, window)
    missing = find_unextracted(files, landing_root, receipts_root, landed)
    if missing:
        raise MissingExtractionError(
            f"{len(missing)} of the {len(landed)} days that landed from {window} have no receipt of their "
            f"present files in {receipts_root}: {', '.join(map(str, missing))}; run extract_sessions for "
            "them first"
        )


def hash_delivery(files: Files, folder: str) -> str:
    """Hash names, sizes and modification times of a day's files, as a hexadecimal SHA-256.

    Names that start with `_` or `.` are not data, as everywhere in Hadoop. A missing folder has no files.
    """
    try:
        entries = files.list(folder)
    except FileNotFoundError:
        entries = ()
    listed = sorted(
        (entry.name, entry.size, entry.modified_ms)
        for entry in entries
        if not entry.name.startswith(("_", "."))
    )
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def read_delivery(files: Files, receipt: str) -> str | None:
    """Read which files a receipt stands for; None if there is no receipt, or none that can be read."""
    try:
        content = json.loads(files.read(receipt))
    except (FileNotFoundError, ValueError):
        return None
    return content.get("delivery") if isinstance(content, dict) else None


def list_names(files: Files, folder: str) -> set[str]:
    """List the names in a folder; none if there is no such folder."""
    try:
        return {entry.name for entry in files.list(folder)}
    except FileNotFoundError:
        return set()
