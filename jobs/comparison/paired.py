"""By how much a challenger is better, how sure that is, and for whom it is worse.

In   labels 0 or 1, probabilities of challenger and champion, user ids      (examples,)
Out  auc -> Paired(value=0.012, low=0.004, high=0.019, standard_error=0.004, share_better=0.998)
     SliceDifference("sequence length 1-10", users=1203, bad_rate=0.11, auc=Paired(-0.021, -0.034, -0.008, …))
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.training.dataset import Examples
from jobs.training.evaluate import Floats, Integers, cut_into_groups, measure, rank
from jobs.training.intervals import (
    COMPARED_METRICS,
    LEVEL,
    RESAMPLES,
    Difference,
    UserIds,
    measure_weighted,
    resample_users,
)
from jobs.training.slices import FEWEST_USERS, LENGTH_BOUNDS, LENGTH_NAMES, UNKNOWN_BOUNDS, UNKNOWN_NAMES

# AUC grows when a model gets better; log loss and Brier score fall.
BETTER_SIGN = {"auc": 1.0, "log_loss": -1.0, "brier": -1.0}
CHANCE_DRAWS = 200
CHANCE_QUANTILE = 0.95


@dataclass(frozen=True)
class Paired(Difference):
    """Challenger minus champion on the same users."""

    share_better: float  # of the resamples, 0 to 1; one without any difference counts as half

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0.0 or self.high < 0.0


@dataclass(frozen=True)
class SliceDifference:
    """Challenger minus champion in AUC among users of one kind."""

    name: str  # "sequence length 1-10"
    users: int
    bad_rate: float  # share of label 1
    auc: Paired


def compare_paired(
    labels: Integers,
    challenger: Floats,
    champion: Floats,
    user_ids: UserIds,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Paired]:
    """`intervals.paired_difference`, and how many resamples say the same.

    Raises:
        ValueError: the labels are of one kind only.
    """
    rankings = [rank(labels, scores) for scores in (challenger, champion)]
    drawn = np.empty((resamples, len(COMPARED_METRICS)))
    for draw, weights in enumerate(resample_users(labels, user_ids, resamples=resamples, seed=seed)):
        ours, theirs = (measure_weighted(ranking, weights) for ranking in rankings)
        drawn[draw] = [getattr(ours, name) - getattr(theirs, name) for name in COMPARED_METRICS]
    ours, theirs = measure(labels, challenger), measure(labels, champion)
    return {
        name: _summarize(getattr(ours, name) - getattr(theirs, name), differences, BETTER_SIGN[name])
        for name, differences in zip(COMPARED_METRICS, drawn.T, strict=True)
    }


def _summarize(value: float, drawn: NDArray[np.float64], better_sign: float) -> Paired:
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    better = (better_sign * drawn > 0).mean() + 0.5 * (drawn == 0).mean()
    return Paired(value, low, high, standard_error=float(drawn.std(ddof=1)), share_better=float(better))


def compare_slices(
    examples: Examples,
    challenger: Floats,
    champion: Floats,
    unknown_shares: Floats,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[SliceDifference]:
    """Difference in AUC by sequence length, share of unknown apps and month of the label.

    Slices of fewer than 30 users, or of one label, are left out: they say nothing.
    """
    found_slices = []
    for slicing, slice_of_row in cut_slices(examples, unknown_shares).items():
        for name in slice_of_row.cat.categories:
            members = np.flatnonzero((slice_of_row == name).to_numpy())
            part = examples.take(members)
            if part.users < FEWEST_USERS or set(part.labels) != {0, 1}:
                continue
            found = compare_paired(
                part.labels,
                challenger[members],
                champion[members],
                part.user_ids,
                resamples=resamples,
                seed=seed,
            )["auc"]
            found_slices.append(
                SliceDifference(f"{slicing} {name}", part.users, float(part.labels.mean()), found)
            )
    return found_slices


def cut_slices(examples: Examples, unknown_shares: Floats) -> "dict[str, pd.Series[str]]":
    """The slices of `jobs/training/slices.py`, one category a row."""
    lengths = pc.list_value_length(examples.app_ids).to_numpy()
    months = examples.as_of.astype("datetime64[M]").astype(str)
    return {
        "sequence length": pd.cut(pd.Series(lengths), LENGTH_BOUNDS, labels=LENGTH_NAMES),
        "unknown apps": pd.cut(pd.Series(unknown_shares), UNKNOWN_BOUNDS, labels=UNKNOWN_NAMES),
        "label month": pd.Series(months, dtype="category"),
    }


def calibration_error_by_chance(labels: Integers, probabilities: Floats, seed: int) -> float:
    """Calibration error that true probabilities exceed in 5% of holdouts as large as this one.

    Few users have bad rates far from their probabilities by luck: 400 users reach 0.06.
    """
    ranking = rank(labels, probabilities)
    ones = np.ones(len(labels), dtype=np.int64)
    random = np.random.default_rng(seed)
    drawn = [
        cut_into_groups(
            replace(ranking, labels=(random.random(len(labels)) < ranking.scores).astype(np.int64)), ones
        ).calibration_error
        for _ in range(CHANCE_DRAWS)
    ]
    return float(np.quantile(drawn, CHANCE_QUANTILE))
