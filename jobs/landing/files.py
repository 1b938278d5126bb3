"""The data files of a landing folder, checked by name and size.

In   a folder: hdfs://127.0.0.1:8020/landing/installs/ds=2026-01-31
Out  its data files: part-0.jsonl.gz, part-1.csv, part-2.parquet; or an error that names the file and what is wrong

Names that start with `_` or `.` are not data, as everywhere in Hadoop.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from pyspark.sql import Column
from pyspark.sql import functions as F

from jobs.errors import DataError
from jobs.lake.hadoop_files import Entry, HadoopFiles

SUCCESS = "_SUCCESS"
DATA_FILE_NAME = re.compile(r".+\.(?P<format>jsonl|csv|parquet)(?P<gzip>\.gz)?")


class UnreadableFileError(DataError):
    """A landed file is not what its name says: damaged, cut short, empty, or without the columns it needs."""


class DayNotCompleteError(Exception):
    """The landing day is not there, or not closed by `_SUCCESS` yet; a retry may find it."""


@dataclass(frozen=True)
class LandedFile:
    """A file whose name says how to read it."""

    uri: str
    format: Literal["jsonl", "csv", "parquet"]
    is_gzip: bool

    @property
    def spark_path(self) -> str:
        """The path to hand to Spark's readers, which take *, ?, brackets and braces for a pattern."""
        return re.sub(r"([\[\]{}*?\\])", r"\\\1", self.uri)


@dataclass(frozen=True)
class Fields:
    """The fields to read, by name. A file may have more; CSV and Parquet must have a column for each required one."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return self.required + self.optional

    def check(self, file: LandedFile, columns: Sequence[str]) -> None:
        """Compare with the columns of `file`.

        Raises:
            UnreadableFileError: a required column is missing, or a column is there twice.
        """
        missing = [name for name in self.required if name not in columns]
        twice = [name for name in self.names if columns.count(name) > 1]
        if missing or twice:
            wrong = f"no column {', '.join(missing)}" if missing else f"two columns {', '.join(twice)}"
            raise UnreadableFileError(f"{file.uri} has {wrong}; found: {', '.join(columns) or 'nothing'}")


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
        raise DayNotCompleteError(f"{folder} has no {SUCCESS}: expected one beside its {len(names)} files")
    return list_data_files(files, folder)


def list_data_files(files: HadoopFiles, folder: str) -> list[LandedFile]:
    """List a folder's data files.

    Raises:
        UnreadableFileError: an entry is no data file by its name, or is empty where its format cannot be.
        FileNotFoundError: there is no such folder.
    """
    return [check_entry(entry) for entry in files.list(folder) if not entry.name.startswith(("_", "."))]


def check_entry(entry: Entry) -> LandedFile:
    match = DATA_FILE_NAME.fullmatch(entry.name)
    if match is None or entry.is_folder:
        kind = "a folder" if entry.is_folder else "another name"
        raise UnreadableFileError(
            f"{entry.uri}: expected a file *.jsonl, *.csv or *.parquet, optionally followed by .gz, got {kind}"
        )
    file_format = cast(Literal["jsonl", "csv", "parquet"], match["format"])
    # Spark reads these as "no rows", although gzip and Parquet have a frame even around nothing.
    if entry.size == 0 and (match["gzip"] or file_format == "parquet"):
        raise UnreadableFileError(f"{entry.uri} has zero bytes: its delivery was cut off, deliver it again")
    return LandedFile(entry.uri, file_format, match["gzip"] is not None)


def file_path() -> Column:
    """The path of a row's file, as it is called: Spark has it percent-encoded."""
    return F.url_decode(F.replace(F.col("_metadata.file_path"), F.lit("+"), F.lit("%2B")))
