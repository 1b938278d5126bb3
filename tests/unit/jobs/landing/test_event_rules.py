"""Each rule and its limits. One read covers all cases: a row's user_id or app_id names its case."""

from datetime import UTC, date, datetime

from jobs.landing.event_rules import FIELDS, judge_events, latest_event
from jobs.landing.event_time import parse_event_time

DAY = date(2026, 1, 31)
TEN = "2026-01-31T10:00:00Z"
SCHEMA = "file STRING, raw STRING, readable BOOLEAN, " + ", ".join(f"{name} STRING" for name in FIELDS.names)


def reasons(spark, *rows):
    """The reason of each row of (user_id, app_id, event_time, event_type)."""
    landed = [("f", str(number), True, *row) for number, row in enumerate(rows)]
    judged = judge_events(spark.createDataFrame(landed, SCHEMA), DAY).select("reason").collect()
    return [row.reason for row in judged]


def test_good_rows_have_no_reason(spark):
    good = [
        ("u1", "maps", TEN, None),
        ("u1", "maps", TEN, ""),  # no type is an install
        ("u1", "maps", TEN, "install"),
        ("u1", "maps", TEN, "update"),
        ("u1", "maps", TEN, "uninstall"),
        ("ü" * 128, "x" * 255, TEN, None),  # characters, not bytes
        ("u 1", "a b", "1769853600000", None),  # white space within an id is part of it
        ("../../u1", "a=b", TEN, None),
        ("\U0001f600", "حاسبة", TEN, None),
        # Emoji of several: a woman and a rocket, a family of three, a flag and a rainbow, an astronaut with a
        # colour of skin, a heart on fire, a key with the digit 1.
        ("\U0001f469\u200d\U0001f680", "\U0001f468\u200d\U0001f469\u200d\U0001f467 chat", TEN, None),
        ("\U0001f3f3\ufe0f\u200d\U0001f308", "\U0001f469\U0001f3fd\u200d\U0001f680", TEN, None),
        ("\u2764\ufe0f\u200d\U0001f525", "1\ufe0f\u20e3", TEN, None),
        ("e\u0301", "\u00e9", TEN, None),  # two ways to write é: two ids
        ("u1", "maps", "1971-01-01T00:00:00Z", None),
        ("u1", "maps", "2026-02-02T00:00:00Z", None),  # 24 h after the day's end
    ]
    assert reasons(spark, *good) == [None] * len(good)


