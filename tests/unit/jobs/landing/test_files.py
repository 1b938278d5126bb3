"""Data files of a folder, and errors that name the file that cannot be read."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from py4j.protocol import Py4JJavaError

from jobs.lake.hadoop_files import HadoopFiles
from jobs.lake.java_errors import root_cause
from jobs.landing.event_rules import FIELDS
from jobs.landing.files import (
    DayNotCompleteError,
    LandedFile,
    UnreadableFileError,
    list_complete_day,
    list_data_files,
)
from jobs.landing.rows import read_rows, reading_alone
from jobs.landing.unreadable import naming_file, naming_unreadable_files
from tests.made_up.landing_day import gz, jsonl, land, land_complete, uri

A_ROW = {"user_id": "u1", "app_id": "maps", "event_time": "2026-01-31T10:00:00Z"}


@pytest.fixture
def files(spark):
    return HadoopFiles(spark)


def test_hidden_names_are_not_data(files, tmp_path):
    folder = land_complete(tmp_path, part__jsonl="", _notes__txt="", **{".part__jsonl.tmp": ""})
    assert [file.uri.rsplit("/", 1)[-1] for file in list_complete_day(files, folder)] == ["part.jsonl"]


def test_the_name_says_format_and_compression(files, tmp_path):
    folder = land(
        tmp_path, a__csv="x", b__csv__gz=gz("x"), c__jsonl="", d__parquet="x", e__parquet__gz=gz("x")
    )
    assert [(file.format, file.is_gzip) for file in list_data_files(files, folder)] == [
        ("csv", False),
        ("csv", True),
        ("jsonl", False),
        ("parquet", False),
        ("parquet", True),
    ]


@pytest.mark.parametrize(
    "name", ["part__txt", "part__json", "part__jsonl__bz2", "part__gz", "part__JSONL", "part__csv__GZ"]
)
def test_any_other_extension_is_named_and_refused(files, tmp_path, name):
    folder = land(tmp_path, **{name: "x"})
    with pytest.raises(UnreadableFileError, match=name.replace("__", r"\.") + r": expected a file \*\.jsonl"):
        list_data_files(files, folder)


def test_a_folder_among_the_files_is_refused(files, tmp_path):
    land(tmp_path / "hour=03.jsonl", part__jsonl="")
    with pytest.raises(UnreadableFileError, match=r"hour=03\.jsonl: .*found a folder"):
        list_data_files(files, uri(tmp_path))


@pytest.mark.parametrize("name", ["part__parquet", "part__jsonl__gz", "part__csv__gz", "part__parquet__gz"])
def test_zero_bytes_are_refused_if_the_format_always_has_some(files, tmp_path, name):
    folder = land(tmp_path, **{name: b""})
    with pytest.raises(UnreadableFileError, match=name.replace("__", r"\.") + " has zero bytes"):
        list_data_files(files, folder)


def test_a_day_without_success_is_not_complete_and_a_retry_may_help(files, tmp_path):
    with pytest.raises(DayNotCompleteError, match=r"has no _SUCCESS") as error:
        list_complete_day(files, land(tmp_path, part__jsonl=jsonl(A_ROW)))
    assert getattr(error.value, "retryable", True)


def test_a_day_without_a_folder_says_that_nothing_landed(files, tmp_path):
    with pytest.raises(DayNotCompleteError, match=r"ds=2026-01-31 does not exist"):
        list_complete_day(files, uri(tmp_path / "ds=2026-01-31"))


def read_all(spark, folder):
    landed = list_data_files(HadoopFiles(spark), folder)
    with naming_unreadable_files(landed, reading_alone(spark, FIELDS)):
        return read_rows(spark, landed, FIELDS).collect()


def parquet_bytes(tmp_path):
    rows = [{**A_ROW, "user_id": f"u{number}"} for number in range(5000)]
    land(tmp_path / "whole", part__parquet=pa.Table.from_pylist(rows))
    return (tmp_path / "whole" / "part.parquet").read_bytes()


def damage_pages(content):
    return content[:100] + bytes(1000) + content[1100:]


WHOLE = gz(jsonl(*[{**A_ROW, "user_id": f"u{number}"} for number in range(500)]))


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("cut in the middle.jsonl.gz", WHOLE[: len(WHOLE) // 2], "EOFException"),
        ("cut in its header.csv.gz", WHOLE[:5], "EOFException"),
        ("cut before its checksum.jsonl.gz", WHOLE[:-8], "EOFException"),
        ("damaged.jsonl.gz", WHOLE[:200] + bytes(300) + WHOLE[500:], "IOException"),
        ("plain text.jsonl.gz", b"no gzip at all\n", "not a gzip file"),
        ("plain text.parquet", b"no parquet at all\n", "not a Parquet file"),
        ("plain text.parquet.gz", gz("no parquet at all\n"), "expected Parquet within gzip"),
        ("plain.parquet.gz", b"PAR1 and more", "not a gzip file"),
        ("cut.parquet.gz", gz(b"PAR1" + bytes(100_000))[:-9], "EOFException"),
        ("cut in parquet.parquet.gz", gz(b"PAR1" + bytes(100_000)), "not a Parquet file"),
    ],
)
def test_a_damaged_file_is_named_with_its_cause(spark, tmp_path, name, content, cause):
    land(tmp_path, good__jsonl=jsonl(A_ROW), **{name: content})
    with pytest.raises(UnreadableFileError) as error:
        read_all(spark, uri(tmp_path))
    assert f"/{name} cannot be read: " in str(error.value)
    assert cause in str(error.value)
    assert "good.jsonl" not in str(error.value)


@pytest.mark.parametrize("damage", [damage_pages, lambda content: content[: len(content) // 2]])
@pytest.mark.parametrize("packed", [False, True])
def test_a_damaged_parquet_file_is_named(spark, tmp_path, damage, packed):
    damaged = damage(parquet_bytes(tmp_path))
    name = "part.parquet.gz" if packed else "part.parquet"
    folder = land(tmp_path / "day", **{name: gz(damaged) if packed else damaged})
    with pytest.raises(UnreadableFileError, match=rf"/day/{name} cannot be read: "):
        read_all(spark, folder)


def test_a_damaged_dictionary_is_named_although_spark_does_not_say_of_which_file_it_is(spark, tmp_path):
    """Found by tests/faults/test_fuzzed_landing.py."""
    rows = [{**A_ROW, "user_id": user} for user in ("u1", "u2", "u1", "u2")]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "plain.parquet", compression="none")
    content = (tmp_path / "plain.parquet").read_bytes()
    length = b"\x02\x00\x00\x00"
    assert content.count(length + b"u2") == 1
    damaged = content.replace(length + b"u2", b"\xbb\x00\x00\x00u2")
    folder = land(tmp_path / "day", a__parquet=content, b__parquet=damaged, c__jsonl=jsonl(A_ROW))
    with pytest.raises(
        UnreadableFileError, match=r"/day/b\.parquet cannot be read: IllegalArgumentException"
    ):
        read_all(spark, folder)


READ_FAILED = (
    "Encountered error while reading file hdfs://h/a.parquet.\n\tat org.apache.spark.sql.X(Y.scala:1)\n"
)
OUTAGES = {
    "refused": "java.net.ConnectException: Connection refused\n\tat java.base/sun.nio.ch.Net.pollConnect(Native Method)\n"
    "\tat org.apache.hadoop.net.SocketIOWithTimeout.connect(S.java:205)\n",
    "reset": "java.io.IOException: Connection reset by peer\n"
    "\tat java.base/sun.nio.ch.FileDispatcherImpl.read0(Native Method)\n"
    "\tat org.apache.hadoop.net.SocketInputStream$Reader.performIO(SocketInputStream.java:57)\n",
    # The same class as that of a file that is cut off.
    "dying NameNode": "java.io.EOFException\n\tat java.base/java.io.DataInputStream.readInt(DataInputStream.java:381)\n"
    "\tat org.apache.hadoop.ipc.Client$IpcStreams.readResponse(Client.java:1933)\n",
    "closed filesystem": "java.io.IOException: Filesystem closed\n"
    "\tat org.apache.hadoop.hdfs.DFSClient.checkOpen(DFSClient.java:500)\n",
    "still open": "org.apache.hadoop.hdfs.CannotObtainBlockLengthException: Cannot obtain block length\n"
    "\tat org.apache.hadoop.hdfs.DFSInputStream.readBlockLength(DFSInputStream.java:350)\n",
    "expired token": "org.apache.hadoop.ipc.RemoteException(org.apache.hadoop.security.token.SecretManager$InvalidToken): "
    "token is expired\n\tat org.apache.hadoop.ipc.Client.getRpcResponse(Client.java:1584)\n",
    "no memory": "java.lang.OutOfMemoryError: Java heap space\n"
    "\tat org.apache.parquet.bytes.HeapByteBufferAllocator.allocate(H.java:32)\n",
    "a job's own fault": "java.lang.IllegalStateException: no\n\tat org.apache.iceberg.Table.commit(T.java:1)\n",
}


class JavaError(Py4JJavaError):
    """An error of the JVM with the given text."""

    def __init__(self, text):
        self.text = text

    def __str__(self):
        return self.text


@pytest.mark.parametrize("cause", OUTAGES.values(), ids=OUTAGES)
def test_an_outage_while_reading_is_not_blamed_on_the_file(cause):
    landed = LandedFile("hdfs://h/a.parquet", "parquet", False)
    outage = JavaError(
        f"An error occurred.\n: org.apache.spark.SparkException: {READ_FAILED}Caused by: {cause}\t... 9 more\n"
    )
    with pytest.raises(JavaError), naming_unreadable_files([landed], pytest.fail):
        raise outage
    with pytest.raises(JavaError), naming_file(landed):
        raise outage


def test_the_root_cause_is_the_innermost_one():
    trace = (
        "An error occurred while calling o1.count.\n"
        ": org.apache.spark.SparkException: [FAILED_READ_FILE.NO_HINT] …\n\tat org.apache.spark.X(Y.scala:1)\n"
        "Caused by: java.io.IOException: could not decode\n\tat a.B.c(D.java:2)\n"
        "Caused by: java.io.IOException: FAILED_TO_UNCOMPRESS(5)\n\tat a.B.c(D.java:3)\n"
    )
    assert root_cause(trace) == "IOException: FAILED_TO_UNCOMPRESS(5)"
