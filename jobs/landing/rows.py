"""Read landed files of every format into rows of text, so that one set of rules judges them all.

In   {"user_id": "u1", "app_id": "maps", "event_time": 1769853600000, "battery": 71}   in part-0.jsonl.gz
Out  file "hdfs://…/part-0.jsonl.gz", raw "{…}", readable true,
     user_id "u1", app_id "maps", event_time "1769853600000"

There is one row for each line that is neither blank nor a CSV header, and for each row of Parquet. `raw` is
the line as landed, or the Parquet row as JSON. A line is not `readable` if it is not a JSON object, has
another number of fields than its CSV header, or is not UTF-8. An absent or null field is null; any other
value is text.
"""

import csv
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import reduce
from typing import TypeVar

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.lake.hadoop_files import HadoopFiles
from jobs.landing.files import Fields, LandedFile, file_path
from jobs.landing.parquet import parquet_layout, read_packed_parquet, read_parquet
from jobs.landing.unreadable import naming_file

Layout = TypeVar("Layout", bound=Hashable)

# RFC 4180 doubles a quote within quotes; Spark's default escapes it with a backslash.
CSV_OPTIONS = {"escape": '"', "columnNameOfCorruptRecord": "malformed"}


def read_rows(spark: SparkSession, landed: Sequence[LandedFile], fields: Fields) -> DataFrame:
    """Read all files into file, raw, readable and one string column for each of `fields`.

    Raises:
        UnreadableFileError: a CSV or Parquet file lacks a column or cannot be opened. Damage deeper in a file
            shows when Spark reads it: see `naming_unreadable_files`.
    """
    files = HadoopFiles(spark)
    packed = [file for file in landed if file.format == "parquet" and file.is_gzip]
    plain_parquet = [file for file in landed if file.format == "parquet" and not file.is_gzip]
    csv_files = [file for file in landed if file.format == "csv"]
    jsonl = [file for file in landed if file.format == "jsonl"]

    nothing = spark.range(0)  # createDataFrame([]) would start a Python worker: 5 s of a small job's 40
    text = [F.lit(None).cast("string").alias(name) for name in ("file", "raw", *fields.names)]
    frames = [nothing.select(*text, F.lit(None).cast("boolean").alias("readable"))]
    if jsonl:
        frames.append(read_jsonl(spark, jsonl, fields))
    if packed:
        frames.append(read_packed_parquet(spark, packed, fields))
    for header, group in group_by_layout(csv_files, lambda file: files.first_line(file.uri)):
        frames.append(read_csv(spark, group, header, fields))
    for columns, group in group_by_layout(plain_parquet, lambda file: parquet_layout(files, file)):
        frames.append(read_parquet(spark, group, dict(columns), fields))
    return reduce(DataFrame.unionByName, frames)


def read_lines(spark: SparkSession, landed: Sequence[LandedFile]) -> DataFrame:
    """Read text files into file, raw and is_utf8, one row for each line that is not blank."""
    lines = spark.read.option("ignoreCorruptFiles", False).text([file.spark_path for file in landed])
    return lines.where(F.trim("value") != "").select(
        file_path().alias("file"),
        F.make_valid_utf8("value").alias("raw"),
        F.is_valid_utf8("value").alias("is_utf8"),
    )


def read_jsonl(spark: SparkSession, landed: Sequence[LandedFile], fields: Fields) -> DataFrame:
    """Read JSON Lines; a value that is not a string becomes its JSON text."""
    # Spark ignores what follows the first object of a line, so a second object would be lost unseen.
    # In brackets the line is an array, which has exactly one element if the line holds exactly one object.
    schema = "ARRAY<STRUCT<" + ", ".join(f"{name}: STRING" for name in fields.names) + ">>"
    objects = F.from_json(F.concat(F.lit("["), F.col("raw"), F.lit("]")), schema)
    is_one_object = (F.size("objects") == 1) & F.rtrim("raw").endswith("}") & F.get("objects", 0).isNotNull()

    lines = read_lines(spark, landed).withColumn("objects", objects)
    return lines.select(
        "file",
        "raw",
        (F.col("is_utf8") & F.coalesce(is_one_object, F.lit(False))).alias("readable"),
        *(F.get("objects", 0)[name].alias(name) for name in fields.names),
    )


def read_csv(spark: SparkSession, landed: Sequence[LandedFile], header: str, fields: Fields) -> DataFrame:
    """Read CSV files that share one header line; a row is one line, and an empty field is null.

    Raises:
        UnreadableFileError: the header lacks a required column.
    """
    columns = next(csv.reader([header]), [])
    fields.check(landed[0], columns)
    # By position, since a file's further columns may have any names.
    schema = ", ".join(f"c{position} STRING" for position in range(len(columns))) + ", malformed STRING"
    values = F.from_csv("raw", schema, CSV_OPTIONS)

    lines = read_lines(spark, landed).where(F.col("raw") != header).withColumn("values", values)
    return lines.select(
        "file",
        "raw",
        (F.col("is_utf8") & F.col("values.malformed").isNull()).alias("readable"),
        *(
            F.col(f"values.c{columns.index(name)}").alias(name)
            if name in columns
            else F.lit(None).cast("string").alias(name)
            for name in fields.names
        ),
    )


def group_by_layout(
    files: Iterable[LandedFile], layout_of: Callable[[LandedFile], Layout]
) -> list[tuple[Layout, list[LandedFile]]]:
    """Group the files that can be read together; `layout_of` opens each file once."""
    groups: dict[Layout, list[LandedFile]] = {}
    for file in files:
        with naming_file(file):
            groups.setdefault(layout_of(file), []).append(file)
    return list(groups.items())
