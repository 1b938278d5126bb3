"""Files on the cluster's filesystem, through the Hadoop FileSystem of Spark's own JVM.

In   URIs: hdfs://127.0.0.1:8020/landing/installs/ds=2026-01-31
Out  listings, the first line or the schema of a file, small files written in one atomic step

The driver's JVM is already logged in to that filesystem, so this needs no second client and no second login.
"""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Entry:
    """One entry of a folder."""

    uri: str  # not percent-encoded
    size: int  # bytes
    is_folder: bool

    @property
    def name(self) -> str:
        return self.uri.rsplit("/", 1)[-1]


class HadoopFiles:
    """The filesystems that the Hadoop configuration of a Spark session reaches."""

    def __init__(self, spark: SparkSession) -> None:
        self._jvm: Any = spark._jvm
        self._conf: Any = spark._jsc.hadoopConfiguration()

    def _open(self, uri: str) -> Any:
        """Open a file for reading, decompressed if its name ends in a known suffix such as `.gz`."""
        path = self._path(uri)
        stream = path.getFileSystem(self._conf).open(path)
        codec = self._jvm.org.apache.hadoop.io.compress.CompressionCodecFactory(self._conf).getCodec(path)
        return codec.createInputStream(stream) if codec else stream

    def _path(self, uri: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(uri)

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
            Entry(str(s.getPath().toString()), int(s.getLen()), bool(s.isDirectory())) for s in statuses
        )
        return sorted(entries, key=lambda entry: entry.name)

    def first_line(self, uri: str) -> str:
        """Read the first line that is not blank, decompressed; "" if there is none.

        A byte order mark at its start is left out.
        """
        lines = self._jvm.java.io.BufferedReader(
            self._jvm.java.io.InputStreamReader(self._open(uri), "UTF-8")
        )
        try:
            while (line := lines.readLine()) is not None:
                text = str(line).removeprefix("\ufeff")
                if text.strip():
                    return text
            return ""
        finally:
            lines.close()

    def parquet_columns(self, uri: str) -> dict[str, str]:
        """Read a Parquet file's columns from its footer, each with its type.

        One entry: "event_time" -> "optional int64 event_time (TIMESTAMP(NANOS,true))"
        """
        parquet = self._jvm.org.apache.parquet.hadoop
        file = parquet.ParquetFileReader.open(
            parquet.util.HadoopInputFile.fromPath(self._path(uri), self._conf)
        )
        try:
            fields = file.getFileMetaData().getSchema().getFields()
            return {str(field.getName()): str(field.toString()) for field in fields}
        finally:
            file.close()

    def write(self, uri: str, text: str) -> None:
        """Write a small file in one step: readers see the old file, or none, until the new one is whole."""
        folder, name = uri.rsplit("/", 1)
        staged, final = self._path(f"{folder}/.{name}.{uuid4().hex}"), self._path(uri)
        filesystem = final.getFileSystem(self._conf)
        stream = filesystem.create(staged)
        try:
            stream.write(bytearray(text.encode()))
        finally:
            stream.close()
        # FileSystem.rename refuses to replace a file; FileContext's does it atomically.
        options = self._jvm.org.apache.hadoop.fs.Options.Rename
        overwrite = self._jvm.java.lang.reflect.Array.newInstance(options.OVERWRITE.getClass(), 1)
        overwrite[0] = options.OVERWRITE
        self._jvm.org.apache.hadoop.fs.FileContext.getFileContext(final.toUri(), self._conf).rename(
            staged, final, overwrite
        )

    def delete(self, uri: str) -> None:
        """Delete a file, or a folder with everything in it; no error if it does not exist."""
        path = self._path(uri)
        path.getFileSystem(self._conf).delete(path, True)
