"""Every format becomes the same rows of text.

Cases share a read, since starting one costs more than a thousand rows.
"""

from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pytest

from jobs.lake.hadoop_files import HadoopFiles
from jobs.landing.event_rules import FIELDS
from jobs.landing.files import UnreadableFileError, list_data_files
from jobs.landing.rows import read_rows
from tests.made_up.landing_day import gz, jsonl, land, uri

TEN = datetime(2026, 1, 31, 10, tzinfo=UTC)


def read(spark, folder):
    return read_rows(spark, list_data_files(HadoopFiles(spark), folder), FIELDS).collect()


def test_json_values_become_text_and_further_fields_are_left_out(spark, tmp_path):
    line = '{"user_id": "u1", "app_id": 7, "event_time": 1769853600000, "battery": {"user_id": "no"}}'
    (row,) = read(spark, land(tmp_path, **{"a b+c%20[1].jsonl": line}))
    assert row.asDict() == {
        "file": f"file:{tmp_path}/a b+c%20[1].jsonl",
        "raw": line,
        "readable": True,
        "user_id": "u1",
        "app_id": "7",
        "event_time": "1769853600000",
        "event_type": None,
    }


def test_a_line_that_is_not_one_json_object_is_unreadable(spark, tmp_path):
    broken = [
        b'{"user_id": "u1"',  # cut off
        b'{"user_id": "u1"} {"user_id": "u2"}',  # a lost line break: neither half may vanish
        b'{"user_id": "u1"}, {"user_id": "u2"}',
        b'{"user_id": "u1"} and more',
        b'{"user_id": "u1"}]',
        b'[{"user_id": "u1"}]',
        b'"u1"',
        b"null",
        b"u1,maps,1769853600000",
        b'{"user_id": "u\xff"}',  # not UTF-8
    ]
    rows = read(spark, land(tmp_path, a__jsonl=b"\n".join(broken)))
    assert sorted(row.raw for row in rows) == sorted(line.decode(errors="replace") for line in broken)
    assert not any(row.readable for row in rows)


def test_blank_lines_are_not_rows(spark, tmp_path):
    csv = "\nuser_id,app_id,event_time\n\nu2,a,1\n   \n"
    rows = read(spark, land(tmp_path, a__jsonl='\n{"user_id": "u1"}\n  \n\n', b__csv=csv))
    assert sorted(row.user_id for row in rows) == ["u1", "u2"]


def test_csv_columns_are_found_by_the_header_of_each_file(spark, tmp_path):
    folder = land(
        tmp_path,
        a__csv="user_id,app_id,event_time\nu1,maps,1\n",
        b__csv__gz=gz("event_type,event_time,battery,app_id,user_id\r\nupdate,2,71,chat,u2\r\n"),
        c__csv="\ufeffuser_id,app_id,event_time\nu3,bank,3\n",  # a byte order mark, as Excel writes it
    )
    rows = [(row.user_id, row.app_id, row.event_time, row.event_type) for row in read(spark, folder)]
    assert sorted(rows) == [
        ("u1", "maps", "1", None),
        ("u2", "chat", "2", "update"),
        ("u3", "bank", "3", None),
    ]


def test_csv_lines_follow_rfc_4180_and_need_every_field(spark, tmp_path):
    expected = {
        'u1,"a, ""b""",1': ('a, "b"', True),
        "u1,a\\,1": ("a\\", True),  # a backslash is a character like any other
        "u1,,1": (None, True),
        'u1,"",1': (None, True),
        "u1,a": ("a", False),
        "u1,a,1,extra": ("a", False),
        'u1,"a,1': ("a,1", False),  # a quote that is never closed
    }
    rows = read(spark, land(tmp_path, a__csv="\n".join(["user_id,app_id,event_time", *expected])))
    assert {row.raw: (row.app_id, row.readable) for row in rows} == expected


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("user,app,event_time\nu1,a,1\n", "no column user_id, app_id; found: user, app, event_time"),
        ("u1,a,1\n", "no column user_id, app_id, event_time; found: u1, a, 1"),  # the header is missing
        ("", "no column user_id, app_id, event_time; found: nothing"),
        ("user_id,app_id,event_time,user_id\n", "two columns user_id; found: "),
    ],
)
def test_a_csv_header_without_the_columns_is_named_with_what_was_found(spark, tmp_path, text, found):
    with pytest.raises(UnreadableFileError, match=r"/b\.csv has " + found):
        read(spark, land(tmp_path, a__csv="user_id,app_id,event_time\n", b__csv=text))


