"""Parquet becomes the same rows of text as any other format, whatever wrote it.

Cases share a read, since starting one costs more than a thousand rows.
"""

import decimal
from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.lake.hadoop_files import HadoopFiles, column_type
from jobs.landing.event_rules import FIELDS
from jobs.landing.files import UnreadableFileError, list_data_files
from jobs.landing.rows import read_rows
from tests.made_up.landing_day import gz, land, uri

TEN = datetime(2026, 1, 31, 10, tzinfo=UTC)
ISO_TEN = "2026-01-31T10:00:00.000000Z"
NEVER = 2**63 - 1


def read(spark, folder):
    return read_rows(spark, list_data_files(HadoopFiles(spark), folder), FIELDS).collect()


def parquet(event_times, **more):
    return pa.table({"user_id": ["u1"], "app_id": ["maps"], "event_time": event_times, **more})


def land_packed(folder, plain):
    """Land the files of `plain` again, gzipped."""
    for file in plain.iterdir():
        land(folder, **{f"{file.name}.gz": gz(file.read_bytes())})
    return uri(folder)


def by_file(rows, field):
    return {
        row.file.rsplit("/", 1)[-1].removesuffix(".gz").removesuffix(".parquet"): row[field] for row in rows
    }


EVENT_TIMES = {
    "microseconds": (pa.array([TEN], pa.timestamp("us", "UTC")), ISO_TEN),
    "zone of India": (pa.array([TEN], pa.timestamp("ms", "Asia/Kolkata")), ISO_TEN),
    "seconds": (pa.array([TEN], pa.timestamp("s", "UTC")), ISO_TEN),
    "nanoseconds": (pa.array(pd.to_datetime([TEN])), ISO_TEN),  # what pandas writes
    "epoch": (pa.array([1769853600000]), "1769853600000"),
    "unsigned": (pa.array([1769853600000], pa.uint64()), "1769853600000"),
    "epoch with gaps": (pa.array([1769853600000.0]), "1769853600000"),  # pandas stores these as floats
    "decimal": (pa.array([decimal.Decimal("1769853600000.00")]), "1769853600000"),
    "text": (pa.array(["2026-01-31T10:00:00Z"]), "2026-01-31T10:00:00Z"),
    "large text": (pa.array(["2026-01-31T10:00:00Z"], pa.large_string()), "2026-01-31T10:00:00Z"),
    "dictionary": (pa.array(["2026-01-31T10:00:00Z"]).dictionary_encode(), "2026-01-31T10:00:00Z"),
    "bytes": (pa.array([b"2026-01-31T10:00:00Z"]), "2026-01-31T10:00:00Z"),
    "fixed bytes": (pa.array([b"2026-01-31T10:00:00Z"], pa.binary(20)), "2026-01-31T10:00:00Z"),
    "date": (pa.array([TEN.date()]), "2026-01-31"),
    "nothing": (pa.nulls(1), None),
    "NaN": (pa.array([float("nan")]), None),
    # Marks for "never", and the smallest integer, which pandas shows as NaT.
    "never in milliseconds": (pa.array([NEVER], pa.timestamp("ms", "UTC")), "9223372036854775807"),
    "never in microseconds": (pa.array([NEVER], pa.timestamp("us", "UTC")), "9223372036854775"),
    "never in nanoseconds": (pa.array([NEVER], pa.timestamp("ns", "UTC")), "2262-04-11T23:47:16.854775Z"),
    "NaT": (pa.array([-NEVER - 1], pa.timestamp("us", "UTC")), "-9223372036854775"),
    "never as a float": (pa.array([1e300]), "1.0E300"),
    "never as an unsigned integer": (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
}


@pytest.fixture(scope="module")
def times(tmp_path_factory):
    """A folder with one file for each of `EVENT_TIMES`."""
    folder = tmp_path_factory.mktemp("times")
    land(folder, **{f"{name}.parquet": parquet(array) for name, (array, _) in EVENT_TIMES.items()})
    return folder


def test_times_may_have_many_types_and_units(spark, times):
    expected = {name: text for name, (_, text) in EVENT_TIMES.items()}
    assert by_file(read(spark, uri(times)), "event_time") == expected


def test_gzip_is_only_a_wrapping(spark, tmp_path, times):
    folder = land_packed(tmp_path, times)
    plain, packed = (sorted(read(spark, each), key=str) for each in (uri(times), folder))
    assert [(*row[1:],) for row in packed] == [(*row[1:],) for row in plain]
    assert {row.file for row in packed} == {f"{folder}/{name}.parquet.gz" for name in EVENT_TIMES}


def test_a_file_without_rows_has_none(spark, tmp_path):
    assert read(spark, land(tmp_path, a__parquet=parquet([1]).slice(0, 0))) == []


def test_int96_of_old_writers_is_a_time_gzipped_or_not(spark, tmp_path):
    plain = tmp_path / "plain"
    plain.mkdir()
    times = pa.array([TEN + timedelta(microseconds=1)], pa.timestamp("ns"))
    pq.write_table(parquet(times), plain / "a.parquet", use_deprecated_int96_timestamps=True)
    for folder in (uri(plain), land_packed(tmp_path / "packed", plain)):
        assert [row.event_time for row in read(spark, folder)] == ["2026-01-31T10:00:00.000001Z"]


def test_nanoseconds_are_cut_to_the_microsecond_and_never_below_it(spark, tmp_path):
    # As doubles, an eighth of these came out a microsecond early.
    moments = [TEN + timedelta(milliseconds=7 * number) for number in range(200)]
    table = pa.table(
        {
            "user_id": [moment.isoformat(timespec="microseconds") for moment in moments],
            "app_id": ["maps"] * 200,
            "event_time": pa.array(pd.to_datetime(moments).as_unit("ns")),
        }
    )
    rows = read(spark, land(tmp_path, a__parquet=table))
    assert {row.event_time.replace("Z", "+00:00") for row in rows} == {row.user_id for row in rows}


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pa.array([12, 13]), ["12", "13"]),
        (pa.array([12.0, 12.5]), ["12", None]),  # must not become 13
        (pa.array([decimal.Decimal("12.00"), decimal.Decimal("12345678901234567890.50")]), ["12", None]),
        (pa.array([b"u1", "größe".encode("latin-1")], pa.binary()), ["u1", None]),
        (pa.array(["u1", None]), ["u1", "(null)"]),
    ],
)
def test_an_id_is_a_text_in_utf_8_or_a_whole_number(spark, tmp_path, ids, expected):
    table = pa.table({"user_id": ids, "app_id": ids, "event_time": [1, 1]})
    rows = read(spark, land(tmp_path, a__parquet=table))
    assert [(row.user_id or "(null)") if row.readable else None for row in rows] == expected


