"""Errors of failed reads: one that names the landed file at fault, or the cluster's own.

In   Spark's or Java's error, a stack of causes, and the files that were read
Out  UnreadableFileError: hdfs://…/part-2.parquet cannot be read: RuntimeException: … is not a Parquet file
     or, where the cluster is at fault, the error as it was: a retry may help
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import unquote

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import PySparkException

from jobs.lake.java_errors import is_damage, root_cause
from jobs.landing.files import LandedFile, UnreadableFileError, shorten


@contextmanager
def naming_unreadable_files(
    files: Sequence[LandedFile], read_alone: Callable[[LandedFile], None]
) -> Iterator[None]:
    """Turn Spark's failure to read `files` together into an error that names the one at fault.

    Args:
        read_alone: reads a single file whole; called only if Spark does not say which file is damaged.

    Raises:
        UnreadableFileError: the file is at fault. If the cluster is, Spark's own error passes through.
    """
    try:
        yield
    except (Py4JError, PySparkException) as error:
        text = str(error)
        if not is_damage(text):
            raise
        # The longest name, since a.csv also occurs in a.csv.gz.
        named = max((file.uri for file in files if names_file(text, file.uri)), key=len, default=None)
        named = named or find_damaged(files, read_alone)
        if named is None:
            raise
        raise UnreadableFileError(f"{named} cannot be read: {shorten(root_cause(text))}") from error


def find_damaged(files: Sequence[LandedFile], read_alone: Callable[[LandedFile], None]) -> str | None:
    """Find the damaged Parquet file by reading them one after another; None if each can be read.

    A damaged dictionary fails where its values are used, when Spark no longer knows of which file they are.
    """
    for file in files:
        if file.format == "parquet":
            try:
                read_alone(file)
            except (Py4JError, PySparkException) as error:
                if not is_damage(str(error)):
                    raise
                return file.uri
    return None


def names_file(text: str, uri: str) -> bool:
    """Return whether an error's text names the file, plain or percent-encoded."""
    name = "/" + uri.rsplit("/", 1)[-1]
    return name in text or name in unquote(text)


@contextmanager
def naming_file(file: LandedFile) -> Iterator[None]:
    """Turn the driver's failure to read `file` into an error that names it; see `naming_unreadable_files`."""
    try:
        yield
    except Py4JJavaError as error:
        if not is_damage(str(error)):
            raise
        raise UnreadableFileError(f"{file.uri} cannot be read: {shorten(root_cause(str(error)))}") from error
