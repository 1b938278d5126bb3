"""What phones deliver, good or bad, on the real HDFS: nothing fails silently and nothing is lost."""

import gzip
import io
import json
from collections.abc import Callable
from datetime import date

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from dags.hdfs_days import HdfsDays
from jobs.extract_sessions import TooManyBadRowsError
from jobs.extract_sessions import main as extract_sessions
from jobs.lake.tables import TablePartition
from jobs.landing.files import DayNotCompleteError, UnreadableFileError
from model_registry.errors import PermissionDeniedError
from tests.real_cluster import Cluster

ROOT = "/bad_input"
GOOD = '{"user_id": "u1", "app_id": "maps", "event_time": "2020-05-01T10:00:00Z"}\n'
Deliver = Callable[..., None]


def parquet_bytes() -> bytes:
    buffer = io.BytesIO()
    frame = pd.DataFrame({"user_id": ["u1"], "app_id": ["maps"], "event_time": ["2020-05-01T10:00:00Z"]})
    frame.to_parquet(buffer)
    return buffer.getvalue()


@pytest.fixture
def deliver(cluster: Cluster, spark: SparkSession) -> Deliver:  # noqa: ARG001 (extraction needs the session)
    """Land files on a day, close it, extract it."""
    cluster.make_folder(f"{ROOT}_receipts", owner="scoring")

    def land_and_extract(
        day: str, files: dict[str, bytes], complete: bool = True, max_bad_share: float = 0.05
    ) -> None:
        folder = f"{ROOT}/ds={day}"
        cluster.hdfs.makedirs(folder)
        for name, content in files.items():
            cluster.hdfs.write(f"{folder}/{name}", content)
        if complete:
            cluster.hdfs.write(f"{folder}/_SUCCESS", b"")
        extract_sessions(
            landing_root=f"{cluster.hdfs_url}{ROOT}",
            receipts_root=f"{cluster.hdfs_url}{ROOT}_receipts",
            sessions="risk.install_sessions",
            rejected="risk.rejected_events",
            counts="risk.extraction_counts",
            day=[date.fromisoformat(day)],
            max_bad_share=max_bad_share,
        )

    return land_and_extract


def receipt(cluster: Cluster, day: str) -> str:
    return f"{cluster.hdfs_url}{ROOT}_receipts/ds={day}.json"


def rows(spark: SparkSession, table: str, day: str) -> list[dict[str, object]]:
    return [
        row.asDict() for row in TablePartition(f"risk.{table}", date.fromisoformat(day)).read(spark).collect()
    ]


def counts(spark: SparkSession, day: str) -> dict[str, object]:
    (row,) = rows(spark, "extraction_counts", day)
    return {name: value for name, value in row.items() if name not in ("ds", "files")}


def assert_nothing_published(cluster: Cluster, spark: SparkSession, day: str) -> None:
    assert rows(spark, "install_sessions", day) == []
    assert cluster.hdfs.status(f"{ROOT}_receipts/ds={day}.json", strict=False) is None


def test_bad_rows_are_kept_with_file_text_and_reason(spark: SparkSession, deliver: Deliver) -> None:
    bad = {
        "unparseable": "{not json",
        "missing_field": '{"user_id": "u1", "event_time": "2020-05-01T10:00:00Z"}',
        "invalid_event_time": '{"user_id": "u1", "app_id": "maps", "event_time": "yesterday"}',
        "time_out_of_range": '{"user_id": "u1", "app_id": "maps", "event_time": "2020-05-04T00:00:00Z"}',
        "control_characters": '{"user_id": "u1", "app_id": "ma\\u0000ps", "event_time": "2020-05-01T10:00:00Z"}',
        "too_long": json.dumps(
            {"user_id": "u" * 129, "app_id": "maps", "event_time": "2020-05-01T10:00:00Z"}
        ),
        "unknown_event_type": '{"user_id": "u1", "app_id": "maps", "event_time": "2020-05-01T10:00:00Z", "event_type": "sale"}',
    }
    deliver("2020-05-01", {"a.jsonl": (GOOD + "\n".join(bad.values())).encode()}, max_bad_share=1.0)
    kept = {row["reason"]: row["raw"] for row in rows(spark, "rejected_events", "2020-05-01")}
    assert kept == bad
    assert all(str(row["file"]).endswith("a.jsonl") for row in rows(spark, "rejected_events", "2020-05-01"))
    expected = {"landed": 8, "accepted": 1, "duplicates": 0, "not_installs": 0, "rejected": 7}
    assert counts(spark, "2020-05-01") == expected