def test_bytes_that_are_not_utf_8_make_one_row_unreadable(spark, tmp_path):
    # Writers are not checked: a column that says it is UTF-8 may hold anything.
    latin = pa.array(["größe".encode("latin-1"), b"u2"], pa.binary()).view(pa.string())
    table = pa.table({"user_id": latin, "app_id": ["maps"] * 2, "event_time": [1, 1]})
    rows = read(spark, land(tmp_path, a__parquet=table))
    assert [(row.user_id, row.readable) for row in rows] == [("gr��e", False), ("u2", True)]
    assert rows[0].raw == '{"user_id":"gr��e","app_id":"maps","event_time":1}'


def test_further_columns_of_any_type_and_name_are_ignored(spark, tmp_path):
    further = {
        "no zone": pa.array([TEN], pa.timestamp("us")),
        "time of day": pa.array([1], pa.time64("us")),
        "Time32": pa.array([1], pa.time32("ms")),
        "half": pa.array([1.0], pa.float16()),
        "wide": pa.array([decimal.Decimal(10) ** 60], pa.decimal256(76, 0)),
        "nested": pa.array([{"user_id": [1]}]),
        "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int32())),
        "a.b `c`; é{}()=\n": pa.array([1]),
    }
    names = ["user_id", "app_id", "event_time", *further, "twice", "TWICE", "twice"]
    arrays = [pa.array(["u1"]), pa.array(["maps"]), pa.array([1]), *further.values(), *[pa.array([1])] * 3]
    rows = read(spark, land(tmp_path, a__parquet=pa.table(arrays, names)))
    assert [row.raw for row in rows] == ['{"user_id":"u1","app_id":"maps","event_time":1}']


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["user_id", "app", "event_time"], "no column app_id; found: user_id, app, event_time"),
        (["user_id", "app_id", "event_time", "event_time"], "two columns event_time; found: user_id, app_id"),
        (["user_id", "app_id", "event_time", "Event_Time"], "two columns event_time; found: user_id, app_id"),
        (["user_id", "app_id", "event_time", "event_type", "event_type"], "two columns event_type; found: "),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_wanted_column_that_is_missing_or_there_twice_is_named(spark, tmp_path, names, found, packed):
    land(tmp_path / "plain", a__parquet=pa.table([pa.array(["1"])] * len(names), names))
    folder = land_packed(tmp_path / "packed", tmp_path / "plain") if packed else uri(tmp_path / "plain")
    with pytest.raises(UnreadableFileError, match=r"/a\.parquet(\.gz)? has " + found):
        read(spark, folder)


