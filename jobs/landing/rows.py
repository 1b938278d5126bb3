"""Read landed files of every format into rows of text, so that one set of rules judges them all.

In   {"user_id": "u1", "app_id": "maps", "event_time": 1769853600000, "battery": 71}   in part-0.jsonl.gz
Out  file "hdfs://…/part-0.jsonl.gz", raw "{…}", readable true,
     user_id "u1", app_id "maps", event_time "1769853600000"

There is one row for each line that is neither blank nor a CSV header, and for each row of Parquet. `raw` is
the start of the line as landed, or of the Parquet row as JSON. A row is not `readable` if its line is not one
JSON object or has another number of fields than its CSV header, if it is not UTF-8, or if an id is neither
text nor a whole number. An absent or null field is null; any other value is text.

Memory is bounded, whatever has landed: the driver reads the start of a file only, and no line is longer than
`LONGEST_LINE`.
"""

import csv
import re
import secrets
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import reduce
from typing import TypeVar

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.lake.hadoop_files import HadoopFiles
from jobs.landing.files import Fields, LandedFile, UnreadableFileError, file_path, shorten
from jobs.landing.first_bytes import BYTE_ORDER_MARK, FIRST_BYTES, check_first_bytes
from jobs.landing.parquet import read_parquet, unpack, wanted_types
from jobs.landing.unreadable import naming_file

Layout = TypeVar("Layout", bound=Hashable)

LONGEST_LINE = 4 * 2**20  # bytes; Spark holds several copies of a line, and an install takes some hundred
LONGEST_RAW = 4_000  # characters: people read rejected rows
# RFC 4180 doubles a quote within quotes; Spark's default escapes it with a backslash. And by default a NUL
# character beside a quote would vanish, so that "u1<NUL>" would be the user u1.
CSV_OPTIONS = {"escape": '"', "charToEscapeQuoteEscaping": '"', "columnNameOfCorruptRecord": "malformed"}
# Spark's own limit. A line with more would end the job, since `from_csv` raises an error there.
MOST_CSV_FIELDS = 20_480
# What `from_json` turns into text although it may be none: objects, arrays, booleans, fractions.
MAYBE_NOT_TEXT = r"^(?:[{\[]|(?:true|false)$|-?\d+(?:\.\d+|[eE])[\d.eE+-]*$)"
WHOLE_WITH_POINT = r"^-?\d+\.0+$"  # pandas writes integers with gaps as 12.0
NOT_OF_THE_WHOLE = r"^-(?=0+\.)|\.0+$"  # the point and what follows, and the sign of -0.0


def read_rows(spark: SparkSession, landed: Sequence[LandedFile], fields: Fields) -> DataFrame:
    """Read all files into file, raw, readable and one string column for each of `fields`.

    Raises:
        UnreadableFileError: a file holds something else than its name says, lacks a column, has a line longer
            than `LONGEST_LINE`, or cannot be opened. Damage deeper in a file shows when Spark reads it: see
            `naming_unreadable_files`.
    """
    files = HadoopFiles(spark)
    jsonl, csv_files, parquet = (
        [file for file in landed if file.format == name] for name in ("jsonl", "csv", "parquet")
    )
    nothing = spark.range(0)  # createDataFrame([]) would start a Python worker: 5 s of a small job's 40
    text = [F.lit(None).cast("string").alias(name) for name in ("file", "raw", *fields.names)]
    frames = [nothing.select(*text, F.lit(None).cast("boolean").alias("readable"))]

    starts = {file: read_text_start(files, file, fields) for file in (*jsonl, *csv_files)}
    if jsonl:
        frames.append(read_jsonl(spark, jsonl, fields))
    for header, group in group_by_layout(csv_files, lambda file: find_header(file, starts[file])):
        frames.append(read_csv(spark, group, header, fields))

    if any(file.is_gzip for file in parquet):
        folder = files.make_scratch_folder(near=parquet[0].uri)
        parquet = [unpack(files, file, folder) if file.is_gzip else file for file in parquet]
    for types, group in group_by_layout(parquet, lambda file: wanted_types(files, file, fields)):
        frames.append(read_parquet(spark, group, dict(types), fields))

    is_long = F.octet_length("raw") > LONGEST_RAW
    rows = reduce(DataFrame.unionByName, frames)
    return rows.withColumn("raw", F.when(is_long, F.left("raw", F.lit(LONGEST_RAW))).otherwise(F.col("raw")))


def reading_alone(spark: SparkSession, fields: Fields) -> Callable[[LandedFile], None]:
    """Make the function that reads a single file to its last value, for `naming_unreadable_files`."""

    def read_alone(file: LandedFile) -> None:
        read_rows(spark, [file], fields).write.format("noop").mode("overwrite").save()

    return read_alone


def read_text_start(files: HadoopFiles, file: LandedFile, fields: Fields) -> bytes:
    """Read the first bytes of a text file, after a look at what it holds.

    Raises:
        UnreadableFileError: it holds another format, or a line longer than `LONGEST_LINE`.
    """
    with naming_file(file):
        start = files.read_start(file.uri, FIRST_BYTES)
        check_first_bytes(file, start, fields)
        if len(start) == FIRST_BYTES and files.has_line_over(file.uri, LONGEST_LINE):
            raise UnreadableFileError(
                f"{file.uri} has a line of more than {LONGEST_LINE:,} bytes; expected one row in each line: "
                "is it cut off, or are its line breaks lost?"
            )
    return start


