"""From landed files to sessions, with every row accounted for."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py4j.protocol import Py4JError
from pyspark.sql import functions as F

from jobs.extract_sessions import (
    LONGEST_SESSION,
    Counts,
    CountsDisagreeError,
    TooManyBadRowsError,
    assign_sessions,
    check_bad_share,
    check_unchanged,
    collect_sessions,
    count_copies,
    main,
)
from jobs.lake.branches import PartitionChangedError
from jobs.lake.receipts import DeliveryChangedError, hash_delivery, is_extracted
from jobs.lake.tables import TablePartition, ensure_tables
from jobs.lake.volume import UnusualVolumeError
from jobs.landing.files import DayNotCompleteError, UnreadableFileError
from tests.made_up.landing_day import LocalFiles, gz, jsonl, land, land_complete, uri

MIDNIGHT = datetime(2026, 1, 31, tzinfo=UTC)
INSTALLS = "user_id STRING, app_id STRING, event_time TIMESTAMP"


def at(clock):
    """A moment of the day: "10:00:00" or "10:00:00.5"."""
    return datetime.fromisoformat(f"2026-01-31T{clock}+00:00")


def install_log(spark, *rows):
    return spark.createDataFrame([(user, app, at(clock)) for user, clock, app in rows], INSTALLS)


def session_indexes(assigned):
    """Session indexes in order of user, time and app."""
    rows = assigned.orderBy("user_id", "event_time", "app_id").collect()
    return [row.session_index for row in rows]


def test_idle_for_exactly_the_gap_starts_a_session(spark):
    installs = install_log(spark, ("u1", "10:00:00", "maps"), ("u1", "10:30:00", "chat"))
    assert session_indexes(assign_sessions(installs, gap_seconds=1800)) == [0, 1]


def test_idle_for_a_moment_less_than_the_gap_does_not(spark):
    # 1799.999 s, although the whole seconds are 1800 apart.
    installs = install_log(spark, ("u1", "10:00:00.999", "maps"), ("u1", "10:30:00.998", "chat"))
    assert session_indexes(assign_sessions(installs, gap_seconds=1800)) == [0, 0]


def test_the_gap_counts_from_the_last_install_and_not_from_the_first(spark):
    clocks = ["10:00:00", "10:20:00", "10:40:00", "11:10:00"]
    installs = install_log(spark, *(("u1", clock, "maps") for clock in clocks))
    assert session_indexes(assign_sessions(installs, gap_seconds=1800)) == [0, 0, 0, 1]


def test_a_session_is_cut_after_its_longest_length(spark):
    clocks = [f"10:0{minute}:00" for minute in range(7)] + ["11:00:00", "11:01:00"]
    installs = install_log(spark, *(("u1", clock, "maps") for clock in clocks), ("u2", "10:00:00", "maps"))
    indexes = session_indexes(assign_sessions(installs, longest_session=3))
    assert indexes == [0, 0, 0, 1, 1, 1, 2, 3, 3, 0]


def test_a_user_of_many_installs_makes_many_bounded_sessions(spark):
    row = spark.range(10 * LONGEST_SESSION + 1)
    installs = row.select(
        F.lit("bot").alias("user_id"),
        F.lit("maps").alias("app_id"),
        F.timestamp_seconds("id").alias("event_time"),
    )
    sessions = collect_sessions(assign_sessions(installs)).select(F.size("app_ids").alias("length")).collect()
    assert sorted(row.length for row in sessions) == [1] + [LONGEST_SESSION] * 10


def test_every_user_starts_with_session_0(spark):
    installs = install_log(spark, ("u1", "10:00:00", "maps"), ("u2", "23:00:00", "maps"))
    assert session_indexes(assign_sessions(installs)) == [0, 0]


def test_a_session_holds_its_apps_by_time_and_then_by_name(spark):
    installs = install_log(
        spark,
        ("u1", "10:05:00", "b"),
        ("u1", "10:05:00", "a"),
        ("u1", "10:00:00", "z"),
        ("u1", "12:00:00", "c"),
    )
    sessions = collect_sessions(assign_sessions(installs)).orderBy("session_index").collect()
    assert [row.app_ids for row in sessions] == [["z", "a", "b"], ["c"]]
    first = sessions[0]
    assert [first.started_at, first.ended_at] == [first.event_times[0], first.event_times[-1]]
    assert minutes_of(first.event_times) == [600, 605, 605]


def minutes_of(times):
    return [int((time.astimezone(UTC) - MIDNIGHT).total_seconds()) // 60 for time in times]


# A few apps and a coarse clock, so that ties, repeats and gaps of exactly 30 minutes are common.
INSTALL = st.tuples(
    st.sampled_from(["u1", "u2", "u3", "u4", "u5"]),
    st.sampled_from("abc"),
    st.integers(0, 60).map(lambda x: 5 * x),
)


def sessions_by_plain_loop(rows, gap_minutes=30):
    """Compute (user, session index, [(minute, app), …]) by a plain loop over each user's installs."""
    sessions = []
    for user in sorted({user for user, _, _ in rows}):
        index, last = -1, None
        for minute, app in sorted((minute, app) for other, app, minute in rows if other == user):
            if last is None or minute - last >= gap_minutes:
                index += 1
                sessions.append((user, index, []))
            sessions[-1][2].append((minute, app))
            last = minute
    return sessions


