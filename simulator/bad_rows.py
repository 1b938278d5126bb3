"""Rows that the pipeline must reject, each with one flaw; they are added to the good rows and replace none.

In   a good row   ("u0000012", "com.calmotter.lab", "2026-01-01T00:00:00.123Z", "install")
Out  a bad one    ("u0000012", "com.calmotter.lab", "yesterday", "install"), "invalid_event_time"

The reasons have the pipeline's own names.
"""

from collections.abc import Callable, Sequence

import numpy as np

from simulator.rows import Row

# Not a flaw of a row but of its text: each file format breaks it in its own way.
UNPARSEABLE = "unparseable"

LONGEST_USER_ID = 128  # characters, by the input contract
LONGEST_APP_ID = 255

Flaw = Callable[[Row, np.random.Generator], Row]


def _leave_a_field_out(row: Row, rng: np.random.Generator) -> Row:
    return row._replace(**{str(rng.choice(["user_id", "app_id", "event_time"])): None})


def _spoil_the_time(row: Row, rng: np.random.Generator) -> Row:
    # Not a time; no such day; no zone.
    spoilt = rng.choice(["yesterday", "2026-02-30T10:00:00Z", "2026-01-01T10:00:00"])
    return row._replace(event_time=str(spoilt))


def _move_the_clock(row: Row, rng: np.random.Generator) -> Row:
    # Seconds where milliseconds should be, which is a day in January 1970; a clock two centuries ahead.
    return row._replace(event_time=1_767_225_600 if rng.random() < 0.5 else "2199-12-31T00:00:00Z")


def _add_a_control_character(row: Row, rng: np.random.Generator) -> Row:
    return row._replace(app_id=str(row.app_id).replace(".", str(rng.choice(["\x07", "\x1b", "\t"]))))


def _lengthen(row: Row, rng: np.random.Generator) -> Row:
    if rng.random() < 0.5:
        return row._replace(user_id=str(row.user_id).ljust(LONGEST_USER_ID + 1, "9"))
    return row._replace(app_id=str(row.app_id).ljust(LONGEST_APP_ID + 1, "x"))


def _invent_a_type(row: Row, rng: np.random.Generator) -> Row:
    return row._replace(event_type=str(rng.choice(["reinstall", "INSTALLED", "1"])))


FLAWS: dict[str, Flaw] = {
    "missing_field": _leave_a_field_out,
    "invalid_event_time": _spoil_the_time,
    "time_out_of_range": _move_the_clock,
    "control_characters": _add_a_control_character,
    "too_long": _lengthen,
    "unknown_event_type": _invent_a_type,
}


def spoil(
    rows: Sequence[Row], share: float, reasons: Sequence[str], rng: np.random.Generator
) -> list[tuple[Row, str]]:
    """Make bad copies of about `share` of `rows`, for each of `reasons` in turn; add each copy's reason."""
    if not rows:
        return []
    count = int(share * len(rows) + rng.random())
    first = int(rng.integers(len(reasons)))  # so that short days do not all have the same reasons
    chosen = [reasons[(first + n) % len(reasons)] for n in range(count)]
    originals = [rows[index] for index in rng.integers(0, len(rows), count).tolist()]
    return [
        (FLAWS[reason](row, rng) if reason in FLAWS else row, reason)
        for row, reason in zip(originals, chosen, strict=True)
    ]
