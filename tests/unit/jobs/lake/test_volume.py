"""The gate on volume, and who may release a night."""

from datetime import date

import pytest

from jobs.errors import WrongArgumentsError
from jobs.lake.tables import TablePartition, ensure_tables
from jobs.lake.volume import (
    Release,
    UnusualVolumeError,
    Volume,
    VolumeLimits,
    check_volume,
    landed_before,
    rows_before,
)

LIMITS = VolumeLimits(0.5, 2.0)
DAY = date(2026, 1, 31)
WEEK = (900, 1_000, 1_100, 1_000, 1_000, 1_200, 800)


def flaw(found, before=WEEK):
    return Volume("users", found, before).flaw(LIMITS)


@pytest.mark.parametrize("found", [500, 1_000, 2_000])
def test_a_usual_number_passes(found):
    assert flaw(found) is None


@pytest.mark.parametrize(("found", "written"), [(499, "499"), (100, "100"), (0, "0"), (2_001, "2,001")])
def test_far_fewer_or_more_are_refused_with_the_figures(found, written):
    assert flaw(found) == (
        f"{written} users, expected 50% to 200% of 1,000, the median of the 7 nights before"
    )


def test_a_first_week_passes():
    assert flaw(1, WEEK[:6]) is None


def test_few_rows_are_left_to_chance():
    assert flaw(1, (99,) * 7) is None
    assert flaw(1, (100,) * 7) is not None


def test_a_release_needs_a_name_and_a_reason():
    assert Release.of(" ", "") is None
    assert Release.of(" Ada ", "holiday") == Release("Ada", "holiday")
    for alone in (("Ada", ""), ("", "holiday")):
        with pytest.raises(WrongArgumentsError, match="both released_by and release_reason"):
            Release.of(*alone)


@pytest.fixture
def lake(spark):
    for table in ("volume_releases", "extraction_counts", "user_sequences"):
        spark.sql(f"DROP TABLE IF EXISTS lake.risk.{table}")
    ensure_tables(spark)
    return spark


def releases(spark):
    columns = ("ds", "what", "found", "expected", "released_by", "reason")
    return [tuple(row) for row in spark.table("lake.risk.volume_releases").select(*columns).collect()]


def test_an_unusual_night_is_refused_unless_a_person_releases_it_which_is_recorded(lake):
    volume = Volume("users", 100, WEEK)
    with pytest.raises(UnusualVolumeError, match="ds=2026-01-31: 100 users, expected 50% to 200% of 1,000"):
        check_volume(lake, DAY, volume, LIMITS, None)
    assert releases(lake) == []
    check_volume(lake, DAY, volume, LIMITS, Release("Ada", "half of the country was offline"))
    assert releases(lake) == [(DAY, "users", 100, 1_000.0, "Ada", "half of the country was offline")]


def test_a_usual_night_records_no_release(lake):
    check_volume(lake, DAY, Volume("users", 1_000, WEEK), LIMITS, Release("Ada", "to be safe"))
    assert releases(lake) == []


def test_only_the_last_seven_days_before_the_night_count(lake):
    columns = (
        "landed BIGINT, accepted BIGINT, duplicates BIGINT, not_installs BIGINT, rejected BIGINT, files INT"
    )
    users = "user_id STRING, app_ids ARRAY<STRING>, event_times ARRAY<TIMESTAMP>, sequence_length INT"
    for day in (1, 2, 3, 4, 5, 6, 7, 9, 10, 11):
        counts = TablePartition("risk.extraction_counts", date(2026, 1, day))
        counts.overwrite_with(lake.createDataFrame([(day * 100, 0, 0, 0, 0, 1)], columns))
        rows = [(f"u{n}", ["a"], [], 1) for n in range(day)]
        TablePartition("risk.user_sequences", counts.ds).overwrite_with(lake.createDataFrame(rows, users))
    night = date(2026, 1, 10)
    landed = landed_before(lake, TablePartition("risk.extraction_counts", night))
    assert landed == (900, 700, 600, 500, 400, 300, 200)
    assert rows_before(lake, TablePartition("risk.user_sequences", night)) == (9, 7, 6, 5, 4, 3, 2)


def test_days_of_more_than_four_weeks_ago_do_not_count(lake):
    columns = (
        "landed BIGINT, accepted BIGINT, duplicates BIGINT, not_installs BIGINT, rejected BIGINT, files INT"
    )
    for day in (date(2026, 1, 2), date(2026, 1, 3)):
        counts = TablePartition("risk.extraction_counts", day)
        counts.overwrite_with(lake.createDataFrame([(day.day, 0, 0, 0, 0, 1)], columns))
    night = date(2026, 1, 31)
    assert landed_before(lake, TablePartition("risk.extraction_counts", night)) == (3,)
    assert rows_before(lake, TablePartition("risk.extraction_counts", night)) == (1,)
