"""A label sees what was known of its user at the time, and nothing else."""

from datetime import UTC, date

from jobs.lake.labelled_sequences import build_examples
from tests.made_up.schemas import LABELS, SESSIONS
from tests.made_up.sessions import at, session


def examples_of(spark, sessions, labels, lookback_days=365, max_sequence_length=128, history=()):
    """(user_id, as_of's day) -> app_ids"""
    built = build_examples(
        spark.createDataFrame(sessions, SESSIONS),
        spark.createDataFrame([(user, label, at(as_of)) for user, label, as_of in labels], LABELS),
        lookback_days,
        max_sequence_length,
        [date(2026, 1, day) for day in history],
    )
    return {(row.user_id, row.as_of.astimezone(UTC).day): row.app_ids for row in built.collect()}


def test_an_install_at_as_of_is_in_the_future_and_one_before_is_not(spark):
    sessions = [session("u1", 20, ("20 09:59", "before"), ("20 10:00", "at"), ("20 10:01", "after"))]
    assert examples_of(spark, sessions, [("u1", 1, "20 10:00")]) == {("u1", 20): ["before"]}


def test_what_landed_after_the_day_of_as_of_is_unknown_though_it_happened_before(spark):
    sessions = [
        session("u1", 20, ("19 08:00", "landed on the day")),
        session("u1", 21, ("19 09:00", "landed the day after")),
    ]
    assert examples_of(spark, sessions, [("u1", 1, "20 10:00")]) == {("u1", 20): ["landed on the day"]}


def test_landing_days_before_the_look_back_are_not_read(spark):
    sessions = [session("u1", day, (f"{day} 08:00", f"of the {day}th")) for day in (17, 18, 19)]
    examples = examples_of(spark, sessions, [("u1", 1, "20 10:00")], lookback_days=3)
    assert examples == {("u1", 20): ["of the 18th", "of the 19th"]}


def test_two_labels_of_a_user_are_two_examples_each_with_the_installs_of_its_time(spark):
    sessions = [session("u1", 18, ("18 08:00", "a")), session("u1", 20, ("20 08:00", "b"))]
    examples = examples_of(spark, sessions, [("u1", 0, "19 00:00"), ("u1", 1, "21 00:00")])
    assert examples == {("u1", 19): ["a"], ("u1", 21): ["a", "b"]}


def test_an_example_keeps_the_last_installs_each_once(spark):
    sessions = [
        session("u1", 18, ("18 08:00", "a"), ("18 09:00", "b"), ("18 09:30", "c")),
        session("u1", 19, ("18 09:30", "c")),
    ]
    examples = examples_of(spark, sessions, [("u1", 1, "20 00:00")], max_sequence_length=2)
    assert examples == {("u1", 20): ["b", "c"]}


def test_users_without_a_known_install_or_without_a_label_make_no_example(spark):
    sessions = [session("no label", 18, ("18 08:00", "a")), session("u1", 18, ("18 08:00", "a"))]
    assert examples_of(spark, sessions, [("u1", 1, "17 00:00"), ("unseen", 0, "20 00:00")]) == {}


def test_of_a_history_day_is_known_what_had_happened_though_it_landed_later(spark):
    sessions = [
        session("u1", 31, ("19 08:00", "before"), ("20 10:00", "at"), ("25 08:00", "after")),
        session("u1", 30, ("19 09:00", "landed later, and no history")),
    ]
    assert examples_of(spark, sessions, [("u1", 1, "20 10:00")], history=[31]) == {("u1", 20): ["before"]}


def test_a_history_day_before_the_look_back_is_not_read(spark):
    sessions = [
        session("u1", 17, ("17 08:00", "of the 17th")),
        session("u1", 19, ("19 08:00", "of the 19th")),
    ]
    examples = examples_of(spark, sessions, [("u1", 1, "20 10:00")], lookback_days=3, history=[17])
    assert examples == {("u1", 20): ["of the 19th"]}