def test_all_formats_of_one_day_are_read_together(spark: SparkSession, deliver: Deliver) -> None:
    csv = b"event_time,app_id,user_id,event_type,colour\n1588327260000,chat,u1,install,red\n1588327260000,chat,u1,update,red\n"
    files = {"a.jsonl.gz": gzip.compress(GOOD.encode()), "b.csv": csv, "c.parquet": parquet_bytes()}
    deliver("2020-05-02", {**files, "d.parquet.gz": gzip.compress(parquet_bytes())})
    # The Parquet rows are exact duplicates of the JSON one; 1588327260000 is 2020-05-01T10:01:00Z.
    (session,) = rows(spark, "install_sessions", "2020-05-02")
    assert session["app_ids"] == ["maps", "chat"]
    expected = {"landed": 5, "accepted": 2, "duplicates": 2, "not_installs": 1, "rejected": 0}
    assert counts(spark, "2020-05-02") == expected


def test_too_many_bad_rows_publish_nothing(cluster: Cluster, spark: SparkSession, deliver: Deliver) -> None:
    with pytest.raises(TooManyBadRowsError, match=r"1 of 2 rows \(50\.0%\) are bad, allowed are 5\.0%"):
        deliver("2020-05-03", {"a.jsonl": (GOOD + "oops\n").encode()})
    assert_nothing_published(cluster, spark, "2020-05-03")


@pytest.mark.parametrize(
    ("day", "name", "content"),
    [
        ("2020-05-04", "cut.jsonl.gz", gzip.compress(GOOD.encode() * 5000)[:-200]),
        ("2020-05-05", "empty.parquet", b""),
        ("2020-05-06", "damaged.parquet", parquet_bytes()[:-30]),
        ("2020-05-07", "notes.docx", b"hello"),
        ("2020-05-10", "long.jsonl", GOOD.encode() * 100_000 + b"x" * 5_000_000 + b"\n"),
        ("2020-05-11", "long.jsonl.gz", gzip.compress(GOOD.encode() * 100_000 + b"x" * 5_000_000)),
        ("2020-05-12", "cut.parquet.gz", gzip.compress(parquet_bytes())[:-20]),
        ("2020-05-13", "array.jsonl", b"[" + GOOD.encode() + b"]"),
    ],
)
def test_an_unreadable_file_fails_the_day_by_its_name(
    cluster: Cluster, spark: SparkSession, deliver: Deliver, day: str, name: str, content: bytes
) -> None:
    with pytest.raises(UnreadableFileError, match=name):
        deliver(day, {"good.jsonl": GOOD.encode(), name: content})
    assert_nothing_published(cluster, spark, day)


def test_a_day_without_success_is_not_extracted(
    cluster: Cluster, spark: SparkSession, deliver: Deliver
) -> None:
    with pytest.raises(DayNotCompleteError, match="_SUCCESS"):
        deliver("2020-05-08", {"a.jsonl": GOOD.encode()}, complete=False)
    assert_nothing_published(cluster, spark, "2020-05-08")


def test_an_empty_day_is_extracted(cluster: Cluster, spark: SparkSession, deliver: Deliver) -> None:
    deliver("2020-05-09", {})
    assert counts(spark, "2020-05-09")["landed"] == 0
    with cluster.hdfs.read(f"{ROOT}_receipts/ds=2020-05-09.json") as written:
        assert json.load(written)["landed"] == 0


def days_seen_by(cluster: Cluster, user: str) -> HdfsDays:
    return HdfsDays(cluster.webhdfs_url, user, ROOT, f"{ROOT}_receipts")


def test_airflow_sees_over_webhdfs_that_a_delivery_is_extracted_until_it_changes(
    cluster: Cluster, deliver: Deliver
) -> None:
    day, days = "2020-05-20", days_seen_by(cluster, cluster.settings.hdfs_user)
    deliver(day, {"größe 1.jsonl": GOOD.encode(), "b.jsonl": GOOD.encode()})
    assert days.unextracted(day, lookback_days=1) == []
    cluster.hdfs.write(f"{ROOT}/ds={day}/b.jsonl", GOOD.encode(), overwrite=True)
    assert days.unextracted(day, lookback_days=1) == days.still_unextracted([day]) == [day]
    cluster.hdfs.delete(f"{ROOT}/ds={day}/_SUCCESS")  # which is written again
    deliver(day, {})
    assert days.unextracted(day, lookback_days=1) == []


def test_a_landing_zone_that_airflows_user_may_not_read_is_refused_by_name(
    cluster: Cluster, deliver: Deliver
) -> None:
    day, days = "2020-05-21", days_seen_by(cluster, "mallory")
    deliver(day, {})
    assert days.unlanded(day) == []
    cluster.hdfs.set_permission(ROOT, "700")
    try:
        for ask in (days.unlanded, days.unextracted):
            with pytest.raises(PermissionDeniedError, match="Permission denied: user=mallory"):
                ask(day)
    finally:
        cluster.hdfs.set_permission(ROOT, "755")
