"""The data files of a landing folder, checked by name and size.

In   a folder: hdfs://127.0.0.1:8020/landing/installs/ds=2026-01-31
Out  its data files: part-0.jsonl.gz, part-1.csv, part-2.parquet; or an error that names a file and its fault

Names that start with `_` or `.` are not data, as everywhere in Hadoop. They are logged.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from pyspark.sql import Column
from pyspark.sql import functions as F

from jobs.errors import DataError
from jobs.lake.hadoop_files import Entry, HadoopFiles

logger = logging.getLogger(__name__)

SUCCESS = "_SUCCESS"
HISTORY = "_HISTORY"  # in the folder of a day that brings a history at once
DATA_FILE_NAME = re.compile(r".+\.(?P<format>jsonl|csv|parquet)(?P<gzip>\.gz)?")


class UnreadableFileError(DataError):
    """A landed file is not what its name says: damaged, cut off, empty, or without a required column."""


class DayNotCompleteError(Exception):
    """The landing day does not exist or has no `_SUCCESS` yet; a retry may find it."""


@dataclass(frozen=True)
class LandedFile:
    """A landed file and what its name says of its format."""

    uri: str
    format: Literal["jsonl", "csv", "parquet"]
    is_gzip: bool
    copy: str | None = None  # unpacked, of the same name, if Spark cannot unpack it

    @property
    def name(self) -> str:
        return self.uri.rsplit("/", 1)[-1]

    @property
    def spark_path(self) -> str:
        """The path for Spark's readers, which treat *, ?, brackets and braces as a pattern: escaped here."""
        return re.sub(r"([\[\]{}*?\\])", r"\\\1", self.copy or self.uri)


@dataclass(frozen=True)
class Fields:
    """Names of the fields to read.

    A file may have more fields. CSV and Parquet files must have a column for each required one. Values of
    `ids` must be text or whole numbers.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return self.required + self.optional

    def check(self, file: LandedFile, columns: Sequence[str]) -> None:
        """Check that `file` has the columns.

        Raises:
            UnreadableFileError: a required column is missing, or a column occurs twice.
        """
        missing = [name for name in self.required if name not in columns]
        lower = [column.lower() for column in columns]
        # Upper and lower case count as the same: nobody could say which of userId and userID is meant.
        twice = [name for name in self.names if lower.count(name) > 1]
        if missing or twice:
            wrong = f"no column {', '.join(missing)}" if missing else f"two columns {', '.join(twice)}"
            found = shorten(", ".join(columns)) or "nothing"
            raise UnreadableFileError(
                f"{file.uri} has {wrong}; found: {found}; deliver it with each of "
                f"{', '.join(self.required)} once, in lower case"
            )


def shorten(text: str, longest: int = 300) -> str:
    """Cut text from a file for an error."""
    return text if len(text) <= longest else text[:longest] + " …"


def list_complete_day(files: HadoopFiles, folder: str) -> list[LandedFile]:
    """List the data files of a landing day.

    Raises:
        DayNotCompleteError: there is no folder or no `_SUCCESS`.
        UnreadableFileError: see `list_data_files`.
    """
    try:
        names = [entry.name for entry in files.list(folder)]
    except FileNotFoundError as error:
        raise DayNotCompleteError(f"{folder} does not exist: nothing has landed for this day") from error
    if SUCCESS not in names:
        raise DayNotCompleteError(
            f"{folder} has no {SUCCESS} beside its {len(names)} files: deliver the rest, then write {SUCCESS}"
        )
    return list_data_files(files, folder)


def list_data_files(files: HadoopFiles, folder: str) -> list[LandedFile]:
    """List a folder's data files.

    Raises:
        UnreadableFileError: an entry is not named like a data file, or a gzip or Parquet file has zero bytes.
        FileNotFoundError: there is no such folder.
    """
    landed = []
    for entry in files.list(folder):
        if not entry.name.startswith(("_", ".")):
            landed.append(check_entry(entry))
        elif entry.name not in (SUCCESS, HISTORY):
            logger.info("%s is not read: its name starts with %s", entry.uri, entry.name[0])
    return landed


def check_entry(entry: Entry) -> LandedFile:
    match = DATA_FILE_NAME.fullmatch(entry.name)
    if match is None or entry.is_folder:
        kind = "a folder" if entry.is_folder else "a file of another name"
        raise UnreadableFileError(
            f"{entry.uri}: expected a file *.jsonl, *.csv or *.parquet, optionally followed by .gz, "
            f"found {kind}"
        )
    file_format = cast(Literal["jsonl", "csv", "parquet"], match["format"])
    # Spark reads these as "no rows", but even without rows a gzip or Parquet file has some bytes.
    if entry.size == 0 and (match["gzip"] or file_format == "parquet"):
        raise UnreadableFileError(f"{entry.uri} has zero bytes: its delivery was cut off, deliver it again")
    return LandedFile(entry.uri, file_format, match["gzip"] is not None)


def file_path() -> Column:
    """The path of a row's file, decoded: Spark gives it percent-encoded."""
    return F.url_decode(F.replace(F.col("_metadata.file_path"), F.lit("+"), F.lit("%2B")))
