"""A text file whose first bytes are those of something else is named."""

import json

import pytest

from jobs.landing.event_rules import FIELDS
from jobs.landing.files import LandedFile, UnreadableFileError
from jobs.landing.first_bytes import check_first_bytes
from tests.made_up.landing_day import gz

ROW = {"user_id": "u1", "app_id": "maps", "event_time": "2026-01-31T10:00:00Z"}
LINE = json.dumps(ROW)
HEADER = "user_id,app_id,event_time\n"


def check(content, name="jsonl"):
    landed = content if isinstance(content, bytes) else content.encode()
    check_first_bytes(LandedFile(f"hdfs://h/part-1.{name}", name, False), landed, FIELDS)


@pytest.mark.parametrize("name", ["jsonl", "csv"])
@pytest.mark.parametrize(
    ("content", "found"),
    [
        (gz("x"), "gzip"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"PK\x03\x04\x14", "zip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"BZh91AY&SY", "bzip2"),
        (b"ORC\x08", "ORC"),
        (HEADER.encode("utf-16"), "UTF-16"),
        (LINE.encode("utf-16-le"), "UTF-16"),
        (LINE.encode("utf-16-be"), "UTF-16"),
        (LINE.encode("utf-32"), "UTF-16 or UTF-32"),
    ],
)
def test_bytes_of_another_format_are_named(name, content, found):
    with pytest.raises(UnreadableFileError, match=rf"/part-1\.{name} holds {found}.*; expected "):
        check(content, name)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (json.dumps([ROW, ROW]), "a JSON array"),
        (json.dumps([ROW] * 1000, indent=2)[:1000], "a JSON array"),
        (f"\ufeff \n[{LINE}", "a JSON array"),
        (json.dumps(ROW, indent=2) + "\n" + json.dumps(ROW, indent=2), "JSON objects over several lines"),
        (LINE * 3, "several JSON objects on one line"),
        (f"{LINE}, {LINE}\n", "several JSON objects on one line"),
        (f"{LINE} {LINE} {LINE}\n{LINE} {LINE} {LINE}\n", "several JSON objects on one line"),
        (f"{LINE} {LINE[:20]}", "several JSON objects on one line"),  # the first bytes end within the second
        (HEADER + "u1,maps,1\n", "CSV"),
    ],
)
def test_a_file_that_is_no_json_lines_is_named(content, found):
    with pytest.raises(UnreadableFileError, match=rf"/part-1\.jsonl holds {found}; expected JSON Lines"):
        check(content)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n",
        f"{LINE}\n{LINE}\n",
        f"\ufeff{LINE}\r\n{LINE}",
        LINE[:-5],  # a single row longer than the first bytes, or a bad one
        "one bad row\n" + LINE,
        f"{LINE}],[{LINE}\n",  # a bad row
        f"{LINE} and more\n{LINE}",
        f"{LINE} {LINE}\n{LINE}\n",  # a lost line break
        '{"user_id": "u1"\n' + LINE,
        '{"deep": ' + "[" * 50_000,
    ],
)
def test_json_lines_pass_and_so_does_one_bad_row(content):
    check(content)


def test_a_csv_header_may_begin_like_the_name_of_a_format():
    check("ORCHARD,BZh,user_id\n", "csv")
