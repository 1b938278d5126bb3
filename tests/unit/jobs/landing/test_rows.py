"""Every format becomes the same rows of text.

Cases share a read, since starting one costs more than a thousand rows.
"""

import pyarrow as pa
import pytest

from jobs.lake.hadoop_files import HadoopFiles
from jobs.landing.event_rules import FIELDS
from jobs.landing.files import UnreadableFileError, list_data_files
from jobs.landing.rows import LONGEST_LINE, LONGEST_RAW, read_rows
from tests.made_up.landing_day import gz, jsonl, land, uri


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
        b'{"user_id": "u1"}],[{"user_id": "u2"}',
        b'{"user_id": "u1"}] junk }',
        b'{"user_id": "u1"},{"user_id": "u2"}',
        b'{"user_id": NaN}',  # no JSON
        b'{"user_id": "u1", "deep": ' + b"[" * 1500 + b"]" * 1500 + b"}",
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
    rows = read(spark, land(tmp_path, a__jsonl='\n{"user_id": "u1"}\n \t \n\n', b__csv=csv))
    assert sorted(row.user_id for row in rows) == ["u1", "u2"]


def test_white_space_that_json_allows_changes_nothing(spark, tmp_path):
    lines = [
        ' \t{"user_id": "u0"}\t',
        '{"user_id": "u1"} ',
        '{ "user_id"\t:\t"u2" }\t \t',
        '{"user_id": "u3"}\t\r',
    ]
    rows = read(spark, land(tmp_path, a__jsonl="\n".join(lines)))
    assert sorted((row.user_id, row.readable) for row in rows) == [(f"u{n}", True) for n in range(4)]


def test_an_id_in_json_is_a_text_or_a_whole_number(spark, tmp_path):
    expected = {
        '{"$oid": "5f"}': None,
        '["u1"]': None,
        "true": None,
        "12.5": None,
        "1e3": "1000",
        "12": "12",
        "-3": "-3",
        "12.0": "12",  # pandas writes integers with gaps like this
        "-12.00": "-12",
        "-0.0": "0",  # found by tests/faults/test_fuzzed_landing.py: became "-0", which Parquet has as "0"
        '"-0.0"': "-0.0",
        "123456789012345678901234567890": "123456789012345678901234567890",
        '"12.5"': "12.5",
        '"true"': "true",
        '"{a"': "{a",
        '"[1]"': "[1]",
        "null": "(null)",
    }
    lines = [f'{{"user_id": {value}, "app_id": {value}}}' for value in expected]
    rows = {row.raw: row for row in read(spark, land(tmp_path, a__jsonl="\n".join(lines)))}
    found = {}
    for line, value in zip(lines, expected, strict=True):
        row = rows[line]
        assert row.user_id == row.app_id
        found[value] = (row.user_id or "(null)") if row.readable else None
    assert found == expected


def test_a_byte_order_mark_and_every_line_break_are_understood(spark, tmp_path):
    row = '{"user_id": "u1"}'
    folder = land(
        tmp_path,
        a__jsonl=f"\ufeff{row}\r\n{row}\r{row}\n",
        b__jsonl__gz=gz(f"\ufeff{row}\n"),
        c__jsonl__gz=gz(f"{row}\n") + gz(f"{row}\n"),  # two gzip members, as `cat a.gz b.gz` makes them
        d__csv="user_id,app_id,event_time\ru1,maps,1\r",
    )
    rows = read(spark, folder)
    assert len(rows) == 7
    assert {(row.user_id, row.readable) for row in rows} == {("u1", True)}


def test_of_a_long_row_the_start_is_kept(spark, tmp_path):
    rows = read(spark, land(tmp_path, a__jsonl="é" * 100_000 + "\n" + '{"user_id": "u1"}\n'))
    assert sorted(row.raw for row in rows) == ['{"user_id": "u1"}', "é" * LONGEST_RAW]


def test_a_line_too_long_for_memory_refuses_its_file_by_name(spark, tmp_path):
    row = '{"user_id": "u1"}\n'
    land(tmp_path / "good", a__jsonl=row * 5 + "x" * LONGEST_LINE + "\n" + row)
    assert len(read(spark, uri(tmp_path / "good"))) == 7
    content = row * 5 + "x" * (LONGEST_LINE + 1) + "\n" + row
    land(tmp_path / "plain", a__jsonl=row, b__jsonl=content)
    land(tmp_path / "packed", a__jsonl=row, b__csv__gz=gz("user_id,app_id,event_time\n" + content))
    for folder, name in (("plain", "b.jsonl"), ("packed", "b.csv.gz")):
        with pytest.raises(UnreadableFileError, match=rf"/{name} has a line of more than 4,194,304 bytes"):
            read(spark, uri(tmp_path / folder))


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
        'u1,a,"1': ("a", False),
        'u1,5" screen,1': ('5" screen', True),
        'u1,"a\0",1': ("a\0", True),  # found by tests/faults/test_fuzzed_landing.py: became "a"
        'u1,"a""\0b",1': ('a"\0b', True),
        'u1,"""a""",1': ('"a"', True),
        "u1,a,1" + "," * 30_000: (None, False),
    }
    rows = read(spark, land(tmp_path, a__csv="\n".join(["user_id,app_id,event_time", *expected])))
    assert {row.raw: (row.app_id, row.readable) for row in rows} == {
        raw[:LONGEST_RAW]: row for raw, row in expected.items()
    }


def test_further_csv_columns_may_have_any_names(spark, tmp_path):
    header = "user_id,größe,app_id,größe,event_time,".encode("latin-1")
    row = b"u1,1,maps,2,3,4\n"
    (found,) = read(spark, land(tmp_path, a__csv=header + b"\n" + row + header + b"\n"))
    assert (found.user_id, found.app_id, found.event_time, found.readable) == ("u1", "maps", "3", True)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("user,app,event_time\nu1,a,1\n", "no column user_id, app_id; found: user, app, event_time"),
        ("u1,a,1\n", "no column user_id, app_id, event_time; found: u1, a, 1"),  # the header is missing
        ("", "no column user_id, app_id, event_time; found: nothing"),
        ("user_id,app_id,event_time,user_id\n", "two columns user_id; found: "),
        ("user_id,app_id,event_time,USER_ID\n", "two columns user_id; found: "),
        ("USER_ID,app_id,event_time\n", "no column user_id; found: USER_ID, app_id, event_time"),
        ("user_id;app_id;event_time\n", "semicolons between its columns; expected commas"),
        ("user_id\tapp_id\tevent_time\n", "tabs between its columns; expected commas"),
    ],
)
def test_a_csv_header_without_the_columns_is_named_with_what_was_found(spark, tmp_path, text, found):
    with pytest.raises(UnreadableFileError, match=r"/b\.csv has " + found):
        read(spark, land(tmp_path, a__csv="user_id,app_id,event_time\n", b__csv=text))


@pytest.mark.parametrize(
    ("header", "wrong"),
    [
        ('user_id,app_id,event_time,"no\nte"\n', "expected quotes in pairs in the header"),
        ("x," * 100_000 + "user_id\n", "expected a header line, found none in 65,536 bytes"),
        ("x" * 200_000 + ",user_id\n", "expected a header line, found none in 65,536 bytes"),
    ],
)
def test_a_csv_header_that_is_no_line_is_named(spark, tmp_path, header, wrong):
    with pytest.raises(UnreadableFileError, match=rf"/a\.csv: {wrong}"):
        read(spark, land(tmp_path, a__csv=header))


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
