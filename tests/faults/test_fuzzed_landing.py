"""Landing readers under damaged and odd files: nothing but named errors, and every row is accounted for.

In   good files of all formats, plain and gzipped, whose bytes are flipped, cut, inserted, repeated, removed;
     and rows of odd values, written in every format
Out  each file is refused by its name, or each of its rows is counted once, and a good file beside it is read
     whole

The tests together take a minute, with FULL=1 in the environment ten. Each prints how much it has tried.
"""

import csv
import gzip
import io
import itertools
import json
import re
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.errors import DataError
from jobs.extract_sessions import (
    Counts,
    assign_sessions,
    collect_sessions,
    count_copies,
    count_rows,
    keep_installs,
    select_rejected,
)
from jobs.lake.hadoop_files import HadoopFiles
from jobs.landing.event_rules import FIELDS, judge_events
from jobs.landing.files import LandedFile, UnreadableFileError, list_data_files
from jobs.landing.first_bytes import FIRST_BYTES, check_first_bytes
from jobs.landing.parquet import unpack, wanted_types
from jobs.landing.rows import check_separator, find_header, read_rows, read_text_start, reading_alone
from jobs.landing.unreadable import naming_file, naming_unreadable_files
from tests.faults.conftest import FULL
from tests.made_up.landing_day import uri

pytestmark = pytest.mark.fault(17)

DAY = date(2026, 1, 31)
TEN = datetime(2026, 1, 31, 10, tzinfo=UTC)

QUIET = settings(
    max_examples=5, deadline=None, database=None, print_blob=True, suppress_health_check=list(HealthCheck)
)


Tried = Counter[str]


