"""Read landed Parquet files, whose columns may have several types, into the rows of text of `rows.py`.

In   user_id "u1", app_id "maps", event_time 2026-01-31 10:00:00 UTC (timestamp, text or milliseconds)
Out  file "hdfs://…/part-2.parquet", raw '{"user_id":"u1","app_id":"maps",…}', readable true,
     user_id "u1", app_id "maps", event_time "2026-01-31T10:00:00.000000Z"

A file's own footer says how its wanted columns are read. Spark never sees the other columns, whatever their
names and types.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.lake.hadoop_files import HadoopFiles
from jobs.landing.files import Fields, LandedFile, UnreadableFileError, file_path
from jobs.landing.unreadable import naming_file

# Bytes, on the cluster's disks. Parquet is compressed inside, so gzip around it saves little.
LARGEST_UNPACKED = 4 * 2**30
NOT_DECODED = {"BROTLI", "LZO"}  # Spark brings no library for these

TIMESTAMP = r"int64 TIMESTAMP\((?P<unit>MILLIS|MICROS|NANOS),true\)"
DECIMAL = r".+ DECIMAL\((?P<precision>\d+),(?P<scale>\d+)\)"
# Parquet types that Spark reads, and as what. Timestamps are read as the integers that they are: a single one
# out of Spark's range would otherwise fail its file.
NUMBERS = {
    r"int64 INTEGER\(64,false\)": "DECIMAL(20,0)",
    r"int(?:32|64)(?: INTEGER\(\d+,(?:true|false)\))?": "BIGINT",
    r"float": "FLOAT",
    r"double": "DOUBLE",
}
MOMENTS = {TIMESTAMP: "BIGINT", r"int96": "TIMESTAMP", r"int32 DATE": "DATE"}
TEXTS = {
    r"binary(?: STRING| ENUM| JSON)?": "STRING",
    r"fixed_len_byte_array\(\d+\)": "BINARY",
    r"\w+ UNKNOWN": "INT",  # all null
}
UNITS_PER_SECOND = {"MILLIS": 1_000, "MICROS": 1_000_000, "NANOS": 1_000_000_000}
# Seconds since 1970 of the years 1 to 9999, which ISO 8601 can write.
CALENDAR = (-62_135_596_800, 253_402_300_799)
LARGEST_INTEGER = 2**63 - 1
ISO_8601 = "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"
NANOS_AS_LONG = "spark.sql.legacy.parquet.nanosAsLong"


def unpack(files: HadoopFiles, file: LandedFile, folder: str) -> LandedFile:
    """Unpack a gzipped Parquet file into `folder`, since Parquet is read from its end.

    Raises:
        UnreadableFileError: it is damaged, holds something else, or is larger than `LARGEST_UNPACKED`.
    """
    copy = f"{folder}/{file.name}"
    with naming_file(file):
        start = files.read_start(file.uri, 4)
        if start != b"PAR1":
            raise UnreadableFileError(
                f"{file.uri} cannot be read: expected Parquet within gzip, found {start!r}"
            )
        size = files.unpack(file.uri, copy, LARGEST_UNPACKED + 1)
    if size > LARGEST_UNPACKED:
        raise UnreadableFileError(
            f"{file.uri} unpacks to more than {LARGEST_UNPACKED:,} bytes; deliver it in parts, or without gzip"
        )
    return replace(file, copy=copy)


def wanted_types(files: HadoopFiles, file: LandedFile, fields: Fields) -> tuple[tuple[str, str], ...]:
    """Read the names and Parquet types of the wanted columns; files with equal ones can be read together.

    Raises:
        UnreadableFileError: a required column is missing, or a column occurs twice, has a type that its field
            cannot have, or is compressed in a way that Spark cannot read.
    """
    footer = files.parquet_footer(file.copy or file.uri)
    fields.check(file, [name for name, _ in footer.columns])
    types = {name: column_type for name, column_type in footer.columns if name in fields.names}
    for name, column_type in types.items():
        is_id = name in fields.ids
        if read_as(column_type, NUMBERS | TEXTS if is_id else NUMBERS | TEXTS | MOMENTS) is None:
            expected = "text or a whole number" + ("" if is_id else ", or a timestamp with zone")
            raise UnreadableFileError(f"{file.uri}: column {name} is {column_type}; expected {expected}")
        if footer.codecs.get(name) in NOT_DECODED:
            raise UnreadableFileError(
                f"{file.uri}: column {name} is compressed by {footer.codecs[name]}; "
                "expected SNAPPY, GZIP, ZSTD, LZ4_RAW or UNCOMPRESSED"
            )
    return tuple(sorted(types.items()))


def read_as(column_type: str, accepted: Mapping[str, str]) -> str | None:
    """Find what Spark is to read a Parquet type as; None if it is not accepted."""
    decimal = re.fullmatch(DECIMAL, column_type)
    if decimal:
        return (
            f"DECIMAL({decimal['precision']},{decimal['scale']})" if int(decimal["precision"]) <= 38 else None
        )
    return next((sql for pattern, sql in accepted.items() if re.fullmatch(pattern, column_type)), None)


def read_parquet(
    spark: SparkSession, landed: Sequence[LandedFile], types: Mapping[str, str], fields: Fields
) -> DataFrame:
    """Read Parquet files whose wanted columns have the same Parquet types."""
    spark.conf.set(NANOS_AS_LONG, True)  # otherwise Spark refuses nanoseconds, even as integers
    schema = ", ".join(f"{name} {read_as(types[name], NUMBERS | TEXTS | MOMENTS)}" for name in types)
    paths = [file.spark_path for file in landed]
    rows = spark.read.schema(schema).option("ignoreCorruptFiles", False).parquet(*paths)

    texts = {name: as_text(name, types[name]) for name in types}
    # Numbers stay numbers, so that 12.5 does not look like a text.
    raw = [
        (F.col(name) if is_number(types[name]) else F.make_valid_utf8(texts[name])).alias(name)
        for name in fields.names
        if name in types
    ]
    readable = F.lit(True)
    for name in types:
        if not is_number(types[name]):
            readable &= F.coalesce(F.is_valid_utf8(texts[name]), F.lit(True))
        elif name in fields.ids:
            readable &= F.coalesce(texts[name].rlike(r"^-?\d+$"), F.lit(True))
    return rows.select(
        landed_path(landed).alias("file"),
        F.to_json(F.struct(*raw), {"ignoreNullFields": "false"}).alias("raw"),
        readable.alias("readable"),
        *(
            F.make_valid_utf8(texts.get(name, F.lit(None).cast("string"))).alias(name)
            for name in fields.names
        ),
    )


def landed_path(landed: Sequence[LandedFile]) -> Column:
    """The path of a row's landed file, also where its unpacked copy was read."""
    for file in landed:
        if file.copy:  # all copies of a folder's files lie together and keep their names
            copies, folder = (uri.rsplit("/", 1)[0] + "/" for uri in (file.copy, file.uri))
            return F.replace(file_path(), F.lit(copies), F.lit(folder))
    return file_path()


