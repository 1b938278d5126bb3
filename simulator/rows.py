"""Rows of text from events, in the several ways in which phones write the same event.

In   events that land on one day
Out  columns of text: "u0000012", "com.calmotter.lab", "2026-01-01T00:00:00.123Z" or 1767225600123, "install"
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.apps import AppCatalogue
from simulator.events import EVENT_TYPES, INSTALL, Events

EPOCH_SHARE = 0.3  # of events whose time is in epoch milliseconds; the others are ISO 8601
LOCAL_ZONE_SHARE = 0.2  # of events whose time is in the zone below; the others are in UTC
LOCAL_ZONE = "+05:30"  # with half an hour, which a parser of whole hours would read wrong
LOCAL_ZONE_MS = (5 * 60 + 30) * 60_000
TYPE_LEFT_OUT_SHARE = 0.1  # of installs, since "install" is the default type


class Row(NamedTuple):
    """One row to be written. None leaves a field out; epoch milliseconds are an int."""

    user_id: str | None
    app_id: str | None
    event_time: str | int | None
    event_type: str | None


def user_id(user: int) -> str:
    """Make the id of a user from its number over all chunks."""
    return f"u{user:07d}"


def make_rows(
    events: Events, first_user: int, catalogue: AppCatalogue, rng: np.random.Generator
) -> list[Row]:
    """Write `events` as rows, one each, in the same order."""
    default_type = (events.kind == INSTALL) & (rng.random(len(events.kind)) < TYPE_LEFT_OUT_SHARE)
    types = np.array(EVENT_TYPES, dtype=object)[events.kind]
    types[default_type] = None
    apps = catalogue.app_ids[events.app].tolist()
    users = [user_id(user) for user in (events.user + first_user).tolist()]
    return list(map(Row, users, apps, _write_times(events.time_ms, rng), types.tolist()))


def _write_times(time_ms: NDArray[np.int64], rng: np.random.Generator) -> list[str | int]:
    way = rng.random(len(time_ms))
    epoch = way < EPOCH_SHARE
    local = ~epoch & (way < EPOCH_SHARE + LOCAL_ZONE_SHARE)
    clock = np.datetime_as_string((time_ms + local * LOCAL_ZONE_MS).astype("datetime64[ms]"))
    zoned = np.char.add(clock, np.where(local, LOCAL_ZONE, "Z"))
    times: list[str | int] = np.where(epoch, time_ms.astype(object), zoned.astype(object)).tolist()
    return times