def test_every_flaw_has_its_reason(spark):
    cases = [
        (("", "maps", TEN, None), "missing_field"),
        (("u1", None, TEN, None), "missing_field"),
        (("u1", "maps", "", None), "missing_field"),
        (("  ", "maps", TEN, None), "missing_field"),
        (("u1", "\u3000\t\xa0", TEN, None), "missing_field"),  # white space of other scripts
        (("u1", "maps", " ", None), "missing_field"),
        (("\u0301", "maps", TEN, None), "missing_field"),  # an accent without a letter
        (("u" * 129, "maps", TEN, None), "too_long"),
        (("u1", "x" * 256, TEN, None), "too_long"),
        (("u\x00", "maps", TEN, None), "control_characters"),
        (("u1", "ma\nps", TEN, None), "control_characters"),
        (("u1", "maps\x7f", TEN, None), "control_characters"),
        (("u1", "maps\u0085", TEN, None), "control_characters"),
        (("u1", "maps\u2028", TEN, None), "control_characters"),  # a line break to some readers
        (("\u200bu1", "maps", TEN, None), "control_characters"),  # zero width
        (("u1", "\u202espam", TEN, None), "control_characters"),  # direction of writing
        (("u1", "maps\ufeff", TEN, None), "control_characters"),  # byte order mark
        (
            ("\u3164", "maps", TEN, None),
            "control_characters",
        ),  # the Hangul filler, a letter without a picture
        (("u1", "ma\u2800ps", TEN, None), "control_characters"),  # a Braille pattern without dots
        (("u\u200d1", "maps", TEN, None), "control_characters"),  # a joiner of letters
        (("u1", "\U0001f469\u200d", TEN, None), "control_characters"),  # a joiner of nothing
        (("u1", "\u200d\U0001f680", TEN, None), "control_characters"),
        (("u1", "\U0001f469\u200d\u200d\U0001f680", TEN, None), "control_characters"),
        ((" u1", "maps", TEN, None), "space_around_id"),
        (("u1", "maps ", TEN, None), "space_around_id"),
        (("u1\xa0", "maps", TEN, None), "space_around_id"),
        (("u1", "\u3000maps", TEN, None), "space_around_id"),
        (("u1", "maps", TEN, "Install"), "unknown_event_type"),
        (("u1", "maps", "yesterday", None), "invalid_event_time"),
        (("u1", "maps", "1970-12-31T23:59:59.999Z", None), "time_out_of_range"),
        (("u1", "maps", "1769853600", None), "time_out_of_range"),  # seconds instead of milliseconds
        (("u1", "maps", "1769853600000000", None), "time_out_of_range"),  # microseconds
        (("u1", "maps", "9" * 40, None), "time_out_of_range"),
        (("u1", "maps", "0", None), "time_out_of_range"),
        (("u1", "maps", "-1", None), "time_out_of_range"),
        (("u1", "maps", "9223372036854775807", None), "time_out_of_range"),  # largest integer: "never"
        (("u1", "maps", "-9223372036854775808", None), "time_out_of_range"),
        (("u1", "maps", "9.223372036854776e+18", None), "time_out_of_range"),
        (("u1", "maps", "1.7976931348623157E308", None), "time_out_of_range"),
        (("u1", "maps", "9223372036854775807.0", None), "time_out_of_range"),
        (("u1", "maps", "9999-12-31T23:59:59Z", None), "time_out_of_range"),
        (("u1", "maps", "+292278994-08-17T07:12:55.807Z", None), "time_out_of_range"),
        (("u1", "maps", "NaN", None), "invalid_event_time"),
        (("u1", "maps", "2026-02-02T00:00:00.001Z", None), "time_out_of_range"),
    ]
    assert reasons(spark, *(row for row, _ in cases)) == [reason for _, reason in cases]


def test_an_unreadable_row_is_unparseable_whatever_its_fields_say(spark):
    landed = spark.createDataFrame([("f", "u1,maps", False, "u1", "maps", None, None)], SCHEMA)
    assert [row.reason for row in judge_events(landed, DAY).collect()] == ["unparseable"]


def test_only_bad_rows_keep_their_raw_text(spark):
    rows = [("f", "good", True, "u1", "maps", TEN, None), ("f", "bad", True, "u1", "maps", "noon", None)]
    assert [row.raw for row in judge_events(spark.createDataFrame(rows, SCHEMA), DAY).collect()] == [
        None,
        "bad",
    ]


def test_an_event_may_be_24_hours_past_the_end_of_its_landing_day():
    assert latest_event(date(2003, 2, 28)) == datetime(2003, 3, 2, tzinfo=UTC)


def test_times_are_iso_8601_with_zone_or_epoch_milliseconds(spark):
    ten = datetime(2026, 1, 31, 10, tzinfo=UTC)
    expected = {
        "2026-01-31T10:00:00Z": ten,
        "2026-01-31 10:00:00Z": ten,
        "2026-01-31T15:30:00+05:30": ten,
        "2026-01-31T15:30:00+0530": ten,
        "2026-01-31T00:00:00-10": ten,
        "2026-01-31T10:00:00.5Z": ten.replace(microsecond=500_000),
        "2026-01-31T10:00:00.123456789Z": ten.replace(microsecond=123_456),
        "1769853600123": ten.replace(microsecond=123_000),
        "1769853600000.0": ten,
        "2026-01-31T10:00:00": None,  # no zone
        "2026-01-31": None,
        "2026-01-31T10:00Z": None,  # no seconds
        "2026-02-30T10:00:00Z": None,
        "2026-01-31T24:00:00Z": None,
        "2026-01-31T10:00:00+25:00": None,
        "1769853600.5": None,
        "1.7e12": None,
        "": None,
    }
    frame = spark.createDataFrame([(text,) for text in expected], "text STRING")
    rows = frame.select("text", parse_event_time(frame.text).alias("time")).collect()
    assert {row.text: row.time and row.time.astimezone(UTC) for row in rows} == expected
