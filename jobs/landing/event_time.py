"""Parse the text of a time into an instant.

In   "2026-01-31T10:00:00.5+02:00"  or  "1769853600500", milliseconds since 1970-01-01 UTC
Out  2026-01-31 08:00:00.5 UTC; null for anything else, such as "2026-01-31T10:00:00", which names no instant
"""

from datetime import UTC, datetime

from pyspark.sql import Column
from pyspark.sql import functions as F

ISO_8601 = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}(:?\d{2})?)$"
MILLISECONDS = r"^-?\d+(\.0+)?$"  # pandas writes integers with gaps as 1769853600000.0
# Well written times far ahead are time_out_of_range and not invalid_event_time: a time in
# microseconds, or the largest integer or float as a mark for "never".
SCIENTIFIC = r"^-?\d+(\.\d+)?[eE]\+?\d+$"
LONG_YEAR = r"^[+-]?\d{5,9}-\d{2}-\d{2}[T ]"
MOST_DIGITS = 15
FAR_FUTURE_MILLISECONDS = 10**MOST_DIGITS
# Seconds that are read as milliseconds all lie in 1970.
EARLIEST_EVENT = datetime(1971, 1, 1, tzinfo=UTC)


def parse_event_time(text: Column) -> Column:
    """Parse ISO 8601 with seconds and zone, or whole milliseconds since 1970; microseconds are kept."""
    whole = F.substring_index(text, ".", 1)
    milliseconds = F.when(F.length(whole) <= MOST_DIGITS, whole.try_cast("bigint"))
    far_future = F.timestamp_millis(F.lit(FAR_FUTURE_MILLISECONDS))
    is_large = F.abs(text.try_cast("double")) >= FAR_FUTURE_MILLISECONDS
    return (
        F.when(text.rlike(MILLISECONDS), F.coalesce(F.timestamp_millis(milliseconds), far_future))
        .when(text.rlike(ISO_8601), text.try_cast("timestamp"))
        .when((text.rlike(SCIENTIFIC) & is_large) | text.rlike(LONG_YEAR), far_future)
    )