@pytest.mark.parametrize(
    ("table", "wrong"),
    [
        (parquet(pa.array([TEN], pa.timestamp("us"))), r"event_time is int64 TIMESTAMP\(MICROS,false\)"),
        (parquet(pa.array([TEN], pa.timestamp("ns"))), r"event_time is int64 TIMESTAMP\(NANOS,false\)"),
        (parquet(pa.array([[1]])), "event_time is group LIST"),
        (parquet(pa.array([1], pa.time64("us"))), r"event_time is int64 TIME\(MICROS,false\)"),
        (parquet(pa.array([True])), "event_time is boolean"),
        (parquet([1]).set_column(0, "user_id", pa.array([True])), "user_id is boolean"),
        (
            parquet([1]).set_column(0, "user_id", pa.array([TEN], pa.timestamp("us", "UTC"))),
            "user_id is int64 TIME",
        ),
    ],
)
def test_a_wanted_column_that_can_be_neither_id_nor_time_is_named(spark, tmp_path, table, wrong):
    with pytest.raises(
        UnreadableFileError, match=rf"/b\.parquet: column {wrong}.*; expected text or a whole"
    ):
        read(spark, land(tmp_path, a__parquet=parquet([1]), b__parquet=table))


def test_the_usual_codecs_are_read(spark, tmp_path):
    for codec in ("none", "snappy", "gzip", "zstd", "lz4"):
        pq.write_table(parquet([1]), tmp_path / f"{codec}.parquet", compression=codec)
    assert set(by_file(read(spark, uri(tmp_path)), "user_id")) == {"none", "snappy", "gzip", "zstd", "lz4"}


def test_a_codec_that_spark_lacks_is_named(spark, tmp_path):
    pq.write_table(parquet([1]), tmp_path / "a.parquet", compression="brotli")
    with pytest.raises(
        UnreadableFileError, match=r"/a\.parquet: column \w+ is compressed by BROTLI; expected SNAPPY"
    ):
        read(spark, uri(tmp_path))


def test_a_gzipped_file_that_grows_without_end_is_refused(spark, tmp_path, monkeypatch):
    monkeypatch.setattr("jobs.landing.parquet.LARGEST_UNPACKED", 1000)
    land(tmp_path, a__parquet__gz=gz(b"PAR1" + bytes(1_000_000)))
    with pytest.raises(UnreadableFileError, match=r"/a\.parquet\.gz unpacks to more than 1,000 bytes"):
        read(spark, uri(tmp_path))


def test_the_type_of_a_column_is_read_from_its_schema_line():
    assert column_type("user_id", "required binary user_id (STRING) = 1") == "binary STRING"
    assert column_type("x", "optional int64 x (DECIMAL(18,2))") == "int64 DECIMAL(18,2)"
    assert column_type("x", "repeated int32 x") == "repeated int32"
    assert column_type("x", "optional group x (LIST) {\n  repeated group list {\n") == "group LIST"