@settings(max_examples=12, deadline=None)
@given(st.sets(INSTALL, max_size=60))
def test_sessions_are_those_of_a_plain_loop(spark, rows):
    log = [(user, app, MIDNIGHT + timedelta(minutes=minute)) for user, app, minute in rows]
    sessions = collect_sessions(assign_sessions(spark.createDataFrame(log, INSTALLS))).collect()
    built = [
        (row.user_id, row.session_index, list(zip(minutes_of(row.event_times), row.app_ids, strict=True)))
        for row in sessions
    ]
    assert sorted(built) == sessions_by_plain_loop(rows)


def test_copies_agree_in_user_app_time_and_type(spark):
    rows = [
        ("u1", "maps", at("10:00:00"), "install", None),
        ("u1", "maps", at("10:00:00"), "install", None),
        ("u1", "maps", at("10:00:00"), "update", None),
        ("u1", "maps", at("10:00:01"), "install", None),
        ("u1", "maps", at("10:00:00"), "install", "too_long"),  # no event at all
    ]
    judged = spark.createDataFrame(rows, INSTALLS + ", event_type STRING, reason STRING")
    assert sorted(row.copies for row in count_copies(judged).collect()) == [1, 1, 2]


def test_counts_that_do_not_add_up_are_refused():
    with pytest.raises(CountsDisagreeError, match=r"landed 10 = .*the right side adds up to 9"):
        Counts(landed=10, accepted=5, duplicates=2, not_installs=1, rejected=1, files=1).check()


def test_exactly_the_allowed_share_of_bad_rows_passes(spark):
    rejected = spark.createDataFrame([("f", "r", "too_long")] * 5, "file STRING, raw STRING, reason STRING")
    check_bad_share(rejected, landed=100, max_bad_share=0.05)
    with pytest.raises(TooManyBadRowsError, match=r"5 of 99 rows \(5\.1%\) are bad, allowed are 5\.0%"):
        check_bad_share(rejected, landed=99, max_bad_share=0.05)


class Day:
    """One landing day in a temporary folder, and what its extraction wrote."""

    def __init__(self, spark, root, ds):
        self.spark = spark
        self.root = root
        self.ds = date.fromisoformat(ds)
        self.folder = root / "landing" / f"ds={ds}"
        self.receipt = root / "receipts" / f"ds={ds}.json"
        self.sessions, self.rejected, self.counts = (
            TablePartition(f"risk.{table}", self.ds)
            for table in ("install_sessions", "rejected_events", "extraction_counts")
        )

    def is_extracted(self):
        roots = str(self.root / "landing"), str(self.root / "receipts")
        return is_extracted(LocalFiles(), *roots, self.ds)

    def extract(self, *further_days, max_bad_share=1.0, lookback_days=1, **volume):
        main(
            landing_root=uri(self.root / "landing"),
            receipts_root=uri(self.root / "receipts"),
            sessions=self.sessions.table,
            rejected=self.rejected.table,
            counts=self.counts.table,
            day=[self.ds, *further_days],
            max_bad_share=max_bad_share,
            lookback_days=lookback_days,
            **volume,
        )

    def rows(self, partition):
        return sorted(tuple(row) for row in partition.read(self.spark).drop("ds").collect())


