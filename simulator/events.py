"""Events that phones report: installs, updates and uninstalls, some of them days late or twice.

In   installs, true times
Out  a row per event: user 12, app 804, time_ms 1767225600123, kind 0, landing_day 20454, repeat False
"""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from simulator.behaviour import MS_PER_DAY, Installs

# The index is an event's kind.
EVENT_TYPES = ("install", "update", "uninstall")
INSTALL, UPDATE, UNINSTALL = range(len(EVENT_TYPES))

UPDATE_SHARE = 0.2  # of installs that are updated once
UPDATE_AFTER_DAYS = 20.0  # mean
UNINSTALL_SHARE = 0.1
UNINSTALL_AFTER_DAYS = 30.0  # mean

LATE_SHARE = 0.05  # of events that arrive a day or more after they happened
LATE_DAYS = 4.0  # mean, beyond the first
REPEAT_SHARE = 0.01  # of events that a phone sends twice
REPEAT_LATER_SHARE = 0.3  # of repeats that are sent on a later day
REPEAT_LATER_DAYS = 3  # at most


@dataclass(frozen=True)
class Events:
    """Reported events; every array is `(events,)`. Days are counted from 1970-01-01, UTC."""

    user: NDArray[np.int64]
    app: NDArray[np.int64]
    time_ms: NDArray[np.int64]
    kind: NDArray[np.int64]  # index in EVENT_TYPES
    landing_day: NDArray[np.int64]
    # Landed after the day on which it happened, the first day's backlog left out.
    late: NDArray[np.bool_]
    repeat: NDArray[np.bool_]  # an exact copy of an event that lands on this day or before

    def where(self, chosen: NDArray[np.bool_]) -> "Events":
        """Keep the chosen events."""
        return Events(*(getattr(self, field.name)[chosen] for field in fields(self)))


def report(installs: Installs, first_day: int, days: int, rng: np.random.Generator) -> Events:
    """Report all events that land on `days` days from `first_day` on.

    The first day brings the whole backlog. Events that land after the last day are left out.
    """
    happened = _with_updates_and_uninstalls(installs, rng)
    events = _with_repeats(_land(happened, first_day, rng), rng)
    end_day = first_day + days
    return events.where((events.landing_day < end_day) & (events.time_ms < end_day * MS_PER_DAY))


def _with_updates_and_uninstalls(installs: Installs, rng: np.random.Generator) -> Events:
    happened = [_events(installs, INSTALL)]
    for kind, share, mean_days in (
        (UPDATE, UPDATE_SHARE, UPDATE_AFTER_DAYS),
        (UNINSTALL, UNINSTALL_SHARE, UNINSTALL_AFTER_DAYS),
    ):
        events = _events(installs.where(rng.random(len(installs.user)) < share), kind)
        wait_ms = (rng.exponential(mean_days, len(events.user)) * MS_PER_DAY).astype(np.int64)
        happened.append(replace(events, time_ms=events.time_ms + wait_ms))
    return _concatenate(*happened)


def _events(installs: Installs, kind: int) -> Events:
    """Events of one kind at the times of `installs`, landing at once."""
    count = len(installs.user)
    return Events(
        user=installs.user,
        app=installs.app,
        time_ms=installs.time_ms,
        kind=np.full(count, kind),
        landing_day=np.zeros(count, dtype=np.int64),
        late=np.zeros(count, dtype=bool),
        repeat=np.zeros(count, dtype=bool),
    )


def _land(events: Events, first_day: int, rng: np.random.Generator) -> Events:
    delayed = rng.random(len(events.user)) < LATE_SHARE
    delay_days = delayed * (1 + rng.exponential(LATE_DAYS, len(delayed)).astype(np.int64))
    on_time_day = np.maximum(events.time_ms // MS_PER_DAY, first_day)
    landing_day = np.maximum(events.time_ms // MS_PER_DAY + delay_days, first_day)
    return replace(events, landing_day=landing_day, late=landing_day > on_time_day)


def _with_repeats(events: Events, rng: np.random.Generator) -> Events:
    again = events.where(rng.random(len(events.user)) < REPEAT_SHARE)
    later = rng.random(len(again.user)) < REPEAT_LATER_SHARE
    wait_days = later * rng.integers(1, REPEAT_LATER_DAYS + 1, len(later))
    repeat = np.ones(len(later), dtype=bool)
    return _concatenate(events, replace(again, landing_day=again.landing_day + wait_days, repeat=repeat))


def _concatenate(*parts: Events) -> Events:
    return Events(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Events))
    )
