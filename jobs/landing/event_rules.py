"""The rules that a landed event must meet.

In   rows of text from `read_rows`   readable true, user_id "u1", app_id "maps", event_time "1769853600000"
Out  the same rows with event_time a timestamp, event_type filled in, and `reason`: null for a good row,
     else one of

    unparseable, missing_field, too_long, control_characters, space_around_id, unknown_event_type,
    invalid_event_time, time_out_of_range

A row with several flaws has the first of their reasons in that order.
"""

from datetime import UTC, date, datetime, time, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.landing.event_time import EARLIEST_EVENT, parse_event_time
from jobs.landing.files import Fields

FIELDS = Fields(
    required=("user_id", "app_id", "event_time"), optional=("event_type",), ids=("user_id", "app_id")
)
INSTALL = "install"
EVENT_TYPES = (INSTALL, "update", "uninstall")
LONGEST_USER_ID = 128  # characters
LONGEST_APP_ID = 255  # characters
# Line and paragraph separators too: app ids become lines of a model's vocabulary file. And what is not seen:
# format characters (zero width, direction of writing) and letters without a picture. With them, two ids that
# look the same differ.
CONTROL_CHARACTERS = (
    r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u034F\u115F\u1160\u17B4\u17B5\u180B-\u180F\u2800\u3164\uFFA0]"
)
# One emoji made of several, such as a woman and a rocket, has a format character between each two.
JOINED_EMOJI = r"(\p{So}[\uFE0F\x{1F3FB}-\x{1F3FF}]?)\u200D(?=\p{So})"
NOT_BLANK = r"[^\s\p{Z}\p{M}]"  # a mark belongs to the character before it
SPACE_AROUND = r"^[\s\p{Z}]|[\s\p{Z}]$"
MAX_BAD_SHARE = 0.05  # of a landing day's rows
LONGEST_AHEAD = timedelta(hours=24)  # after the landing day's end: the clocks of some phones are ahead


def judge_events(rows: DataFrame, ds: date) -> DataFrame:
    """Give every row of landing day `ds` its event time, its event type, and a reason if it is bad.

    Returns:
        file, raw (null for a good row), user_id, app_id, event_time, event_type, reason.
    """
    event_type = F.coalesce(F.nullif("event_type", F.lit("")), F.lit(INSTALL))
    read = rows.withColumn("instant", parse_event_time(F.col("event_time"))).withColumn(
        "event_type", event_type
    )
    judged = read.withColumn("reason", first_flaw(latest_event(ds)))
    return judged.select(
        "file",
        F.when(F.col("reason").isNotNull(), F.col("raw")).alias("raw"),
        "user_id",
        "app_id",
        F.col("instant").alias("event_time"),
        "event_type",
        "reason",
    )


def latest_event(ds: date) -> datetime:
    """The latest time allowed for an event that lands on `ds`."""
    end_of_day = datetime.combine(ds + timedelta(days=1), time.min, tzinfo=UTC)
    return end_of_day + LONGEST_AHEAD


def first_flaw(latest: datetime) -> Column:
    """Name the first rule that a row breaks; null if it breaks none."""
    too_long = (F.char_length("user_id") > LONGEST_USER_ID) | (F.char_length("app_id") > LONGEST_APP_ID)
    has_control_character = holds_control_character("user_id") | holds_control_character("app_id")
    has_space_around = F.col("user_id").rlike(SPACE_AROUND) | F.col("app_id").rlike(SPACE_AROUND)
    out_of_range = (F.col("instant") < F.lit(EARLIEST_EVENT)) | (F.col("instant") > F.lit(latest))
    return (
        F.when(~F.col("readable"), "unparseable")
        .when(is_missing("user_id") | is_missing("app_id") | is_missing("event_time"), "missing_field")
        .when(too_long, "too_long")
        .when(has_control_character, "control_characters")
        .when(has_space_around, "space_around_id")
        .when(~F.col("event_type").isin(*EVENT_TYPES), "unknown_event_type")
        .when(F.col("instant").isNull(), "invalid_event_time")
        .when(out_of_range, "time_out_of_range")
    )


def is_missing(name: str) -> Column:
    return F.col(name).isNull() | ~F.col(name).rlike(NOT_BLANK)


def holds_control_character(name: str) -> Column:
    """Whether an id holds a character that is not seen, other than one that joins emoji."""
    return F.regexp_replace(name, JOINED_EMOJI, "$1").rlike(CONTROL_CHARACTERS)
