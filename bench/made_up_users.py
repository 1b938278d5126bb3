"""Made-up labelled users, on which benches measure models.

Out  examples as a training set holds them, and the true risk of each: no model can rank better than it does
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.sequences.app_sequences import AppSequences
from jobs.sequences.sessions import SESSION_GAP
from jobs.training_set.examples import Examples
from simulator.apps import make_catalogue
from simulator.behaviour import MS_PER_DAY, draw_installs, number_sessions
from simulator.labels import draw_outcomes

APPS = 5_000  # as the simulator's default
FIRST_DAY = 20_454  # 2026-01-01, in days since 1970
DAYS = 2
KINDS, INSTALLS_PER_RUN = 4, 3.0  # of order-only users


@dataclass(frozen=True)
class MadeUp:
    """Users, and their true risk where it is known."""

    examples: Examples
    true_risk: NDArray[np.float64] | None  # (examples,); None where unknown


def simulate_users(users: int, seed: int, catalogue_seed: int | None = None) -> MadeUp:
    """Users of the simulator, whose labels depend on apps, order and rhythm of installs (docs/simulator.md).

    Args:
        catalogue_seed: seed of the apps; with the same one, several calls make users of the same apps.
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
    """Users whose label depends only on whether apps of kind 0 come right before those of kind 1, or after.

    All users draw apps in the same way, in runs of one of four kinds. So co-occurrence tells the kinds apart,
    as with topics, but neither the apps nor their co-occurrence tell the label. The log-odds are six times a
    mean over neighbouring runs of kinds 0 and 1: +1 where kind 0 comes first, -1 where kind 1 does. The mean
    is shrunk towards 0 for users with few such runs.
    """
    random = np.random.default_rng(seed)
    lengths = np.clip(random.poisson(mean_length, users), 10, None)
    user = np.repeat(np.arange(users), lengths)
    begins_run = random.random(len(user)) < 1.0 / INSTALLS_PER_RUN
    begins_run[np.cumsum(lengths) - lengths] = True
    run_user, run_lengths = user[begins_run], np.diff(np.append(np.flatnonzero(begins_run), len(user)))
    kind = random.integers(KINDS, size=len(run_user))
    # A user's leaning swaps neighbouring runs, which leaves the user's apps the same.
    leaning = random.normal(0.0, 1.2, users)
    first = first_of_pairs(run_user, kind)
    wants_0_first = random.random(len(first)) < 1.0 / (1.0 + np.exp(-2.0 * leaning[run_user[first]]))
    turn = first[(kind[first] == 0) != wants_0_first]
    turn = turn[np.diff(turn, prepend=-2) > 1]  # overlapping pairs stay
    for runs in (kind, run_lengths):
        runs[turn], runs[turn + 1] = runs[turn + 1], runs[turn]
    first = first_of_pairs(run_user, kind)
    pairs = np.bincount(run_user[first], minlength=users)
    in_order = np.bincount(run_user[first], weights=np.where(kind[first] == 0, 1.0, -1.0), minlength=users)
    risk = 1.0 / (1.0 + np.exp(-6.0 * in_order / (pairs + 2.0)))
    popularity = 1.0 / (5.0 + np.arange(apps // KINDS))
    rank = random.choice(apps // KINDS, len(user), p=popularity / popularity.sum())
    names = np.array([f"app {number}" for number in range(apps)])
    examples = make_examples(
        labelled=np.arange(users),
        labels=random.random(users) < risk,
        as_of_ms=np.full(users, FIRST_DAY * MS_PER_DAY),
        installs_user=user,
        app_ids=names[np.repeat(kind, run_lengths) + KINDS * rank],
    )
    return MadeUp(examples, risk)


def first_of_pairs(run_user: NDArray[np.int64], kind: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of the runs that form, with the user's next run, a pair of kinds 0 and 1 in any order."""
    one_of_each = kind[1:] + kind[:-1] == 1  # no other two add up to 1
    return np.flatnonzero(one_of_each & (run_user[1:] == run_user[:-1]))


def make_times(installs: AppSequences) -> pa.ListArray:
    """Install times that give the same sessions: one minute apart, with a session gap before each session."""
    pauses = np.where(installs.codes.begins_session, SESSION_GAP, np.timedelta64(1, "m"))
    offsets = np.concatenate([[0], np.cumsum(installs.lengths)]).astype(np.int32)
    times = np.datetime64("2025-01-01", "us") + np.cumsum(pauses)
    return pa.ListArray.from_arrays(offsets, pa.array(times).cast(pa.timestamp("us", "UTC")))


def user_id(number: int) -> str:
    """Id of a user, counted from 0; ids sort as the numbers do."""
    return f"u{number:07d}"


def make_examples(
    labelled: NDArray[np.int64],
    labels: NDArray[np.bool_],
    as_of_ms: NDArray[np.int64],
    installs_user: NDArray[np.int64],
    app_ids: NDArray[np.str_],
    begins_session: NDArray[np.bool_] | None = None,
) -> Examples:
    """Examples of the users `labelled`, from installs ordered by user, then time.

    Args:
        begins_session: bool `(installs,)`; None where sessions are unknown.
    """
    chosen = np.isin(installs_user, labelled)
    lengths = np.bincount(installs_user[chosen], minlength=int(labelled.max()) + 1)[labelled]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return Examples(
        user_ids=np.array([user_id(user) for user in labelled], dtype=object),
        labels=labels.astype(np.int8),
        as_of=as_of_ms.astype("datetime64[ms]").astype("datetime64[us]"),
        installs=AppSequences.of_lists(
            pa.ListArray.from_arrays(offsets, pa.array(app_ids[chosen].tolist(), pa.string())),
            None if begins_session is None else begins_session[chosen],
        ),
    )