@pytest.fixture
def fuzz(capsys: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """Try examples for some seconds, ten times as many if FULL, and print what was tried."""

    def try_examples(
        what: str,
        seconds: float,
        strategy: st.SearchStrategy[Any],
        try_one: Callable[[Any, Tried], None],
        max_examples: int = 5,
    ) -> None:
        begun, tried = time.monotonic(), Tried()
        end = begun + seconds * (10 if FULL else 1)

        @settings(QUIET, max_examples=max_examples)
        @given(strategy)
        def one_more(example: Any) -> None:
            if time.monotonic() < end:
                try_one(example, tried)

        while time.monotonic() < end:  # each time with new examples
            one_more()
        counts = ", ".join(f"{number:,} {name}" for name, number in tried.items())
        with capsys.disabled():
            print(f"\n{what}: {counts} in {time.monotonic() - begun:.0f} s")

    return try_examples


# --- Good files ---------------------------------------------------------------------------------------------

NAMES = itertools.count()
KINDS = ("install", "update", "uninstall", "")


def good_rows(user: str, number: int) -> list[dict[str, str]]:
    """Rows of one user, 31 minutes apart: each install is a session."""
    return [
        {
            "user_id": f"{user}{row % 3}",
            "app_id": f"com.example.app{row}",
            "event_time": f"2026-01-31T{row // 2:02}:{row % 2 * 31:02}:00Z",
            "event_type": KINDS[row % 4],
        }
        for row in range(number)
    ]


def as_jsonl(rows: list[dict[str, str]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_csv(rows: list[dict[str, str]], end: str = "\n") -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator=end)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(table: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


ROWS = good_rows("user-", 20)
TABLE = pa.Table.from_pylist(ROWS)
MILLISECONDS = pa.array([1769853600000 + row for row in range(len(ROWS))])


def with_times(times: pa.Array) -> pa.Table:
    return TABLE.set_column(2, "event_time", times)


GOOD_FILES: dict[str, bytes] = {
    "a.jsonl": as_jsonl(ROWS),
    "bom.jsonl": b"\xef\xbb\xbf" + as_jsonl(ROWS).replace(b"\n", b"\r\n"),
    "long.jsonl": as_jsonl(ROWS * 30),
    "a.csv": as_csv(ROWS),
    "bom.csv": b"\xef\xbb\xbf" + as_csv(ROWS, "\r"),
    "quoted.csv": re.sub(rb"([^,\n]+)", rb'"\1"', as_csv(ROWS)),
    "text.parquet": as_parquet(TABLE),
    "plain.parquet": as_parquet(TABLE, compression="none", use_dictionary=False),
    "zstd.parquet": as_parquet(TABLE, compression="zstd", row_group_size=7),
    "gzip.parquet": as_parquet(with_times(MILLISECONDS), compression="gzip"),
    "pages.parquet": as_parquet(TABLE, data_page_version="2.0", data_page_size=64, write_page_index=True),
    "micros.parquet": as_parquet(with_times(MILLISECONDS.cast(pa.timestamp("ms", "UTC")))),
    "int96.parquet": as_parquet(
        with_times(MILLISECONDS.cast(pa.timestamp("ms"))), use_deprecated_int96_timestamps=True
    ),
    "delta.parquet": as_parquet(
        with_times(MILLISECONDS), use_dictionary=False, column_encoding={"event_time": "DELTA_BINARY_PACKED"}
    ),
    "wide.parquet": as_parquet(with_times(MILLISECONDS.cast(pa.decimal128(22, 2))), compression="lz4"),
    "empty.parquet": as_parquet(TABLE.slice(0, 0)),
}

# --- Damage -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Damage:
    """A change of bytes; places count from the start, or from the end if negative."""

    kind: str
    place: int
    length: int
    inserted: bytes

    def apply(self, content: bytes) -> bytes:
        at = self.place % (len(content) + 1)
        before, there, behind = content[:at], content[at : at + self.length], content[at + self.length :]
        match self.kind:
            case "flip":
                return before + bytes(byte ^ (1 << self.length % 8) for byte in there[:1]) + content[at + 1 :]
            case "cut":
                return before
            case "insert":
                return before + self.inserted + content[at:]
            case "overwrite":
                return before + self.inserted + content[at + len(self.inserted) :]
            case "remove":
                return before + behind
            case "repeat":
                return before + there * (self.length + 1) + behind
            case _:
                raise ValueError(self.kind)


ODD_BYTES = st.sampled_from(
    [
        *(
            b"\0",
            b"\n",
            b"\r",
            b"\r\n",
            b'"',
            b",",
            b"\\",
            b"{",
            b"}",
            b"[",
            b"]",
            b":",
            b"\xff",
            b"\xef\xbb\xbf",
        ),
        *(
            b"\x1f\x8b",
            b"PAR1",
            b"\xed\xa0\x80",
            b"\xe2\x80\xa8",
            b"\xff" * 8,
            b"\x00" * 8,
            b"\x7f\xff\xff\xff",
        ),
        *(b"\x80\x80\x80\x80\x08", b"NaN", b"null", b"1e999", b'{"user_id":', b"user_id,app_id,event_time\n"),
    ]
) | st.binary(max_size=8)
# Formats say most at their start and at their end.
PLACES = st.integers(0, 40) | st.integers(-400, -1) | st.integers(0, 5_000)
DAMAGES = st.builds(
    Damage,
    st.sampled_from(["flip", "cut", "insert", "overwrite", "remove", "repeat"]),
    PLACES,
    st.integers(0, 80) | st.just(500),
    ODD_BYTES,
)


@dataclass(frozen=True)
class Delivered:
    """A good file, the damage of its content, whether it is gzipped, and the damage of the whole."""

    name: str
    inner: tuple[Damage, ...] = ()
    members: int = 0  # of gzip; 0 is a plain file
    outer: tuple[Damage, ...] = ()

    @property
    def landed_name(self) -> str:
        return self.name + (".gz" if self.members else "")

    def content(self) -> bytes:
        content = GOOD_FILES[self.name]
        for damage in self.inner:
            content = damage.apply(content)
        if not self.members:
            return content
        part = len(content) // self.members + 1
        parts = [content[start : start + part] for start in range(0, len(content), part)] or [b""]
        packed = b"".join(gzip.compress(each, mtime=0) for each in parts)
        for damage in self.outer:
            packed = damage.apply(packed)
        return packed


DELIVERED = st.builds(
    Delivered,
    st.sampled_from(sorted(GOOD_FILES)),
    st.lists(DAMAGES, max_size=3).map(tuple),
    st.integers(0, 3),
    st.one_of(st.just(()), st.lists(DAMAGES, max_size=2).map(tuple)),
)

# --- The reading path of extract_sessions -------------------------------------------------------------------


@contextmanager
def judged_rows(spark: SparkSession, landed: list[LandedFile]) -> Iterator[tuple[DataFrame, int]]:
    """Read and judge files as `extract_day` does; yield the rows and their number."""
    with naming_unreadable_files(landed, reading_alone(spark, FIELDS)):
        judged = judge_events(read_rows(spark, landed, FIELDS), DAY).persist()
        try:
            number = judged.count()
        except BaseException:
            judged.unpersist()
            raise
    try:
        yield judged, number
    finally:
        judged.unpersist()


def account(judged: DataFrame, landed: int, files: int) -> tuple[Counts, DataFrame]:
    """Count where the rows went as `extract_day` does, and check that nothing is lost."""
    events = count_copies(judged)
    sessions = collect_sessions(assign_sessions(keep_installs(events))).persist()
    counts = count_rows(landed, files, select_rejected(judged), events, sessions)
    counts.check()
    return counts, sessions


def refused_file(error: DataError, landed: list[LandedFile]) -> LandedFile:
    """The file that the error names: its message begins with it, as the data contract promises."""
    assert type(error) is UnreadableFileError, repr(error)
    named = [file for file in landed if re.match(re.escape(file.uri) + "(:| )", str(error))]
    assert len(named) == 1, str(error)
    return named[0]


def lines_of(file: Path) -> int | None:
    """The number of rows of a text file by plain Python; None if Python cannot unpack it either."""
    content = file.read_bytes()
    if file.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            return None
    lines = [line for line in re.split(rb"\r\n|\r|\n", content.removeprefix(b"\xef\xbb\xbf")) if line.strip()]
    return len(lines) if ".jsonl" in file.name else sum(line != lines[0] for line in lines)


def look_at(files: HadoopFiles, file: LandedFile) -> None:
    """Look at a file as `read_rows` does before Spark reads it, without its plan, which takes longer."""
    if file.format == "parquet":
        copy = unpack(files, file, files.make_scratch_folder(near=file.uri)) if file.is_gzip else file
        with naming_file(file):
            wanted_types(files, copy, FIELDS)
        return
    start = read_text_start(files, file, FIELDS)
    if file.format == "csv":
        check_header(file, find_header(file, start))


def check_header(file: LandedFile, header: bytes) -> None:
    text = header.decode(errors="replace")
    check_separator(file, text, FIELDS)
    FIELDS.check(file, next(csv.reader([text]), []))


def read_day(spark: SparkSession, folder: Path, tried: Tried) -> None:
    """Read a folder's files; leave out those that are refused by their name."""
    files = HadoopFiles(spark)
    landed = []
    for file in list_data_files(files, uri(folder)):
        tried["files"] += 1
        try:
            look_at(files, file)
            landed.append(file)
        except DataError as error:
            refused_file(error, [file])
            tried["refused at first sight"] += 1
    while True:
        try:
            with judged_rows(spark, landed) as (judged, number):
                counts, sessions = account(judged, number, len(landed))
                check_rows(judged, sessions, landed, folder)
            tried["rows"] += counts.landed
            return
        except DataError as error:
            landed.remove(refused_file(error, landed))
            tried["refused by Spark"] += 1


def check_rows(judged: DataFrame, sessions: DataFrame, landed: list[LandedFile], folder: Path) -> None:
    """Check the number of rows of each text file, and that the good file was read whole."""
    found = {row.file: row["count"] for row in judged.groupBy("file").count().collect()}
    expected = {file.uri: lines_of(folder / file.name) for file in landed if file.format in ("jsonl", "csv")}
    assert {file: found.get(file, 0) for file in expected} == expected
    good = sessions.where(F.col("user_id").startswith("good-")).select(F.explode("app_ids")).count()
    assert good == sum(row["event_type"] in ("install", "") for row in GOOD_ROWS)


GOOD_ROWS = good_rows("good-", 12)


@pytest.mark.timeout(1800)
def test_damaged_files_are_refused_by_name_or_read_to_the_last_row(
    spark: SparkSession, tmp_path: Path, fuzz: Callable[..., None]
) -> None:
    def try_day(delivered: list[Delivered], tried: Tried) -> None:
        folder = tmp_path / f"{next(NAMES)}" / "ds=2026-01-31"
        folder.mkdir(parents=True)
        (folder / "good.jsonl").write_bytes(as_jsonl(GOOD_ROWS))
        for number, file in enumerate(delivered):
            if content := file.content():  # zero bytes are refused by the listing, for the first such file
                (folder / f"{number}-{file.landed_name}").write_bytes(content)
        read_day(spark, folder, tried)
        tried["days"] += 1

    fuzz("damaged files", 35, st.lists(DELIVERED, min_size=24, max_size=56), try_day)


# --- Odd values ---------------------------------------------------------------------------------------------

ODD_TEXTS = [
    *("", " ", "u1", " u1", "u1 ", "u 1", "\u3000", "\u00a0u1", "u\u200b1", "\u202eu1", "u1\ufeff", "\u3164"),
    *(
        "e\u0301",
        "\u00e9",
        "\u0301",
        "\U0001f469\u200d\U0001f680",
        "\u2764\ufe0f",
        "u\u200d1",
        "../u1",
        "a=b",
    ),
    *("\0", "\0u1", "u\x001", "u\x7f", "u\x85", "u\u2028", "\t", "u\t1", "\ufffd", "\ufffe", "\U0010ffff"),
    *("null", "NULL", "NaN", "true", "1", "-0", "1.0", "12.5", "1e3", "0x1", "{}", "[1]", '{"a":1}', "u1}"),
    *(
        '"',
        '""',
        '"u1',
        'u"1',
        "'",
        ",",
        "u,1",
        "\\",
        "\\n",
        '\\"',
        "#u1",
        "\\u0041",
        "%41",
        "${x}",
        "{{ ds }}",
    ),
    *("user_id", "u" * 128, "u" * 129, "\U0001f600" * 128, "a" * 255, "a" * 256, "e\u0301" * 65),
]
ODD_TIMES = [
    *(
        "2026-01-31T10:00:00Z",
        "2026-01-31T10:00:00.123456789+05:30",
        "2026-01-31 10:00:00-0800",
        "1769853600",
    ),
    *(
        "2026-01-31T10:00:00",
        "2026-02-30T10:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T10:00:60Z",
        "2026-01-31",
    ),
    *(
        "0",
        "-1",
        "NaN",
        "Infinity",
        "-inf",
        "1e12",
        "1.7e308",
        "1e999",
        "9" * 40,
        "1" * 400,
        "0" * 30,
        "-" * 20,
    ),
    *(
        "9223372036854775807",
        "-9223372036854775808",
        "9999-12-31T23:59:59Z",
        "0000-01-01T00:00:00Z",
        "now",
        "٣",
    ),
    *("+292278994-08-17T07:12:55.807Z", "2026-01-31T10:00:00+99:99", "2026-01-31T10:00:00Z ", "\0", " "),
]
# No line break: a CSV row is one line.
TEXTS = st.sampled_from(ODD_TEXTS) | st.text(
    st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12
)
ROWS_OF_TEXT = st.fixed_dictionaries(
    {
        "user_id": TEXTS,
        "app_id": TEXTS,
        "event_time": st.just("") | st.sampled_from(ODD_TIMES) | TEXTS,
        "event_type": st.sampled_from(["", "install", "update", "uninstall", "Install", " ", "NaN"]) | TEXTS,
    }
)
ONE_MOMENT = 1769853600000


def judged_values(judged: DataFrame) -> Counter[tuple[object, ...]]:
    """Reasons of the bad rows, and the values of the good ones."""
    bad = F.col("reason").isNotNull()
    fields = [F.when(~bad, F.col(name)).alias(name) for name in ("user_id", "app_id", "event_type")]
    rows = judged.select("reason", *fields, F.when(~bad, F.unix_micros("event_time"))).collect()
    return Counter(map(tuple, rows))


def write_in_every_format(rows: list[dict[str, str]], folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_bytes(as_jsonl(rows))
    unescaped = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(unescaped.encode()))
    (folder / "c.csv").write_bytes(as_csv(rows))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    (folder / "d.csv.gz").write_bytes(gzip.compress(text.getvalue().encode()))
    table = pa.Table.from_pylist(rows)
    (folder / "e.parquet").write_bytes(as_parquet(table))
    (folder / "f.parquet.gz").write_bytes(gzip.compress(as_parquet(table, use_dictionary=False)))


@pytest.mark.timeout(1800)
def test_a_row_of_text_is_judged_alike_in_every_format(
    spark: SparkSession, tmp_path: Path, fuzz: Callable[..., None]
) -> None:
    def try_day(rows: list[dict[str, str]], tried: Tried) -> None:
        # The first row keeps the start of the text files theirs, and the second is never a header's copy.
        rows = [
            *GOOD_ROWS[:1],
            *(
                row | {"event_time": row["event_time"] or str(ONE_MOMENT + number)}
                for number, row in enumerate(rows)
            ),
        ]
        folder = tmp_path / f"{next(NAMES)}" / "ds=2026-01-31"
        write_in_every_format(rows, folder)
        landed = list_data_files(HadoopFiles(spark), uri(folder))
        with judged_rows(spark, landed) as (judged, number):
            assert number == len(landed) * len(rows)
            account(judged, number, len(landed))
            found = {file.name: judged_values(judged.where(F.col("file") == file.uri)) for file in landed}
        first = found["a.jsonl"]
        differing = {name: (values - first, first - values) for name, values in found.items()}
        assert not {name: differences for name, differences in differing.items() if any(differences)}
        tried["rows in six files"] += len(rows)
        tried["days"] += 1

    fuzz("odd values", 15, st.lists(ROWS_OF_TEXT, min_size=60, max_size=250), try_day)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXTS
    | st.sampled_from([10**40, -0.0, 1e300, 5e-324]),
    lambda value: st.lists(value, max_size=2) | st.dictionaries(TEXTS, value, max_size=2),
    max_leaves=4,
)


@pytest.mark.timeout(1800)
def test_only_text_and_whole_numbers_become_ids_of_json(
    spark: SparkSession, tmp_path: Path, fuzz: Callable[..., None]
) -> None:
    def try_day(ids: list[tuple[object, object]], tried: Tried) -> None:
        folder = tmp_path / f"{next(NAMES)}" / "ds=2026-01-31"
        folder.mkdir(parents=True)
        rows = [
            {"user_id": user, "app_id": app, "event_time": ONE_MOMENT + row}
            for row, (user, app) in enumerate(ids)
        ]
        (folder / "a.jsonl").write_bytes(as_jsonl([*GOOD_ROWS[:1], *rows]))
        with judged_rows(spark, list_data_files(HadoopFiles(spark), uri(folder))) as (judged, number):
            assert number == len(rows) + 1
            account(judged, number, 1)
            moment = (F.unix_millis("event_time") - ONE_MOMENT).alias("row")
            good = judged.where("reason IS NULL AND user_id NOT LIKE 'good-%'").select(
                moment, "user_id", "app_id"
            )
            found = {row.row: (row.user_id, row.app_id) for row in good.collect()}
        assert {row: tuple(map(as_id, ids[row])) for row in found} == found
        tried["rows"] += len(rows)

    fuzz("odd JSON", 5, st.lists(st.tuples(JSON_VALUES, JSON_VALUES), min_size=60, max_size=250), try_day)


def as_id(value: object) -> str | None:
    """The id that a JSON value is, by the data contract; None if it is none."""
    if isinstance(value, str):
        return value
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or value != value
        or value in (1e999, -1e999)
    ):
        return None
    return str(int(value)) if value == int(value) else None


@pytest.mark.timeout(1800)
def test_the_first_bytes_of_any_file_pass_or_are_refused_by_its_name(
    fuzz: Callable[..., None],
) -> None:
    text_files = sorted(name for name in GOOD_FILES if "parquet" not in name)
    pieces = st.lists(
        ODD_BYTES | st.sampled_from([GOOD_FILES[name][:200] for name in text_files]), max_size=20
    )
    damaged = st.builds(
        lambda name, damages: Delivered(name, tuple(damages)).content(),
        st.sampled_from(text_files),
        st.lists(DAMAGES, max_size=5),
    )

    def try_file(delivered: tuple[bytes, str], tried: Tried) -> None:
        content, kind = delivered
        file = LandedFile(f"hdfs://h/part-1.{kind}", "csv" if kind == "csv" else "jsonl", False)
        tried["files"] += 1
        try:
            check_first_bytes(file, content[:FIRST_BYTES], FIELDS)
            if kind == "csv":
                check_header(file, find_header(file, content[:FIRST_BYTES]))
        except DataError as error:
            refused_file(error, [file])
            tried["refused"] += 1

    contents = st.binary(max_size=300) | pieces.map(b"".join) | damaged
    files = st.tuples(contents, st.sampled_from(["jsonl", "csv"]))
    fuzz("first bytes", 5, files, try_file, max_examples=2_000)
