"""Read landed Parquet files, whose columns may have several types, into the rows of text of `rows.py`.

In   user_id "u1", app_id "maps", event_time 2026-01-31 10:00:00 UTC (timestamp, text or milliseconds)
Out  file "hdfs://…/part-2.parquet", raw '{"user_id":"u1",…,"battery":71}', readable true,
     user_id "u1", app_id "maps", event_time "2026-01-31T10:00:00.000000Z"
"""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from jobs.lake.hadoop_files import HadoopFiles
from jobs.landing.files import Fields, LandedFile, UnreadableFileError, file_path

ISO_8601 = "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"
# pandas writes times as nanoseconds since 1970, which Spark refuses unless it may read them as integers.
NANOS_AS_LONG = "spark.sql.legacy.parquet.nanosAsLong"


def parquet_layout(files: HadoopFiles, file: LandedFile) -> tuple[tuple[str, str], ...]:
    """Read the names and types of a file's columns; files with equal ones can be read together."""
    return tuple(files.parquet_columns(file.uri).items())


def read_parquet(
    spark: SparkSession, landed: Sequence[LandedFile], parquet_types: Mapping[str, str], fields: Fields
) -> DataFrame:
    """Read Parquet files that share one schema.

    Raises:
        UnreadableFileError: a required column is missing, or a column has a type that its field cannot have.
    """
    fields.check(landed[0], list(parquet_types))
    spark.conf.set(NANOS_AS_LONG, True)
    paths = [file.spark_path for file in landed]
    rows = spark.read.option("ignoreCorruptFiles", False).parquet(*paths)
    values = [
        as_text(landed[0], rows.schema[name], parquet_types[name]) if name in parquet_types else no_text(name)
        for name in fields.names
    ]
    return rows.select(
        file_path().alias("file"),
        F.to_json(F.struct("*"), {"ignoreNullFields": "false"}).alias("raw"),
        F.lit(True).alias("readable"),
        *values,
    )


def no_text(name: str) -> Column:
    return F.lit(None).cast("string").alias(name)


def as_text(file: LandedFile, field: T.StructField, parquet_type: str) -> Column:
    """Turn a column into text, by its type.

    Raises:
        UnreadableFileError: no id, time or label can have this type.
    """
    column = F.col(f"`{field.name}`")
    if "(TIMESTAMP(NANOS,true))" in parquet_type:
        text = F.date_format(F.timestamp_micros(F.floor(column / 1000)), ISO_8601)
    elif isinstance(field.dataType, T.TimestampType):
        text = F.date_format(column, ISO_8601)
    elif isinstance(field.dataType, T.FractionalType):  # integers with gaps, from pandas
        text = column.try_cast("decimal(38,0)").cast("string")
    elif "TIMESTAMP" not in parquet_type and isinstance(
        field.dataType, (T.StringType, T.IntegralType, T.BinaryType, T.DateType)
    ):
        text = column.cast("string")
    else:
        raise UnreadableFileError(
            f"{file.uri}: column {field.name} is {field.dataType.simpleString()} ({parquet_type}); "
            "expected text, a whole number, or a timestamp with zone"
        )
    return text.alias(field.name)


def read_packed_parquet(spark: SparkSession, landed: Sequence[LandedFile], fields: Fields) -> DataFrame:
    """Read gzipped Parquet, which Spark itself cannot read: an executor unpacks each file in its memory.

    A damaged file, or one that lacks a column, raises an error with its name when Spark reads the rows.
    """
    columns = ["file", "raw", *fields.names]
    schema = pa.schema([(name, pa.string()) for name in columns])

    def unpack(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for file in batch.to_pylist():
                rows = unpack_rows(unquote(file["path"]), file["content"], fields)
                yield pa.RecordBatch.from_pylist(rows, schema)

    contents = spark.read.format("binaryFile").load([file.spark_path for file in landed])
    rows = contents.select("path", "content").mapInArrow(
        unpack, ", ".join(f"{name} STRING" for name in columns)
    )
    return rows.select("file", "raw", F.lit(True).alias("readable"), *fields.names)


def unpack_rows(path: str, content: bytes, fields: Fields) -> list[dict[str, str | None]]:
    """Unpack a gzipped Parquet file into rows of text.

    Raises:
        ValueError: the file is damaged or lacks a column.
    """
    try:
        table = pq.read_table(pa.BufferReader(gzip.decompress(content)))
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    missing = [name for name in fields.required if name not in table.column_names]
    if missing:
        raise ValueError(f"{path} has no column {', '.join(missing)}; found: {', '.join(table.column_names)}")
    return [text_row(path, row, fields) for row in table.to_pylist()]


def text_row(path: str, row: dict[str, Any], fields: Fields) -> dict[str, str | None]:
    values = {name: value_text(row.get(name)) for name in fields.names}
    return {"file": path, "raw": json.dumps(row, default=str), **values}


def value_text(value: Any) -> str | None:
    """Write a value of a Parquet row as text, as a CSV file would hold it."""
    if value is None or value != value:  # a gap in a column of floats is NaN
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
