"""Landed and extracted days, as WebHDFS shows them: no Java, no Spark.

In   folders of landing days, receipts of extract_sessions
Out  what a night or a training still misses: a path of `_SUCCESS`, or days such as 2026-01-30
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from jobs.lake.receipts import DayRange, find_unextracted, list_landed_days

if TYPE_CHECKING:
    from model_registry.store.webhdfs import WebHdfs


@dataclass(frozen=True)
class Entry:
    """One entry of a folder on HDFS."""

    name: str
    size: int  # bytes
    modified_ms: int  # since 1970, UTC


@dataclass(frozen=True)
class WebHdfsFiles:
    """The listings and small files that receipts are compared by."""

    hdfs: "WebHdfs"

    def list(self, folder: str) -> list[Entry]:
        return [
            Entry(name, status["length"], status["modificationTime"])
            for name, status in self.hdfs.list_entries(folder)
        ]

    def read(self, path: str) -> str:
        return self.hdfs.read_text(path)


@dataclass(frozen=True)
class HdfsDays:
    """The landed and the extracted days of one HDFS.

    All methods raise the errors of model_registry: WebHdfsDownError and other retryable ones for an outage,
    PermissionDeniedError for a folder that this user may not read.
    """

    webhdfs_url: str
    user: str
    landing_root: str
    receipts_root: str

    def unlanded(self, day: str) -> list[str]:
        """The path of the day's `_SUCCESS` if it does not exist; else nothing."""
        success = f"{self.landing_root}/ds={day}/_SUCCESS"
        return [] if self._hdfs().exists(success) else [success]

    def unextracted(self, last_day: str, lookback_days: int | None = None) -> list[str]:
        """Landed days up to `last_day` that must be extracted, in the look-back window if one is given."""
        last = date.fromisoformat(last_day)
        first = date.min if lookback_days is None else last - timedelta(days=lookback_days - 1)
        files = WebHdfsFiles(self._hdfs())
        landed = list_landed_days(files, self.landing_root, DayRange(first, last))
        return [str(day) for day in find_unextracted(files, self.landing_root, self.receipts_root, landed)]

    def still_unextracted(self, days: list[str]) -> list[str]:
        """Those of the given days that have a folder and must be extracted: for a day or two, two listings."""
        files, asked = WebHdfsFiles(self._hdfs()), [date.fromisoformat(day) for day in days]
        landed = set(list_landed_days(files, self.landing_root, DayRange(min(asked), max(asked))))
        still = [day for day in asked if day in landed]
        return [str(day) for day in find_unextracted(files, self.landing_root, self.receipts_root, still)]

    def _hdfs(self) -> "WebHdfs":
        from model_registry.store.webhdfs import WebHdfs, webhdfs_client  # DAG files stay light

        return WebHdfs(webhdfs_client(self.webhdfs_url, self.user))
