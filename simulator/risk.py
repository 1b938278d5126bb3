"""The true risk of a user, from the apps, their order and their rhythm.

In   installs before `as_of`, ordered by user, then time
Out  one risk per user, the exact chance of label 1: 0.231
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.apps import Category
from simulator.behaviour import MS_PER_DAY, NIGHT_HOURS, Installs, number_sessions

# At most this many installs later counts as "soon after", within a session.
SOON = 3

INTERCEPT = -3.0
# Log-odds per unit of each measure. About half of the log-odds' variance comes from order and rhythm, and the
# best reachable AUC stays below 0.9.
WEIGHTS = {
    "lending": 7.0,
    "gambling": 6.0,
    "finance": -6.5,
    "chase": 1.6,
    "turn": 4.8,
    "slide": 5.0,
    "burst": 1.4,
    "night": 1.0,
    "quickening": 0.4,
}


@dataclass(frozen=True)
class Measures:
    """The parts of the risk, shrunk towards 0 for users with few installs. Each array is `(users,)`."""

    # Shares of installs.
    lending: NDArray[np.float64]
    gambling: NDArray[np.float64]
    finance: NDArray[np.float64]
    # Lending soon after gambling (towards 1), or gambling soon after lending (towards -1).
    chase: NDArray[np.float64]
    # Gambling early and lending late in the history (towards 1), or the reverse (towards -1).
    turn: NDArray[np.float64]
    # Both late in the history (towards 1), or both early (towards -1).
    slide: NDArray[np.float64]
    # Share of lending installs that directly follow another in the same session.
    burst: NDArray[np.float64]
    # Share of installs between 00:00 and 05:00 UTC.
    night: NDArray[np.float64]
    # Installs in the later half of the time before as_of (towards 1), or in the earlier half (towards -1).
    quickening: NDArray[np.float64]


def true_risk(
    installs: Installs, categories: NDArray[np.int64], as_of_ms: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Compute the chance that a user's label is 1, `(users,)`.

    Args:
        installs: only those before the user's `as_of`.
        categories: of each app in the catalogue, `(apps,)`.
        as_of_ms: `(users,)`, milliseconds since 1970, UTC.
    """
    measures = measure(installs, categories, as_of_ms)
    log_odds = INTERCEPT + sum(weight * getattr(measures, name) for name, weight in WEIGHTS.items())
    risk: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-log_odds))
    return risk


def measure(installs: Installs, categories: NDArray[np.int64], as_of_ms: NDArray[np.int64]) -> Measures:
    """Compute all measures from the installs."""
    category = categories[installs.app]
    session = number_sessions(installs.user, installs.time_ms)
    lending, gambling = category == Category.LENDING, category == Category.GAMBLING
    return Measures(
        lending=_share(installs, lending),
        gambling=_share(installs, gambling),
        finance=_share(installs, category == Category.FINANCE),
        chase=_chase(installs, session, lending, gambling),
        turn=(_place(installs, lending) - _place(installs, gambling)) / 2.0,
        slide=(_place(installs, lending) + _place(installs, gambling)) / 2.0,
        burst=_burst(installs, session, lending),
        night=_share(installs, installs.time_ms % MS_PER_DAY < NIGHT_HOURS * MS_PER_DAY // 24),
        quickening=_quickening(installs, as_of_ms),
    )


def _per_user(installs: Installs, values: NDArray[np.generic]) -> NDArray[np.float64]:
    return np.bincount(installs.user, weights=values, minlength=installs.num_users).astype(np.float64)


def _share(installs: Installs, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    return _per_user(installs, chosen) / (_per_user(installs, np.ones_like(chosen)) + 4.0)


def _chase(
    installs: Installs,
    session: NDArray[np.int64],
    lending: NDArray[np.bool_],
    gambling: NDArray[np.bool_],
) -> NDArray[np.float64]:
    forward, backward = np.zeros(len(session)), np.zeros(len(session))
    for lag in range(1, SOON + 1):
        together = session[lag:] == session[:-lag]
        forward[lag:] += together & gambling[:-lag] & lending[lag:]
        backward[lag:] += together & lending[:-lag] & gambling[lag:]
    pairs_forward, pairs_backward = _per_user(installs, forward), _per_user(installs, backward)
    return (pairs_forward - pairs_backward) / (pairs_forward + pairs_backward + 3.0)


def _place(installs: Installs, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean place of the chosen installs in a user's history, from -1 (first install) to 1 (last install)."""
    counts = np.bincount(installs.user, minlength=installs.num_users)
    rank = np.arange(len(installs.user)) - (np.cumsum(counts) - counts)[installs.user]
    place = 2.0 * rank / np.maximum(counts[installs.user] - 1, 1) - 1.0
    return _per_user(installs, place * chosen) / (_per_user(installs, chosen) + 2.0)


def _burst(installs: Installs, session: NDArray[np.int64], lending: NDArray[np.bool_]) -> NDArray[np.float64]:
    follows = np.zeros(len(session))
    follows[1:] = (session[1:] == session[:-1]) & lending[1:] & lending[:-1]
    return _per_user(installs, follows) / (_per_user(installs, lending) + 2.0)


def _quickening(installs: Installs, as_of_ms: NDArray[np.int64]) -> NDArray[np.float64]:
    first_ms = as_of_ms.copy()
    np.minimum.at(first_ms, installs.user, installs.time_ms)
    middle_ms = (first_ms + as_of_ms) // 2
    later = np.where(installs.time_ms >= middle_ms[installs.user], 1.0, -1.0)
    return _per_user(installs, later) / (_per_user(installs, np.ones_like(later)) + 4.0)