EVENT_TIMES = {
    "microseconds": pa.array([TEN], pa.timestamp("us", "UTC")),
    "zone of India": pa.array([TEN], pa.timestamp("ms", "Asia/Kolkata")),
    "nanoseconds": pa.array(pd.to_datetime([TEN])),  # what pandas writes
    "epoch": pa.array([1769853600000]),
    "epoch with gaps": pa.array([1769853600000.0, None])[:1],  # pandas stores these as floats
    "text": pa.array(["2026-01-31T10:00:00Z"]),
    "dictionary": pa.array(["2026-01-31T10:00:00Z"]).dictionary_encode(),
}


def parquet(event_times, **more):
    return pa.table({"user_id": ["u1"], "app_id": ["maps"], "event_time": event_times, **more})


def test_parquet_may_hold_times_in_several_types(spark, tmp_path):
    files = {f"{name}.parquet": parquet(event_time) for name, event_time in EVENT_TIMES.items()}
    rows = read(spark, land(tmp_path, **files))
    assert {row.file.rsplit("/", 1)[-1].removesuffix(".parquet"): row.event_time for row in rows} == {
        "microseconds": "2026-01-31T10:00:00.000000Z",
        "zone of India": "2026-01-31T10:00:00.000000Z",
        "nanoseconds": "2026-01-31T10:00:00.000000Z",
        "epoch": "1769853600000",
        "epoch with gaps": "1769853600000",
        "text": "2026-01-31T10:00:00Z",
        "dictionary": "2026-01-31T10:00:00Z",
    }


def test_gzipped_parquet_is_read_like_any_other(spark, tmp_path):
    land(tmp_path / "plain", **{f"{name}.parquet": parquet(time) for name, time in EVENT_TIMES.items()})
    for file in (tmp_path / "plain").iterdir():
        land(tmp_path / "packed", **{f"{file.name}.gz": gz(file.read_bytes())})
    rows = read(spark, uri(tmp_path / "packed"))
    assert {row.event_time for row in rows} == {
        "2026-01-31T10:00:00+00:00",
        "2026-01-31T15:30:00+05:30",
        "1769853600000",
        "2026-01-31T10:00:00Z",
    }
    assert {row.user_id for row in rows} == {"u1"}
    assert len(rows) == len(EVENT_TIMES)


def test_a_parquet_row_is_kept_as_json_with_its_further_columns(spark, tmp_path):
    (row,) = read(spark, land(tmp_path, a__parquet=parquet([1], battery=[71], event_type=[None])))
    assert row.raw == '{"user_id":"u1","app_id":"maps","event_time":1,"battery":71,"event_type":null}'


@pytest.mark.parametrize(
    ("table", "wrong"),
    [
        (
            pa.table({"user_id": ["u1"], "app": ["maps"]}),
            "has no column app_id, event_time; found: user_id, app",
        ),
        (
            parquet(pa.array([TEN], pa.timestamp("us"))),
            r"column event_time is timestamp_ntz .*timestamp with zone",
        ),
        (parquet(pa.array([TEN], pa.timestamp("ns"))), r"column event_time is bigint .*timestamp with zone"),
        (parquet(pa.array([[1]])), r"column event_time is array<bigint>"),
    ],
)
def test_parquet_without_the_columns_or_with_another_type_is_named(spark, tmp_path, table, wrong):
    with pytest.raises(UnreadableFileError, match=r"/b\.parquet.*" + wrong):
        read(spark, land(tmp_path, a__parquet=parquet([1]), b__parquet=table))


def test_a_day_without_files_has_no_rows(spark, tmp_path):
    assert read(spark, land(tmp_path)) == []


def test_one_day_may_mix_formats(spark, tmp_path):
    row = {"user_id": "u1", "app_id": "maps", "event_time": "1"}
    folder = land(
        tmp_path,
        a__jsonl__gz=gz(jsonl(row)),
        b__csv="user_id,app_id,event_time\nu1,maps,1\n",
        c__parquet=pa.Table.from_pylist([row]),
    )
    rows = [(row.user_id, row.app_id, row.event_time) for row in read(spark, folder)]
    assert rows == [("u1", "maps", "1")] * 3
