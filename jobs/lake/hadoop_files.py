"""Files on the cluster's filesystem, through the Hadoop FileSystem of Spark's own JVM.

In   URIs: hdfs://127.0.0.1:8020/landing/installs/ds=2026-01-31
Out  listings, the start or the schema of a file, small files written in one atomic step

The driver's JVM is already logged in to that filesystem, so this needs no second client and no second login.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

LINE_BREAK = re.compile(rb"[\r\n]")
PEEK_BYTES = 16 * 1024


@dataclass(frozen=True)
class Entry:
    """One entry of a folder."""

    uri: str  # not percent-encoded
    size: int  # bytes
    is_folder: bool
    modified_ms: int  # since 1970, UTC

    @property
    def name(self) -> str:
        return self.uri.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class ParquetFooter:
    """What a Parquet file says of its columns."""

    # Names and types, in order: ("event_time", "int64 TIMESTAMP(NANOS,true)"). A name may occur twice.
    columns: list[tuple[str, str]]
    codecs: dict[str, str]  # of the columns' first values: "event_time" -> "SNAPPY"


class HadoopFiles:
    """The filesystems that the Hadoop configuration of a Spark session reaches."""

    def __init__(self, spark: SparkSession) -> None:
        self._jvm: Any = spark._jvm
        self._conf: Any = spark._jsc.hadoopConfiguration()
        self._application_id = spark.sparkContext.applicationId

    def _open(self, uri: str) -> Any:
        """Open a file for reading, decompressed if its name ends in a known suffix such as `.gz`."""
        path = self._path(uri)
        stream = path.getFileSystem(self._conf).open(path)
        codec = self._jvm.org.apache.hadoop.io.compress.CompressionCodecFactory(self._conf).getCodec(path)
        return codec.createInputStream(stream) if codec else stream

    def _path(self, uri: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(uri)

    def qualify(self, uri: str) -> str:
        """Write the full URI of a place: with scheme and host, without `..` and a slash at its end."""
        path = self._path(uri)
        return str(path.getFileSystem(self._conf).makeQualified(path).toString())

    def list(self, folder: str) -> list[Entry]:
        """List a folder's entries in the order of their names.

        Raises:
            FileNotFoundError: there is no such folder.
        """
        path = self._path(folder)
        try:
            statuses = path.getFileSystem(self._conf).listStatus(path)
        except Py4JJavaError as error:
            if "java.io.FileNotFoundException" in str(error.java_exception):
                raise FileNotFoundError(folder) from error
            raise
        entries = (
            Entry(
                str(s.getPath().toString()),
                int(s.getLen()),
                bool(s.isDirectory()),
                int(s.getModificationTime()),
            )
            for s in statuses
        )
        return sorted(entries, key=lambda entry: entry.name)

    def exists(self, uri: str) -> bool:
        path = self._path(uri)
        return bool(path.getFileSystem(self._conf).exists(path))

    def read(self, uri: str) -> str:
        """Read a small file of UTF-8 text whole.

        Raises:
            FileNotFoundError: there is no such file.
        """
        path = self._path(uri)
        try:
            stream = path.getFileSystem(self._conf).open(path)
        except Py4JJavaError as error:
            if "java.io.FileNotFoundException" in str(error.java_exception):
                raise FileNotFoundError(uri) from error
            raise
        try:
            return bytes(stream.readAllBytes()).decode()
        finally:
            stream.close()

    def read_start(self, uri: str, length: int) -> bytes:
        """Read at most the first `length` bytes, unpacked if the name ends in a known suffix."""
        stream = self._open(uri)
        try:
            return bytes(stream.readNBytes(length))
        finally:
            stream.close()

    def has_line_over(self, uri: str, longest: int) -> bool:
        """Return whether a line has more than `longest` bytes, its line break left out.

        Memory is bounded by `longest`. A line that long holds at least one of the looks below, which are
        spread evenly over the file. So a file that is not packed is hardly read at all.
        """
        stream, position = self._open(uri), 0
        try:
            while len(look := bytes(stream.readNBytes(PEEK_BYTES))) == PEEK_BYTES:
                if not LINE_BREAK.search(look) and self._has_line_over_around(uri, position, longest):
                    return True
                position += PEEK_BYTES + int(stream.skip(longest - 2 * PEEK_BYTES))
            return False
        finally:
            stream.close()

    def _has_line_over_around(self, uri: str, position: int, longest: int) -> bool:
        stream = self._open(uri)
        try:
            # Not stream.skip: that of a packed file counts in 32 bits.
            self._jvm.org.apache.commons.io.IOUtils.skip(stream, max(0, position - longest))
            lines = LINE_BREAK.split(bytes(stream.readNBytes(2 * longest + PEEK_BYTES)))
            return any(len(line) > longest for line in lines)
        finally:
            stream.close()

    def make_scratch_folder(self, near: str) -> str:
        """Make a folder on the filesystem of `near` that is deleted when this application ends.

        It is below Spark's own staging folder, which YARN deletes even if the driver was killed.
        """
        filesystem = self._path(near).getFileSystem(self._conf)
        staging = f"{filesystem.getHomeDirectory()}/.sparkStaging/{self._application_id}"
        folder = f"{staging}/{uuid4().hex}"
        filesystem.mkdirs(self._path(folder))
        filesystem.deleteOnExit(self._path(staging))
        return folder

    def unpack(self, uri: str, target: str, longest: int) -> int:
        """Write the unpacked bytes of a packed file into `target`, at most `longest`; return their number."""
        path = self._path(target)
        stream = self._open(uri)
        try:
            output = path.getFileSystem(self._conf).create(path)
            try:
                return int(self._jvm.org.apache.commons.io.IOUtils.copyLarge(stream, output, 0, longest))
            finally:
                output.close()
        finally:
            stream.close()

    def parquet_footer(self, uri: str) -> ParquetFooter:
        """Read a Parquet file's columns from its footer."""
        parquet = self._jvm.org.apache.parquet.hadoop
        file = parquet.ParquetFileReader.open(
            parquet.util.HadoopInputFile.fromPath(self._path(uri), self._conf)
        )
        try:
            fields = file.getFileMetaData().getSchema().getFields()
            row_groups = file.getFooter().getBlocks()
            chunks = row_groups[0].getColumns() if len(row_groups) else []
            return ParquetFooter(
                [
                    (name := str(field.getName()), column_type(name, str(field.toString())))
                    for field in fields
                ],
                {str(chunk.getPath().toDotString()): str(chunk.getCodec().toString()) for chunk in chunks},
            )
        finally:
            file.close()

    def write(self, uri: str, text: str) -> None:
        """Write a small file in one step: readers see the old file, or none, until the new one is whole."""
        folder, name = uri.rsplit("/", 1)
        staged, final = self._path(f"{folder}/.{name}.{uuid4().hex}"), self._path(uri)
        filesystem = final.getFileSystem(self._conf)
        try:
            stream = filesystem.create(staged)
            try:
                stream.write(bytearray(text.encode()))
            finally:
                stream.close()
            self._rename(staged, final, overwrite=True)
        finally:
            filesystem.delete(staged, False)  # there is none, unless a step failed or its answer was lost

    def move(self, source: str, target: str) -> None:
        """Move a file or folder in one step to a place where nothing is; Java's error if something is."""
        self._rename(self._path(source), self._path(target), overwrite=False)

    def _rename(self, source: Any, target: Any, overwrite: bool) -> None:
        # FileSystem.rename would move a folder into an existing one, and cannot replace a file; FileContext's
        # refuses the one and does the other atomically.
        options = self._jvm.org.apache.hadoop.fs.Options.Rename
        chosen = self._jvm.java.lang.reflect.Array.newInstance(options.OVERWRITE.getClass(), int(overwrite))
        if overwrite:
            chosen[0] = options.OVERWRITE
        context = self._jvm.org.apache.hadoop.fs.FileContext.getFileContext(target.toUri(), self._conf)
        context.rename(source, target, chosen)

    def now(self, folder: str) -> datetime:
        """Ask the filesystem of `folder` for its time, UTC: that of a new file, which is deleted again."""
        probe = self._path(f"{folder}/.clock-{uuid4().hex}")
        filesystem = probe.getFileSystem(self._conf)
        filesystem.create(probe).close()
        try:
            milliseconds = int(filesystem.getFileStatus(probe).getModificationTime())
        finally:
            filesystem.delete(probe, False)
        return datetime.fromtimestamp(milliseconds / 1_000, UTC)

    def delete(self, uri: str) -> None:
        """Delete a file, or a folder with everything in it; no error if it does not exist."""
        path = self._path(uri)
        path.getFileSystem(self._conf).delete(path, True)


def column_type(name: str, schema_line: str) -> str:
    """Read a column's type from its line in a Parquet schema.

    >>> column_type("event_time", "optional int64 event_time (TIMESTAMP(NANOS,true)) = 3")
    'int64 TIMESTAMP(NANOS,true)'
    """
    before, _, after = schema_line.split("{")[0].partition(f" {name}")
    annotation = re.match(r" \((.*)\)", after)
    physical = before.removeprefix("optional ").removeprefix("required ")
    return f"{physical} {annotation[1]}" if annotation else physical
