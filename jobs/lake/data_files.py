"""Check the files below a table against what Iceberg recorded when they were written.

In   risk.install_sessions, landing days 2026-01-01 to 2026-01-31, a snapshot
Out  nothing, or

    TableDamagedError  …/ds=2026-01-30/00000-4-….parquet: expected 1,204 rows, found 1,140

A Parquet page has a checksum, the footer has none: a bit flipped there can give fewer rows, or none, without
an error (tests/unit/jobs/lake/test_data_files.py finds some). Iceberg's manifests hold each file's size and
number of rows, and the table's schemas hold the columns, so the footers are compared with these.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from py4j.java_gateway import is_instance_of
from py4j.protocol import Py4JJavaError
from pyspark.errors import IllegalArgumentException
from pyspark.sql import SparkSession

from jobs.lake.branches import DataFile, LakeTable, TableDamagedError, describe_columns
from jobs.lake.java_errors import is_damage, java_text, root_cause
from jobs.lake.receipts import DayRange

# Footers come from HDFS one small read at a time.
FOOTERS_AT_ONCE = 8


def check_data_files(spark: SparkSession, table: LakeTable, days: DayRange, snapshot_id: int | None) -> None:
    """Check size, number of rows and columns of every file of these days in a snapshot.

    Raises:
        TableDamagedError: names the first file that is not as it was written, and what differs.
    """
    footers = Footers(spark)
    schemas = table.schemas()

    def find_flaw(file: DataFile) -> str | None:
        return next(footers.find_flaws(file, schemas), None)

    files = table.data_files(days, snapshot_id)
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        for file, flaw in zip(files, pool.map(find_flaw, files), strict=True):
            if flaw:
                raise TableDamagedError(
                    f"{file.path}: {flaw}, by the record of {table.name}; run the job again "
                    "that wrote this date of the table"
                )


class Footers:
    """Footers of Parquet files, by the reader that Iceberg brings along."""

    def __init__(self, spark: SparkSession) -> None:
        jvm: Any = spark._jvm
        self._gateway = spark.sparkContext._gateway
        self._path = jvm.org.apache.hadoop.fs.Path
        self._parquet = jvm.org.apache.iceberg.shaded.org.apache.parquet.hadoop
        self._to_schema = jvm.org.apache.iceberg.parquet.ParquetSchemaUtil.convert
        self._conf = spark._jsc.hadoopConfiguration()

    def find_flaws(self, file: DataFile, schemas: frozenset[str]) -> Iterator[str]:
        """Say how the file differs from its record; nothing if it does not.

        Args:
            schemas: those that the table has or had.
        """
        try:
            content = self._parquet.util.HadoopInputFile.fromPath(self._path(file.path), self._conf)
            if content.getLength() != file.size:
                yield f"expected {file.size:,} bytes, found {content.getLength():,}"
            reader = self._parquet.ParquetFileReader.open(content)
        except Py4JJavaError as error:
            if self._is_outage(error):
                raise
            yield f"expected a file and its footer, found {root_cause(java_text(error))}"
            return
        try:
            if reader.getRecordCount() != file.rows:
                yield f"expected {file.rows:,} rows, found {reader.getRecordCount():,}"
            columns = self._read_columns(reader)
            if columns not in schemas:
                yield f"expected the columns {' or '.join(sorted(schemas))}, found {columns}"
        finally:
            reader.close()

    def _is_outage(self, error: Py4JJavaError) -> bool:
        """Whether the file may be there and whole, such as on a DataNode that does not answer."""
        raised: Any = error.java_exception
        return (
            is_instance_of(self._gateway, raised, "java.io.IOException")
            and not is_instance_of(self._gateway, raised, "java.io.FileNotFoundException")
            and not is_damage(java_text(error))
        )

    def _read_columns(self, reader: Any) -> str:
        message = reader.getFileMetaData().getSchema()
        try:
            return describe_columns(self._to_schema(message))
        except (Py4JJavaError, IllegalArgumentException) as error:  # columns that Iceberg never writes
            return f"{message.toString()} ({root_cause(java_text(error))})"
