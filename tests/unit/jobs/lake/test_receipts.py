"""Every landed day of a window needs a receipt of the files that it has now."""

import os
from datetime import date

import pytest

from jobs.lake.hadoop_files import HadoopFiles
from jobs.lake.receipts import (
    DayRange,
    MissingExtractionError,
    find_unextracted,
    hash_delivery,
    landing_day,
    list_landed_days,
    parse_day,
    require_receipts,
)
from tests.made_up.landing_day import LocalFiles, land, land_complete, uri, write_receipts

JANUARY = DayRange(date(2026, 1, 1), date(2026, 1, 31))
DAY = date(2026, 1, 30)


@pytest.fixture
def require(spark, tmp_path):
    def check(landed, extracted):
        for day in landed:
            land(tmp_path / "landing" / f"ds={day}", a__jsonl="{}")
        write_receipts(tmp_path, *extracted)
        require_receipts(HadoopFiles(spark), uri(tmp_path / "landing"), uri(tmp_path / "receipts"), JANUARY)

    return check


def test_a_window_whose_landed_days_are_all_extracted_passes(require):
    require(["2026-01-01", "2026-01-31"], ["2026-01-01", "2026-01-31"])


def test_days_on_which_nothing_landed_need_no_receipt(require):
    require([], [])


def test_days_outside_the_window_need_no_receipt(require):
    require(["2025-12-31", "2026-02-01"], [])


def test_every_missing_day_is_named_in_order_and_a_retry_may_help(require):
    with pytest.raises(MissingExtractionError, match="2026-01-02, 2026-01-30; run extract_sessions") as error:
        require(["2026-01-30", "2026-01-02", "2026-01-05"], ["2026-01-05"])
    assert getattr(error.value, "retryable", True)


def test_a_folder_that_is_not_named_by_a_day_is_no_landing_day(require):
    require(["2026-01-30.bad", "2026-02-30", "2026-1-3", "20260103", "2026-01-3O"], [])


class Extracted:
    """One landing day with its receipt."""

    def __init__(self, root):
        self.root, self.folder = root, root / "landing" / f"ds={DAY}"
        land_complete(self.folder, a__jsonl="{}", b__jsonl="{}")
        write_receipts(root, str(DAY))

    def is_extracted(self):
        roots = str(self.root / "landing"), str(self.root / "receipts")
        landed = list_landed_days(LocalFiles(), roots[0], JANUARY)
        return find_unextracted(LocalFiles(), *roots, landed) == []


@pytest.fixture
def extracted(tmp_path):
    return Extracted(tmp_path)


def test_a_receipt_stands_for_the_files_of_its_day(extracted):
    assert extracted.is_extracted()


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "c.jsonl").write_text("{}"),
        lambda folder: (folder / "b.jsonl").unlink(),
        lambda folder: (folder / "b.jsonl").rename(folder / "c.jsonl"),
        lambda folder: os.truncate(folder / "b.jsonl", 1),
        lambda folder: os.utime(
            folder / "b.jsonl", (1_800_000_000, 1_800_000_000)
        ),  # replaced, of equal size
        lambda folder: (folder / "hour=10").mkdir(),
    ],
    ids=["a new file", "one file less", "another name", "another size", "another time", "a folder"],
)
def test_a_receipt_does_not_count_once_the_delivery_differs(extracted, change):
    change(extracted.folder)
    assert not extracted.is_extracted()


def test_closing_a_day_again_changes_nothing(extracted):
    (extracted.folder / "_SUCCESS").unlink()
    (extracted.folder / ".part-0.jsonl.crc").write_text("")
    assert extracted.is_extracted()


def test_a_day_whose_folder_was_archived_is_not_asked_for(extracted):
    extracted.folder.rename(extracted.root / "archived")
    assert extracted.is_extracted()


@pytest.mark.parametrize("text", ["", "{", "[]", '"text"', '{"ds": "2026-01-30", "landed": 9}'])
def test_a_receipt_that_names_no_delivery_does_not_count(extracted, text):
    (extracted.root / "receipts" / f"ds={DAY}.json").write_text(text)
    assert not extracted.is_extracted()


def test_hadoop_and_other_clients_see_the_same_delivery(spark, extracted):
    (extracted.folder / "größe,=2 🎲.csv").write_text("x")
    by_hadoop = hash_delivery(HadoopFiles(spark), uri(extracted.folder))
    assert by_hadoop == hash_delivery(LocalFiles(), str(extracted.folder))


def test_a_receipt_is_read_whole_and_a_missing_one_is_said_to_be_missing(spark, tmp_path):
    receipt = land(tmp_path, a__json='{"é": 1}\n{}') + "/a.json"
    assert HadoopFiles(spark).read(receipt) == '{"é": 1}\n{}'
    with pytest.raises(FileNotFoundError):
        HadoopFiles(spark).read(receipt + ".gone")


def test_a_days_name_has_one_form():
    assert landing_day("ds=2026-01-31") == parse_day("2026-01-31") == date(2026, 1, 31)
    for text in ("20260131", "2026-W05-6", "2026-02-30", "None"):
        with pytest.raises(ValueError, match="day"):
            parse_day(text)