@pytest.fixture
def day(spark, tmp_path):
    return Day(spark, tmp_path, "2026-01-31")


def event(user="u1", app="maps", clock="10:00:00", **more):
    return {"user_id": user, "app_id": app, "event_time": f"2026-01-31T{clock}Z", **more}


def test_every_landed_row_goes_to_one_place_and_a_rerun_writes_the_same(day):
    land_complete(
        day.folder,
        a__jsonl__gz=gz(
            jsonl(
                event(),
                event(),  # an exact duplicate
                event(event_time="2026-01-31T11:00:00+01:00"),  # the same moment, written differently
                event(app="chat", clock="10:10:00"),
                event(app="chat", clock="10:10:00", event_type="update"),
                event(
                    app="chat", clock="10:10:00", event_type="update"
                ),  # its duplicate counts as a duplicate
                "not json",
            )
        ),
        b__csv="user_id,app_id,event_time\nu2,bank,1769853600000\nu2,bank,noon\n",
    )
    day.extract()
    assert day.rows(day.counts) == [(9, 3, 3, 1, 2, 2)]
    assert [(row[0], row[4]) for row in day.rows(day.sessions)] == [
        ("u1", ["maps", "chat"]),
        ("u2", ["bank"]),
    ]
    assert day.rows(day.rejected) == [
        (f"{uri(day.folder)}/a.jsonl.gz", "not json", "unparseable"),
        (f"{uri(day.folder)}/b.csv", "u2,bank,noon", "invalid_event_time"),
    ]
    assert json.loads(day.receipt.read_text()) == {
        "ds": "2026-01-31",
        "delivery": hash_delivery(LocalFiles(), str(day.folder)),
        "landed": 9,
        "accepted": 3,
        "duplicates": 3,
        "not_installs": 1,
        "rejected": 2,
        "files": 2,
    }

    tables = [day.sessions, day.rejected, day.counts]
    first = [day.rows(table) for table in tables]
    day.extract()
    assert [day.rows(table) for table in tables] == first


def test_too_many_bad_rows_publish_nothing_and_give_the_new_files_no_receipt(day):
    land_complete(day.folder, a__jsonl=jsonl(event()))
    day.extract()
    land(day.folder, b__jsonl=jsonl("broken", event(user="")))
    with pytest.raises(TooManyBadRowsError) as error:
        day.extract(max_bad_share=0.05)
    assert (
        "2 of 3 rows (66.7%) are bad, allowed are 5.0%, nothing is published: missing_field 1, unparseable 1"
        in str(error.value)
    )
    assert "b.jsonl: " in str(error.value)
    assert not day.is_extracted()
    assert day.rows(day.rejected) == []
    assert [row[0] for row in day.rows(day.sessions)] == ["u1"]  # the ones written before


def test_an_empty_day_with_success_is_extracted(day):
    land_complete(day.folder, a__jsonl="", b__csv="user_id,app_id,event_time\n")
    day.extract(max_bad_share=0.0)
    assert day.rows(day.counts) == [(0, 0, 0, 0, 0, 2)]
    assert day.rows(day.sessions) == []
    assert day.receipt.exists()


def test_days_of_one_job_are_extracted_in_order_and_independently(spark, tmp_path):
    later, earlier = (Day(spark, tmp_path, ds) for ds in ("2026-02-02", "2026-02-01"))
    for day, app in ((later, "chat"), (earlier, "maps")):
        land_complete(day.folder, a__jsonl=jsonl(event(app=app)))
    later.extract(earlier.ds)
    assert [day.rows(day.sessions)[0][4] for day in (earlier, later)] == [["maps"], ["chat"]]
    assert earlier.receipt.exists()
    assert later.receipt.exists()

    (earlier.folder / "_SUCCESS").unlink()
    with pytest.raises(DayNotCompleteError, match="ds=2026-02-01"):
        later.extract(earlier.ds)
    assert later.receipt.exists()  # the job ended before this day


