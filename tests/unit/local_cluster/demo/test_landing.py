"""Landing days of local files: from their folders or, in a flat folder, from their times."""

import gzip
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from local_cluster.demo.landing import find_delivery
from local_cluster.demo.steps import last_consecutive
from local_cluster.layout import ClusterError

LABELS = "user_id,label,as_of,observed_at\nu1,1,2003-06-02T00:00:00Z,2003-07-15T00:00:00Z\n"


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(LABELS)
    return path


@pytest.fixture
def installs(tmp_path: Path) -> Path:
    folder = tmp_path / "installs"
    folder.mkdir()
    return folder


def test_day_folders_are_landing_days(installs: Path, labels: Path) -> None:
    day = installs / "ds=2003-06-01"
    day.mkdir()
    (day / "part-0.csv").write_text("user_id,app_id,event_time\n")
    (day / "_SUCCESS").touch()
    delivery = find_delivery(installs, labels)
    assert delivery.files == {date(2003, 6, 1): [day / "part-0.csv"]}


def test_training_date_is_when_the_last_label_was_observed(installs: Path, labels: Path) -> None:
    (installs / "a.csv").write_text("user_id,app_id,event_time\nu1,maps,2003-06-01T10:00:00Z\n")
    assert find_delivery(installs, labels).training_date == date(2003, 7, 15)


def test_a_day_without_success_is_named(installs: Path, labels: Path) -> None:
    (installs / "ds=2003-06-01").mkdir()
    with pytest.raises(ClusterError, match=r"ds=2003-06-01 has no _SUCCESS"):
        find_delivery(installs, labels)


def write_csv(folder: Path, time: str) -> None:
    (folder / "a.csv").write_text(
        f"event_time,user_id,app_id\n{time},u1,maps\n2003-05-30T10:00:00Z,u1,chat\n"
    )


def write_gzipped_lines(folder: Path, time: str) -> None:
    value = time if time.isdigit() else f'"{time}"'
    with gzip.open(folder / "a.jsonl.gz", "wt") as file:
        file.write(f'not json\n{{"user_id": "u1", "event_time": {value}, "app_id": "maps"}}\n')


def write_parquet(folder: Path, time: str) -> None:
    moment = pd.to_datetime(int(time), unit="ms", utc=True) if time.isdigit() else pd.Timestamp(time)
    pd.DataFrame({"user_id": ["u1"], "app_id": ["maps"], "event_time": [moment]}).to_parquet(
        folder / "a.parquet"
    )


# 2003-06-01T10:00:00Z, as text and as epoch milliseconds
@pytest.mark.parametrize("time", ["2003-06-01T12:00:00+02:00", "1054461600000"])
@pytest.mark.parametrize("write", [write_csv, write_gzipped_lines, write_parquet])
def test_a_flat_folder_lands_on_the_day_of_its_latest_event(
    installs: Path, labels: Path, write, time
) -> None:
    write(installs, time)
    assert find_delivery(installs, labels).days == [date(2003, 6, 1)]


def test_a_flat_folder_lands_no_later_than_the_latest_as_of(installs: Path, labels: Path) -> None:
    write_csv(installs, "2003-06-30T10:00:00Z")  # after the label's as_of, 2003-06-02
    assert find_delivery(installs, labels).days == [date(2003, 6, 2)]


def test_labels_without_their_columns_say_what_was_expected(installs: Path, labels: Path) -> None:
    labels.write_text("user,target\nu1,1\n")
    with pytest.raises(ClusterError, match="expected CSV or Parquet with user_id,label,as_of,observed_at"):
        find_delivery(installs, labels)


def test_an_unknown_kind_of_file_is_named(installs: Path, labels: Path) -> None:
    (installs / "notes.txt").write_text("hello")
    with pytest.raises(ClusterError, match=r"notes\.txt: expected one of \.jsonl, \.csv, \.parquet"):
        find_delivery(installs, labels)


def test_an_empty_folder_is_named(installs: Path, labels: Path) -> None:
    with pytest.raises(ClusterError, match="no ds=YYYY-MM-DD folders and no files"):
        find_delivery(installs, labels)


def test_a_backfill_takes_the_last_days_without_a_gap() -> None:
    days = [date(2026, 1, 1), date(2026, 1, 5), date(2026, 1, 6)]
    assert last_consecutive(days, most=3) == days[1:]


def test_a_backfill_takes_no_more_days_than_asked() -> None:
    days = [date(2026, 1, day) for day in range(1, 9)]
    assert last_consecutive(days, most=3) == days[-3:]
