"""Install behaviour of simulated users.

Out  one row per install, flat arrays: user 12, app 804, time_ms 1767225600123 (UTC)

A user installs in sessions of a few apps, mostly on one topic. The order and the rhythm of installs follow
from traits that a bag of apps does not show.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.apps import INSTALL_SHARES, AppCatalogue, Category

MS_PER_SECOND = 1_000
MS_PER_DAY = 86_400 * MS_PER_SECOND
SESSION_GAP_MS = 30 * 60 * MS_PER_SECOND

# Installs per user: log-normal, so that most users have one or two dozen and a few have hundreds.
MIN_INSTALLS = 3
MAX_INSTALLS = 600
MEDIAN_INSTALLS = 26
INSTALLS_LOG_SD = 0.8

HISTORY_DAYS = 240
MIN_DAYS_PER_INSTALL = 0.2  # no user installs hundreds of apps on the first day
INSTALLS_PER_SESSION = 4.0
SECONDS_BETWEEN_INSTALLS = 90.0  # mean, within a session
NIGHT_HOURS = 5  # 00:00 to 05:00 UTC


@dataclass(frozen=True)
class Installs:
    """Installs of `num_users` users, ordered by user, then time. All arrays are `(installs,)`."""

    user: NDArray[np.int64]  # 0-based within the chunk of users
    app: NDArray[np.int64]  # index in the catalogue
    time_ms: NDArray[np.int64]  # since 1970, UTC
    num_users: int

    def where(self, chosen: NDArray[np.bool_]) -> "Installs":
        """Keep the chosen installs; the number of users stays."""
        return Installs(self.user[chosen], self.app[chosen], self.time_ms[chosen], self.num_users)


@dataclass(frozen=True)
class Traits:
    """Traits of users, all independent. Only `category_mix` shows in the choice of apps."""

    category_mix: NDArray[np.float64]  # (users, categories), sums to 1
    chase: NDArray[np.float64]  # above 0: gambling comes before lending within a session; below 0: after
    turn: NDArray[np.float64]  # above 0: sessions of gambling come early in the history and of lending late
    slide: NDArray[np.float64]  # above 0: sessions of both come late in the history; below 0: early
    focus: NDArray[np.float64]  # chance that an install keeps to its session's topic
    night: NDArray[np.float64]  # chance that a session starts at night
    quickening: NDArray[np.float64]  # above 1: sessions grow denser with time; below 1: sparser


def draw_installs(num_users: int, end_ms: int, catalogue: AppCatalogue, rng: np.random.Generator) -> Installs:
    """Simulate the installs of `num_users` users; the last sessions may run a few minutes beyond `end_ms`."""
    traits = draw_traits(num_users, rng)
    user, time_ms = draw_times(traits, end_ms, rng)
    categories = draw_categories(traits, user, number_sessions(user, time_ms), rng)
    return Installs(user, catalogue.draw(categories, rng), time_ms, num_users)


def draw_traits(num_users: int, rng: np.random.Generator) -> Traits:
    """Draw each user's traits."""
    leanings = rng.normal(0.0, 0.75, (num_users, len(Category)))
    mix = INSTALL_SHARES * np.exp(leanings)
    return Traits(
        category_mix=mix / mix.sum(axis=1, keepdims=True),
        chase=rng.normal(0.0, 1.5, num_users),
        turn=rng.normal(0.0, 1.0, num_users),
        slide=rng.normal(0.0, 1.0, num_users),
        focus=rng.uniform(0.2, 0.8, num_users),
        night=rng.beta(1.2, 6.0, num_users),
        quickening=np.exp(rng.normal(0.2, 0.5, num_users)),
    )