def is_number(column_type: str) -> bool:
    return read_as(column_type, NUMBERS) is not None


def as_text(name: str, column_type: str) -> Column:
    """Turn a column into text, as a CSV file would hold it."""
    column = F.col(name)
    timestamp = re.fullmatch(TIMESTAMP, column_type)
    decimal = re.fullmatch(DECIMAL, column_type)
    if timestamp:
        return moment_text(column, UNITS_PER_SECOND[timestamp["unit"]])
    if column_type == "int96":
        return moment_text(F.unix_micros(column), UNITS_PER_SECOND["MICROS"])
    if column_type in ("float", "double") or (decimal and decimal["scale"] != "0"):
        return number_text(column)
    return column.cast("string")


def moment_text(count: Column, per_second: int) -> Column:
    """Write a count since 1970 as ISO 8601, or as milliseconds if its year has not four digits."""
    first, last = (max(-LARGEST_INTEGER, min(LARGEST_INTEGER, second * per_second)) for second in CALENDAR)
    inside = F.when(count.between(first, last), count)
    micros = (
        F.try_multiply(inside, F.lit(1_000_000 // per_second))
        if per_second < 1_000_000
        else whole_part(inside, per_second // 1_000_000)
    )
    return F.coalesce(
        F.date_format(F.timestamp_micros(micros), ISO_8601),
        whole_part(count, per_second // 1_000).cast("string"),
    )


def whole_part(count: Column, divisor: int) -> Column:
    """Divide integers: a division of doubles loses the last digits of today's nanoseconds."""
    return F.call_function("div", count, F.lit(divisor).cast("bigint"))


def number_text(number: Column) -> Column:
    """Write a whole number without a point (pandas stores integers with gaps as 12.0); NaN is such a gap."""
    whole = F.when(number % F.lit(1) == 0, number.try_cast("decimal(38,0)").cast("string"))
    return F.when(~F.isnan(number.cast("double")), F.coalesce(whole, number.cast("string")))