def read_lines(spark: SparkSession, landed: Sequence[LandedFile]) -> DataFrame:
    """Read text files into file, landed (bytes), raw and is_utf8, one row for each line that is not blank."""
    lines = spark.read.option("ignoreCorruptFiles", False).text([file.spark_path for file in landed])
    return lines.where(F.col("value").rlike(r"\S")).select(
        file_path().alias("file"),
        F.col("value").cast("binary").alias("landed"),
        F.make_valid_utf8("value").alias("raw"),
        F.is_valid_utf8("value").alias("is_utf8"),
    )


def read_jsonl(spark: SparkSession, landed: Sequence[LandedFile], fields: Fields) -> DataFrame:
    """Read JSON Lines; a value that is not a string becomes its JSON text."""
    # Spark ignores what follows the first object of a line, so a second object would be lost unseen. Between
    # two keys that no line can hold, there is place for exactly one value.
    before, behind = f"before_{secrets.token_hex(8)}", f"behind_{secrets.token_hex(8)}"
    names = ", ".join(f"{name}: STRING" for name in fields.names)
    object_ = F.from_json(
        F.concat(F.lit(f'{{"{before}":'), F.col("raw"), F.lit(f',"{behind}":1}}')),
        f"STRUCT<{before}: STRUCT<{names}>, {behind}: INT>",
        {"allowNonNumericNumbers": "false"},
    )
    lines = read_lines(spark, landed).withColumn("line", object_)
    readable = F.col("is_utf8") & F.col(f"line.{before}").isNotNull() & F.col(f"line.{behind}").isNotNull()
    values = {name: F.col(f"line.{before}.{name}") for name in fields.names}
    for name in fields.ids:
        is_text = is_json_text(F.col("raw"), name, values[name])
        is_whole = values[name].rlike(WHOLE_WITH_POINT)
        readable &= is_text | is_whole
        whole = F.regexp_replace(values[name], NOT_OF_THE_WHOLE, "")
        values[name] = F.when(~is_text & is_whole, whole).otherwise(values[name])
    return lines.select(
        "file",
        "raw",
        F.coalesce(readable, F.lit(False)).alias("readable"),
        *(value.alias(name) for name, value in values.items()),
    )


def is_json_text(json: Column, name: str, value: Column) -> Column:
    """Whether a field is null, text or a whole number in JSON; `value` is what `from_json` made of it."""
    json_type = F.schema_of_variant(F.from_json(json, f"{name} VARIANT")[name])
    # Only the few values that need it are parsed again.
    return F.when(value.rlike(MAYBE_NOT_TEXT), json_type == "STRING").otherwise(F.lit(True))


def find_header(file: LandedFile, start: bytes) -> bytes:
    """Find a CSV file's header, the first line that is not blank; b"" if there is none.

    Raises:
        UnreadableFileError: the first line has no end, or its last quotes have none.
    """
    lines = re.split(rb"[\r\n]+", start.removeprefix(BYTE_ORDER_MARK))
    header = next((line for line in lines if line.strip()), b"")
    if header is lines[-1] and len(start) == FIRST_BYTES:
        raise UnreadableFileError(f"{file.uri}: expected a header line, found none in {FIRST_BYTES:,} bytes")
    if header.count(b'"') % 2:
        raise UnreadableFileError(
            f"{file.uri}: expected quotes in pairs in the header, found {shorten(header.decode(errors='replace'))}"
        )
    return header


def read_csv(spark: SparkSession, landed: Sequence[LandedFile], header: bytes, fields: Fields) -> DataFrame:
    """Read CSV files that share one header line; a row is one line, and an empty field is null.

    Raises:
        UnreadableFileError: the header lacks a required column.
    """
    text = header.decode(errors="replace")
    columns = next(csv.reader([text]), [])
    check_separator(landed[0], text, fields)
    fields.check(landed[0], columns)
    # By position, since a file's further columns may have any names.
    schema = ", ".join(f"c{position} STRING" for position in range(len(columns))) + ", malformed STRING"
    fits = count("raw", ",") < MOST_CSV_FIELDS
    values = F.from_csv(F.when(fits, F.col("raw")), schema, CSV_OPTIONS)
    is_open = F.contains("raw", F.lit('"')) & (count("raw", '"') % 2 == 1) & F.col("raw").rlike('(?:^|,)"')

    lines = read_lines(spark, landed).where(F.col("landed") != F.lit(bytearray(header)))
    return lines.withColumn("values", values).select(
        "file",
        "raw",
        (F.col("is_utf8") & fits & ~is_open & F.col("values.malformed").isNull()).alias("readable"),
        *(
            F.col(f"values.c{columns.index(name)}").alias(name)
            if name in columns
            else F.lit(None).cast("string").alias(name)
            for name in fields.names
        ),
    )


def check_separator(file: LandedFile, header: str, fields: Fields) -> None:
    """Raise UnreadableFileError if another separator than the comma would give the columns."""
    for separator, name in {";": "semicolons", "\t": "tabs", "|": "bars"}.items():
        if set(fields.required) <= set(next(csv.reader([header], delimiter=separator), [])):
            raise UnreadableFileError(f"{file.uri} has {name} between its columns; expected commas")


def count(column: str, character: str) -> Column:
    """Count a character in each row's text."""
    return F.length(column) - F.length(F.replace(column, F.lit(character), F.lit("")))


def group_by_layout(
    files: Iterable[LandedFile], layout_of: Callable[[LandedFile], Layout]
) -> list[tuple[Layout, list[LandedFile]]]:
    """Group the files that can be read together; `layout_of` opens each file once."""
    groups: dict[Layout, list[LandedFile]] = {}
    for file in files:
        with naming_file(file):
            groups.setdefault(layout_of(file), []).append(file)
    return list(groups.items())