def draw_times(
    traits: Traits, end_ms: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw the times of installs: `user` and `time_ms`, `(installs,)` each, ordered by user, then time."""
    num_users = len(traits.chase)
    lengths = np.exp(rng.normal(np.log(MEDIAN_INSTALLS), INSTALLS_LOG_SD, num_users))
    num_installs = np.clip(lengths.astype(np.int64), MIN_INSTALLS, MAX_INSTALLS)
    user = np.repeat(np.arange(num_users), num_installs)

    starts = rng.random(len(user)) < 1.0 / INSTALLS_PER_SESSION
    starts[np.cumsum(num_installs) - num_installs] = True
    session = np.cumsum(starts) - 1
    session_start_ms = _draw_session_starts(traits, num_installs, user[starts], end_ms, rng)

    pause_ms = (
        rng.exponential(SECONDS_BETWEEN_INSTALLS * MS_PER_SECOND, len(user)).astype(np.int64) + MS_PER_SECOND
    )
    since_first_ms = np.cumsum(pause_ms)
    since_start_ms = since_first_ms - since_first_ms[starts][session]
    time_ms = session_start_ms[session] + since_start_ms
    order = np.lexsort((time_ms, user))
    return user, time_ms[order]


def _draw_session_starts(
    traits: Traits,
    num_installs: NDArray[np.int64],
    session_user: NDArray[np.int64],
    end_ms: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Draw the start of each session, `(sessions,)`, in ms since 1970; not yet in order within a user."""
    shortest = np.maximum(num_installs * MIN_DAYS_PER_INSTALL, 0.5)
    history_days = np.clip(rng.uniform(0.0, HISTORY_DAYS, len(shortest)), shortest, HISTORY_DAYS)
    passed = rng.random(len(session_user)) ** (1.0 / traits.quickening[session_user])
    days_before_end = np.ceil(history_days[session_user] * (1.0 - passed)).astype(np.int64)

    at_night = rng.random(len(session_user)) < traits.night[session_user]
    share_of_stretch = rng.random(len(session_user))
    hour = np.where(
        at_night, share_of_stretch * NIGHT_HOURS, NIGHT_HOURS + share_of_stretch * (24 - NIGHT_HOURS)
    )
    return end_ms - days_before_end * MS_PER_DAY + (hour / 24 * MS_PER_DAY).astype(np.int64)


def number_sessions(user: NDArray[np.int64], time_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number sessions from 0 over all users, `(installs,)`.

    A new session begins with each user and after 30 idle minutes.

    Args:
        user: in order.
        time_ms: in order within each user.
    """
    next_user = np.diff(user, prepend=user[:1]) != 0
    idle = np.diff(time_ms, prepend=time_ms[:1]) >= SESSION_GAP_MS
    return np.cumsum(next_user | idle)


def draw_categories(
    traits: Traits, user: NDArray[np.int64], session: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Choose the category of each install, `(installs,)`, and order the choices by the user's traits."""
    session_user = user[np.diff(session, prepend=-1) > 0]
    topics = _order_topics(traits, session_user, _draw_from_mix(traits, session_user, rng), rng)
    on_topic = rng.random(len(user)) < traits.focus[user]
    categories = np.where(on_topic, topics[session], _draw_from_mix(traits, user, rng))

    key = rng.random(len(user)) + traits.chase[user] * _side(categories)
    return categories[np.lexsort((key, session))]


def _order_topics(
    traits: Traits, session_user: NDArray[np.int64], topics: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Move a user's sessions of gambling and lending towards the end, or the start, of the history."""
    side = _side(topics)
    push = traits.turn[session_user] * side + traits.slide[session_user] * np.abs(side)
    return topics[np.lexsort((rng.random(len(topics)) + push, session_user))]


def _side(categories: NDArray[np.int64]) -> NDArray[np.float64]:
    """Map gambling to -1, lending to 1, and all other categories to 0."""
    sides = np.zeros(len(Category))
    sides[Category.GAMBLING], sides[Category.LENDING] = -1.0, 1.0
    return sides[categories]


def _draw_from_mix(traits: Traits, user: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    cumulative = np.cumsum(traits.category_mix, axis=1)[:, :-1]
    draws: NDArray[np.int64] = np.sum(rng.random(len(user))[:, None] > cumulative[user], axis=1)
    return draws
