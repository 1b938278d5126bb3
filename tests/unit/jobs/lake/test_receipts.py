"""Every landed day of a window needs its receipt."""

from datetime import date

import pytest

from jobs.lake.hadoop_files import HadoopFiles
from jobs.lake.receipts import DayRange, MissingExtractionError, require_receipts
from tests.made_up.landing_day import land, uri

JANUARY = DayRange(date(2026, 1, 1), date(2026, 1, 31))


@pytest.fixture
def require(spark, tmp_path):
    def check(landed, extracted):
        for day in landed:
            land(tmp_path / "landing" / f"ds={day}")
        for day in extracted:
            land(tmp_path / "receipts", **{f"ds={day}.json": "{}"})
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
