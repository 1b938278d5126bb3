"""Which files landed, and the name of the one that cannot be read.

In   a folder: hdfs://127.0.0.1:8020/landing/installs/ds=2026-01-31
Out  its data files: part-0.jsonl.gz, part-1.csv, part-2.parquet; or an error that names the file and what is wrong

Names that start with `_` or `.` are not data, as everywhere in Hadoop.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar, cast
from urllib.parse import unquote

from py4j.protocol import Py4JError, Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import Column
from pyspark.sql import functions as F

from jobs.errors import DataError
from jobs.lake.hadoop_files import Entry, HadoopFiles

SUCCESS = "_SUCCESS"
DATA_FILE_NAME = re.compile(r".+\.(?P<format>jsonl|csv|parquet)(?P<gzip>\.gz)?")
# Read failures that are the cluster's and not the file's: a retry may help.
OUTAGES = re.compile(
    r"ConnectException|SocketTimeout|SocketException|UnknownHost|NoRouteToHost|BlockMissing|ClosedChannel"
    r"|StandbyException|SafeMode|InterruptedIO|FileNotFoundException|OutOfMemoryError"
)
CAUSE = re.compile(r"^(?:Caused by: |: )?(?:[\w$]+\.)*(?P<error>[\w$]+(?:Exception|Error): .+)", re.MULTILINE)

Layout = TypeVar("Layout", bound=Hashable)


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


def group_by_layout(
    files: Iterable[LandedFile], layout_of: Callable[[LandedFile], Layout]
) -> list[tuple[Layout, list[LandedFile]]]:
    """Put files together that one reader can read; `layout_of` opens each of them once."""
    groups: dict[Layout, list[LandedFile]] = {}
    for file in files:
        with naming_file(file):
            groups.setdefault(layout_of(file), []).append(file)
    return list(groups.items())


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


@contextmanager
def naming_unreadable_files(files: Sequence[LandedFile]) -> Iterator[None]:
    """Turn Spark's failure to read one of `files` into an error that names it.

    Raises:
        UnreadableFileError: the file is at fault. Where the cluster is, Spark's own error passes through.
    """
    try:
        yield
    except (Py4JError, PySparkException) as error:
        text = str(error)
        # The longest, since a.csv also occurs in a.csv.gz.
        named = max((file.uri for file in files if names_file(text, file.uri)), key=len, default=None)
        if named is None or OUTAGES.search(text):
            raise
        raise UnreadableFileError(f"{named} cannot be read: {root_cause(text)}") from error


def names_file(text: str, uri: str) -> bool:
    """Say whether an error names the file, as it is called or percent-encoded."""
    name = "/" + uri.rsplit("/", 1)[-1]
    return name in text or name in unquote(text)


def root_cause(text: str) -> str:
    """Pick the innermost cause out of a Java stack trace, without its frames."""
    causes = [match["error"] for match in CAUSE.finditer(text)]
    return causes[-1] if causes else text.splitlines()[0]


@contextmanager
def naming_file(file: LandedFile) -> Iterator[None]:
    """Name `file` in an error of reading it on the driver; see `naming_unreadable_files`."""
    try:
        yield
    except Py4JJavaError as error:
        if OUTAGES.search(str(error)):
            raise
        raise UnreadableFileError(f"{file.uri} cannot be read: {root_cause(str(error))}") from error
