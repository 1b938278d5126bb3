"""Each user's last installs."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.build_sequences import build_sequences, main
from jobs.lake.branches import PartitionChangedError
from jobs.lake.receipts import MissingExtractionError
from jobs.lake.tables import TablePartition, ensure_tables
from tests.made_up.landing_day import land, uri, write_receipts
from tests.made_up.schemas import SESSIONS

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


def session(user, landing_day, *installs):
    """A session that landed on a day of January 2026: (minute since the year began, app), in order."""
    times = [MIDNIGHT + timedelta(minutes=minute) for minute, _ in installs]
    apps = [app for _, app in installs]
    return (user, 0, times[0], times[-1], apps, times, date(2026, 1, landing_day))


def sequences_of(spark, sessions, max_sequence_length=128):
    """user_id -> [(minute, app), …]"""
    built = build_sequences(spark.createDataFrame(sessions, SESSIONS), max_sequence_length).collect()
    assert all(row.sequence_length == len(row.app_ids) == len(row.event_times) for row in built)
    assert len({row.user_id for row in built}) == len(built)
    return {
        row.user_id: [
            (minutes_since_midnight(time), app)
            for time, app in zip(row.event_times, row.app_ids, strict=True)
        ]
        for row in built
    }


def minutes_since_midnight(time):
    return round((time.astimezone(UTC) - MIDNIGHT).total_seconds() / 60)


def test_installs_are_ordered_by_time_then_app_whatever_day_they_landed(spark):
    sessions = [session("u1", 2, (30, "z"), (40, "b")), session("u1", 3, (10, "late"), (40, "a"))]
    assert sequences_of(spark, sessions) == {"u1": [(10, "late"), (30, "z"), (40, "a"), (40, "b")]}


def test_only_the_last_installs_are_kept_in_order_of_time(spark):
    sessions = [session("u1", 1, (1, "a"), (2, "b"), (3, "c")), session("u2", 1, (1, "a"))]
    assert sequences_of(spark, sessions, max_sequence_length=2) == {
        "u1": [(2, "b"), (3, "c")],
        "u2": [(1, "a")],
    }


def test_an_install_that_landed_on_two_days_counts_once_before_the_last_are_kept(spark):
    sessions = [session("u1", 1, (1, "a"), (2, "b")), session("u1", 2, (2, "b"))]
    assert sequences_of(spark, sessions, max_sequence_length=2) == {"u1": [(1, "a"), (2, "b")]}


def test_of_many_sessions_only_the_kept_installs_become_an_array(spark):
    # Ten days of 2,000 installs each, delivered twice.
    sessions = [session("bot", day, *[(2000 * day + n, "a") for n in range(2000)]) for day in range(1, 11)]
    copies = [session("bot", day + 10, *[(2000 * day + n, "a") for n in range(2000)]) for day in range(1, 11)]
    (kept,) = sequences_of(spark, sessions + copies, max_sequence_length=2500).values()
    assert kept == [(22_000 - 2500 + n, "a") for n in range(2500)]


def test_the_same_app_at_two_times_counts_twice(spark):
    assert sequences_of(spark, [session("u1", 1, (1, "a"), (9, "a"))]) == {"u1": [(1, "a"), (9, "a")]}


INSTALL = st.tuples(st.integers(0, 15), st.sampled_from("abc"))
SESSION = st.tuples(
    st.sampled_from(["u1", "u2", "u3"]),
    st.integers(1, 31),
    st.lists(INSTALL, min_size=1, max_size=8).map(sorted),
)


def sequences_by_plain_loop(sessions, max_sequence_length):
    installs = {}
    for user, _, session_installs in sessions:
        installs.setdefault(user, set()).update(session_installs)
    return {user: sorted(of_user)[-max_sequence_length:] for user, of_user in installs.items()}


@settings(max_examples=12, deadline=None)
@given(st.lists(SESSION, max_size=30), st.integers(1, 12))
def test_sequences_are_those_of_a_plain_loop(spark, sessions, max_sequence_length):
    rows = [session(user, day, *installs) for user, day, installs in sessions]
    built = sequences_of(spark, rows, max_sequence_length)
    assert built == sequences_by_plain_loop(sessions, max_sequence_length)


def test_the_job_looks_back_over_extracted_days_only_and_names_the_others(spark, tmp_path):
    ensure_tables(spark)
    for day in (10, 11, 12):
        land(tmp_path / "landing" / f"ds=2026-01-{day}")
        landed = spark.createDataFrame([session(f"u{day}", day, (day, "a"))], SESSIONS)
        TablePartition("risk.install_sessions", date(2026, 1, day)).overwrite_with(landed)
    write_receipts(tmp_path, "2026-01-11", "2026-01-12")
    sequences = TablePartition.parse("risk.user_sequences/ds=2026-01-12")
    roots = uri(tmp_path / "landing"), uri(tmp_path / "receipts")

    with pytest.raises(MissingExtractionError, match=": 2026-01-10; run"):
        main("risk.install_sessions", sequences, *roots, lookback_days=3)

    # With two days back, the 12th included, the window is the 11th and the 12th; the 10th is not read.
    main("risk.install_sessions", sequences, *roots, lookback_days=2)
    assert sorted(row.user_id for row in sequences.read(spark).collect()) == ["u11", "u12"]


def write_when_receipts_are_checked(monkeypatch, write):
    """Let another job write at the moment at which this one looks at the receipts."""
    monkeypatch.setattr("jobs.build_sequences.require_receipts", lambda *_: write())


def test_what_is_extracted_until_the_check_of_the_receipts_is_read(spark, tmp_path, monkeypatch):
    ensure_tables(spark)
    extraction = spark.newSession()  # each session has a catalog and so a cache of its own
    day = TablePartition("risk.install_sessions", date(2026, 2, 1))
    rows = extraction.createDataFrame([session("late", 1, (1, "a"))], SESSIONS)
    write_when_receipts_are_checked(monkeypatch, lambda: day.overwrite_with(rows))
    sequences = TablePartition("risk.user_sequences", day.ds)
    main("risk.install_sessions", sequences, uri(tmp_path), uri(tmp_path), lookback_days=1)
    assert [row.user_id for row in sequences.read(spark).collect()] == ["late"]


def test_a_frozen_job_does_not_replace_what_a_later_one_has_written(spark, tmp_path, monkeypatch):
    ensure_tables(spark)
    later = spark.newSession()
    sequences = TablePartition("risk.user_sequences", date(2026, 2, 2))
    columns = "user_id STRING, app_ids ARRAY<STRING>, event_times ARRAY<TIMESTAMP>, sequence_length INT"
    newer = later.createDataFrame([("newer", ["a"], [], 1)], columns)
    write_when_receipts_are_checked(monkeypatch, lambda: sequences.overwrite_with(newer))
    with pytest.raises(PartitionChangedError, match=r"user_sequences/ds=2026-02-02 was written by another"):
        main("risk.install_sessions", sequences, uri(tmp_path), uri(tmp_path), lookback_days=1)
    spark.catalog.refreshTable("lake.risk.user_sequences")
    assert [row.user_id for row in sequences.read(spark).collect()] == ["newer"]
