"""Labelled users to measure models on, made in memory.

Out  examples as a training set holds them, and the true risk of each, which no model can rank better than
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.training.app_sequences import AppSequences
from jobs.training.dataset import Examples
from jobs.training.sessions import SESSION_GAP
from simulator.apps import make_catalogue
from simulator.behaviour import MS_PER_DAY, draw_installs, number_sessions
from simulator.labels import draw_outcomes

APPS = 5_000  # as the simulator's default
FIRST_DAY = 20_454  # 2026-01-01, in days since 1970
DAYS = 2


@dataclass(frozen=True)
class MadeUp:
    """Users and what only their maker knows."""

    examples: Examples
    true_risk: NDArray[np.float64] | None  # (examples,); None where nobody knows it


def simulate_users(users: int, seed: int, catalogue_seed: int | None = None) -> MadeUp:
    """The simulator's users: which apps, in which order, in which rhythm (docs/simulator.md).

    Args:
        catalogue_seed: of the apps, where several calls are to make users of the same ones.
    """
    random = np.random.default_rng(seed)
    catalogue = make_catalogue(
        APPS, random if catalogue_seed is None else np.random.default_rng(catalogue_seed)
    )
    installs = draw_installs(users, (FIRST_DAY + DAYS) * MS_PER_DAY, catalogue, random)
    outcomes = draw_outcomes(installs, catalogue, FIRST_DAY, DAYS, random)
    as_of_ms = np.zeros(users, np.int64)
    as_of_ms[outcomes.user] = outcomes.as_of_ms
    known = installs.where(installs.time_ms < as_of_ms[installs.user])
    begins_session = np.diff(number_sessions(known.user, known.time_ms), prepend=-1) > 0
    examples = make_examples(
        outcomes.user,
        outcomes.label,
        outcomes.as_of_ms,
        known.user,
        catalogue.app_ids[known.app],
        begins_session,
    )
    return MadeUp(examples, outcomes.true_risk)


def order_only_users(users: int, seed: int, apps: int = 400, mean_length: float = 40.0) -> MadeUp:
    """Users whose apps say nothing: the label hangs on how often one app of a group comes soon after one of another.

    All draw apps alike. The log-odds are three times the mean, over a user's installs of group A and B within four
    installs of each other, of +1 where A comes first and -1 where B does, shrunk towards 0 for users with few.
    """
    random = np.random.default_rng(seed)
    lengths = np.clip(random.poisson(mean_length, users), 10, None)
    user = np.repeat(np.arange(users), lengths)
    popularity = 1.0 / (5.0 + np.arange(apps))
    app = random.choice(apps, len(user), p=popularity / popularity.sum())
    group = np.where(app % 4 == 0, 1, np.where(app % 4 == 1, -1, 0))  # A, B, neither
    # A user's leaning turns neighbouring pairs round, which leaves the apps as they are.
    leaning = random.normal(0.0, 1.2, users)
    first_of_pair = np.flatnonzero((user[1:] == user[:-1]) & (group[1:] * group[:-1] == -1))
    wants_a_first = random.random(len(first_of_pair)) < 1.0 / (
        1.0 + np.exp(-2.0 * leaning[user[first_of_pair]])
    )
    turn = first_of_pair[(group[first_of_pair] == 1) != wants_a_first]
    turn = turn[np.diff(turn, prepend=-2) > 1]  # overlapping pairs stay
    app[turn], app[turn + 1] = app[turn + 1], app[turn]
    group[turn], group[turn + 1] = group[turn + 1], group[turn]
    forward, pairs = np.zeros(users), np.zeros(users)
    for distance in range(1, 4):
        is_pair = (user[distance:] == user[:-distance]) & (group[distance:] * group[:-distance] == -1)
        at = np.flatnonzero(is_pair)
        np.add.at(forward, user[at], group[at])
        np.add.at(pairs, user[at], 1.0)
    risk = 1.0 / (1.0 + np.exp(-3.0 * forward / (pairs + 4.0)))
    names = np.array([f"app {number}" for number in range(apps)])
    as_of_ms = np.full(users, FIRST_DAY * MS_PER_DAY)
    examples = make_examples(np.arange(users), random.random(users) < risk, as_of_ms, user, names[app])
    return MadeUp(examples, risk)


def make_times(installs: AppSequences) -> pa.ListArray:
    """Times by which the installs fall into their sessions: a minute apart, and a session's gap before each."""
    pauses = np.where(installs.codes.flatten() < 0, SESSION_GAP, np.timedelta64(1, "m"))
    offsets = np.concatenate([[0], np.cumsum(installs.lengths)]).astype(np.int32)
    times = np.datetime64("2025-01-01", "us") + np.cumsum(pauses)
    return pa.ListArray.from_arrays(offsets, pa.array(times).cast(pa.timestamp("us", "UTC")))


def make_examples(
    labelled: NDArray[np.int64],
    labels: NDArray[np.bool_],
    as_of_ms: NDArray[np.int64],
    installs_user: NDArray[np.int64],
    app_ids: NDArray[np.str_],
    begins_session: NDArray[np.bool_] | None = None,
) -> Examples:
    """Examples of the users `labelled`, from installs ordered by user, then time; without times each is one session."""
    chosen = np.isin(installs_user, labelled)
    lengths = np.bincount(installs_user[chosen], minlength=int(labelled.max()) + 1)[labelled]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return Examples(
        user_ids=np.array([f"u{user:07d}" for user in labelled], dtype=object),
        labels=labels.astype(np.int8),
        as_of=as_of_ms.astype("datetime64[ms]").astype("datetime64[us]"),
        app_ids=AppSequences.of_lists(
            pa.ListArray.from_arrays(offsets, pa.array(app_ids[chosen].tolist(), pa.string())),
            None if begins_session is None else begins_session[chosen],
        ),
    )