def test_a_day_without_success_is_not_extracted(day):
    land(day.folder, a__jsonl=jsonl(event()))
    with pytest.raises(DayNotCompleteError):
        day.extract()
    assert not day.receipt.exists()


def test_a_folder_below_a_day_is_refused_before_anything_changes(day):
    land_complete(day.folder, a__jsonl=jsonl(event()))
    day.extract()
    land(day.folder / "hour=12", b__jsonl=jsonl(event(user="u2")))
    with pytest.raises(UnreadableFileError, match=r"/ds=2026-01-31/hour=12: .*found a folder"):
        day.extract()
    assert [row[0] for row in day.rows(day.sessions)] == ["u1"]
    assert day.receipt.exists()  # it still says what the tables hold


def test_a_failed_write_is_not_blamed_on_a_file(day, monkeypatch):
    land_complete(day.folder, a__jsonl=jsonl(event()))

    def fail(*_):
        raise Py4JError(
            f"while reading {day.folder}/a.jsonl\n: x.YException: z\n\tat org.apache.parquet.Z(Z.java:1)"
        )

    monkeypatch.setattr(TablePartition, "overwrite_with", fail)
    with pytest.raises(Py4JError):
        day.extract()


def test_a_truncated_file_fails_the_day_with_its_name(day):
    whole = gz(jsonl(*(event(user=f"u{number}") for number in range(1000))))
    land_complete(day.folder, a__jsonl=jsonl(event()), b__jsonl__gz=whole[: len(whole) // 2])
    with pytest.raises(UnreadableFileError, match=r"/b\.jsonl\.gz cannot be read: EOFException"):
        day.extract()
    assert not day.receipt.exists()


def test_a_file_that_comes_while_its_day_is_read_leaves_the_day_unextracted_until_a_retry(day, monkeypatch):
    land_complete(day.folder, a__jsonl=jsonl(event(user="u1")))

    def check_late(*arguments):  # stands between the listing of the files and the receipt
        land(day.folder, b__jsonl=jsonl(event(user="u2")))
        check_bad_share(*arguments)

    monkeypatch.setattr("jobs.extract_sessions.check_bad_share", check_late)
    with pytest.raises(DeliveryChangedError, match="ds=2026-01-31") as error:
        day.extract()
    assert getattr(error.value, "retryable", True)
    assert not day.receipt.exists()

    monkeypatch.undo()
    day.extract()
    assert [row[0] for row in day.rows(day.sessions)] == ["u1", "u2"]
    assert day.is_extracted()


def test_a_receipt_of_other_files_is_withdrawn_before_the_tables_change(day, monkeypatch):
    land_complete(day.folder, a__jsonl=jsonl(event(user="u1")))
    day.extract()
    (day.folder / "a.jsonl").rename(day.root / "kept.jsonl")
    land(day.folder, b__jsonl=jsonl(event(user="u2")))

    def overwrite_and_die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(TablePartition, "overwrite_with", overwrite_and_die)
    with pytest.raises(KeyboardInterrupt):
        day.extract()
    # Else the receipt would count again for tables that may hold the second delivery.
    (day.folder / "b.jsonl").unlink()
    (day.root / "kept.jsonl").rename(day.folder / "a.jsonl")
    assert not day.is_extracted()


def test_a_day_that_is_extracted_again_keeps_its_receipt_meanwhile_and_if_its_success_is_gone(day):
    land_complete(day.folder, a__jsonl=jsonl(event()))
    day.extract()
    (day.folder / "_SUCCESS").unlink()
    with pytest.raises(DayNotCompleteError):
        day.extract()
    assert day.is_extracted()


def test_complete_days_of_the_window_without_a_receipt_of_their_files_are_extracted_too(spark, tmp_path):
    names = ("2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05")
    before, changed, current, incomplete, day = (Day(spark, tmp_path, ds) for ds in names)
    for one in (before, changed, current, incomplete, day):
        land_complete(one.folder, a__jsonl=jsonl(event(user=f"of {one.ds}")))
    for one in (changed, current):
        one.extract()
    land(changed.folder, b__jsonl=jsonl(event(user="corrected")))
    written = current.receipt.stat().st_mtime_ns
    (incomplete.folder / "_SUCCESS").unlink()

    day.extract(lookback_days=4)
    assert day.is_extracted()
    assert changed.is_extracted()
    assert [row[0] for row in changed.rows(changed.sessions)] == ["corrected", "of 2026-03-02"]
    assert current.receipt.stat().st_mtime_ns == written  # not extracted again
    assert not incomplete.is_extracted()  # its night waits for _SUCCESS
    assert not before.is_extracted()  # outside of the window


@pytest.mark.parametrize("other_has_finished", [True, False])
def test_a_day_of_the_window_that_another_job_extracts_meanwhile_is_left_to_it(
    spark, tmp_path, monkeypatch, other_has_finished
):
    earlier, later = (Day(spark, tmp_path, ds) for ds in ("2026-04-01", "2026-04-02"))
    for one in (earlier, later):
        land_complete(one.folder, a__jsonl=jsonl(event()))
    overwrite = TablePartition.overwrite_with

    def lose_the_earlier_day(partition, *arguments):
        if partition.ds != earlier.ds:
            return overwrite(partition, *arguments)
        monkeypatch.undo()
        if other_has_finished:
            earlier.extract()
        raise PartitionChangedError("another job wrote it")

    monkeypatch.setattr(TablePartition, "overwrite_with", lose_the_earlier_day)
    if other_has_finished:
        later.extract(lookback_days=2)
    else:
        with pytest.raises(PartitionChangedError):
            later.extract(lookback_days=2)
    assert later.is_extracted()
    assert earlier.is_extracted() == other_has_finished


def test_a_day_with_far_fewer_rows_than_the_last_seven_is_refused_until_a_person_releases_it(spark, tmp_path):
    for table in ("extraction_counts", "volume_releases"):
        spark.sql(f"DROP TABLE IF EXISTS lake.risk.{table}")
    ensure_tables(spark)
    week = [Day(spark, tmp_path, f"2026-06-0{day}") for day in range(1, 8)]
    columns = (
        "landed BIGINT, accepted BIGINT, duplicates BIGINT, not_installs BIGINT, rejected BIGINT, files INT"
    )
    for one in week:
        one.counts.overwrite_with(spark.createDataFrame([(1_000, 1_000, 0, 0, 0, 1)], columns))
    day = Day(spark, tmp_path, "2026-06-08")
    land_complete(day.folder, a__jsonl=jsonl(event()))
    limits = {"lowest_volume": 0.5, "highest_volume": 2.0}
    with pytest.raises(
        UnusualVolumeError, match="1 events, expected 50% to 200% of 1,000, the median of the 7"
    ):
        day.extract(**limits)
    assert not day.is_extracted()
    assert day.rows(day.sessions) == []
    day.extract(**limits, released_by="Ada", release_reason="a holiday")
    assert day.is_extracted()
    (release,) = spark.table("lake.risk.volume_releases").collect()
    assert (release.ds, release.what, release.released_by) == (day.ds, "events", "Ada")


def test_an_extraction_that_was_frozen_does_not_replace_a_later_one(day, monkeypatch):
    land_complete(day.folder, a__jsonl=jsonl(event("older")))

    def extract_again_meanwhile(*arguments):
        monkeypatch.undo()
        check_unchanged(*arguments)
        (day.folder / "a.jsonl").write_text(jsonl(event("newer")))
        day.extract()

    monkeypatch.setattr("jobs.extract_sessions.check_unchanged", extract_again_meanwhile)
    with pytest.raises(PartitionChangedError, match=r"ds=2026-01-31 was written by another job"):
        day.extract()
    assert [user for user, *_ in day.rows(day.sessions)] == ["newer"]
