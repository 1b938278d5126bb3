"""Labels, drawn from each user's true risk at the user's own `as_of`.

In   installs
Out  u0000012,1,2026-01-02T13:45:12Z,2026-02-20T08:00:01Z   and the truth   u0000012,0.731904
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.apps import AppCatalogue
from simulator.behaviour import MS_PER_DAY, MS_PER_SECOND, Installs
from simulator.risk import true_risk
from simulator.rows import user_id

LABELS_HEADER = "user_id,label,as_of,observed_at\n"
TRUTH_HEADER = "user_id,true_risk\n"

MIN_INSTALLS = 5  # before as_of: fewer say too little about a user
SHORTEST_OUTCOME_DAYS = 14  # from as_of until the outcome is known
LONGEST_OUTCOME_DAYS = 60


@dataclass(frozen=True)
class Outcomes:
    """Labels of the users with enough installs; every array is `(labelled users,)`."""

    user: NDArray[np.int64]  # 0-based within the chunk
    label: NDArray[np.bool_]
    true_risk: NDArray[np.float64]
    as_of_ms: NDArray[np.int64]  # since 1970, UTC, whole seconds
    observed_at_ms: NDArray[np.int64]


def draw_outcomes(
    installs: Installs, catalogue: AppCatalogue, first_day: int, days: int, rng: np.random.Generator
) -> Outcomes:
    """Draw each user's `as_of` and label.

    `as_of` lies after the first landing day, which brings the history before it. So nearly all installs that
    make the risk have landed by the end of the day of `as_of`. Training never sees what lands later, as in
    reality.
    """
    as_of_ms = _draw_instants(installs.num_users, first_day + 1, max(days - 1, 1), rng)
    delay_ms = _draw_instants(
        installs.num_users, SHORTEST_OUTCOME_DAYS, LONGEST_OUTCOME_DAYS - SHORTEST_OUTCOME_DAYS, rng
    )
    before = installs.where(installs.time_ms < as_of_ms[installs.user])
    risk = true_risk(before, catalogue.categories, as_of_ms)
    label = rng.random(installs.num_users) < risk

    (user,) = np.nonzero(np.bincount(before.user, minlength=installs.num_users) >= MIN_INSTALLS)
    return Outcomes(user, label[user], risk[user], as_of_ms[user], (as_of_ms + delay_ms)[user])


def _draw_instants(count: int, first_day: int, days: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw whole seconds of the given days, uniformly; `(count,)`, in milliseconds."""
    seconds_per_day = MS_PER_DAY // MS_PER_SECOND
    return (first_day * seconds_per_day + rng.integers(0, days * seconds_per_day, count)) * MS_PER_SECOND


def label_lines(outcomes: Outcomes, first_user: int) -> str:
    """Write the lines of labels.csv, without header."""
    return "".join(
        f"{user_id(first_user + user)},{label:d},{as_of}Z,{observed_at}Z\n"
        for user, label, as_of, observed_at in zip(
            outcomes.user.tolist(),
            outcomes.label.tolist(),
            _iso_seconds(outcomes.as_of_ms),
            _iso_seconds(outcomes.observed_at_ms),
            strict=True,
        )
    )


def truth_lines(outcomes: Outcomes, first_user: int) -> str:
    """Write the lines of truth.csv, without header."""
    return "".join(
        f"{user_id(first_user + user)},{risk:.6f}\n"
        for user, risk in zip(outcomes.user.tolist(), outcomes.true_risk.tolist(), strict=True)
    )


def _iso_seconds(time_ms: NDArray[np.int64]) -> list[str]:
    texts: list[str] = np.datetime_as_string((time_ms // MS_PER_SECOND).astype("datetime64[s]")).tolist()
    return texts
