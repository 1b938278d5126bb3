"""Ranking of users by falling score, and its deciles.

In   labels 0 (good) or 1 (bad), scores     (examples,)
Out  deciles    decile  users  mean_score  bad_rate  lift  cumulative_bad_share
                     1    400        0.81      0.78   3.9                  0.39
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]
DECILES = 10


@dataclass(frozen=True)
class Ranking:
    """Users by falling score; computed once for all weights of the same users."""

    order: NDArray[np.intp]  # rows by falling score
    labels: NDArray[np.int64]  # in that order
    scores: NDArray[np.float64]  # in that order
    tie_ends: NDArray[np.intp]  # last position of each run of equal scores

    def cumulate(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Cumulative sums of `values`, given in this order, at the end of each run of equal scores."""
        return np.cumsum(values, dtype=np.float64)[self.tie_ends]


@dataclass(frozen=True)
class Groups:
    """Sums over groups of equal size, the riskiest first."""

    users: NDArray[np.int64]
    bads: NDArray[np.float64]  # fractions where a run of equal scores is cut
    score_sums: NDArray[np.float64]

    @property
    def bad_rates(self) -> NDArray[np.float64]:
        """Share of label 1; NaN where a group has no user."""
        return _divide(self.bads, self.users)

    @property
    def mean_scores(self) -> NDArray[np.float64]:
        """Mean score; NaN where a group has no user."""
        return _divide(self.score_sums, self.users)

    @property
    def lifts(self) -> NDArray[np.float64]:
        """Bad rate over the bad rate of all users."""
        return self.bad_rates * (float(self.users.sum()) / float(self.bads.sum()))

    @property
    def calibration_error(self) -> float:
        """Mean distance of mean score and bad rate, weighted by users.

        Naeini et al. (2015), "Obtaining Well Calibrated Probabilities Using Bayesian Binning", with bins of
        equal numbers of users as in Nixon et al. (2019), "Measuring Calibration in Deep Learning". On
        finitely many users it is above 0 even for true probabilities.

        Reference:
            https://doi.org/10.1609/aaai.v29i1.9602, https://arxiv.org/abs/1904.01685
        """
        return float(np.abs(self.score_sums - self.bads).sum() / self.users.sum())


def rank(labels: Integers, scores: Floats) -> Ranking:
    """Order users by falling score.

    Raises:
        ValueError: the labels are of one kind only, or the scores are not finite, or fewer or more than
        labels.
    """
    check_labels(labels)
    if labels.shape != scores.shape or not np.isfinite(scores).all():
        raise ValueError(f"expected a finite score for each of {len(labels)} labels, got {scores}")
    order = np.argsort(-scores, kind="stable")
    falling = scores[order].astype(np.float64)
    tie_ends = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    return Ranking(order, labels[order].astype(np.int64), falling, tie_ends)


def cut_into_groups(ranking: Ranking, weights: Integers) -> Groups:
    """Cut ranked users into ten groups of equal size, or into fewer if there are fewer users.

    `weights` are whole numbers in the order of the ranking: the number of times that each user counts. If a
    cut divides users of equal scores, both sides get the same bad rate, so the input order has no effect.
    Group sizes differ by at most one user.
    """
    users = ranking.cumulate(weights)
    groups = min(DECILES, len(weights))
    cuts = np.arange(groups + 1) * int(users[-1]) // groups

    def between_cuts(values: NDArray[Any]) -> NDArray[np.float64]:
        sums = ranking.cumulate(weights * values)
        return np.diff(np.interp(cuts, np.append(0.0, users), np.append(0.0, sums)))

    return Groups(np.diff(cuts), between_cuts(ranking.labels), between_cuts(ranking.scores))


def decile_table(labels: Integers, probabilities: Floats) -> pd.DataFrame:
    """One row per tenth of the users, the riskiest first, with the columns of the module's example.

    A user with several examples counts once for each.

    Raises:
        ValueError: the labels are of one kind only.
    """
    groups = cut_into_groups(rank(labels, probabilities), np.ones(len(labels), np.int64))
    return pd.DataFrame(
        {
            "decile": np.arange(1, len(groups.users) + 1),
            "users": groups.users,
            "mean_score": groups.mean_scores,
            "bad_rate": groups.bad_rates,
            "lift": groups.lifts,
            "cumulative_bad_share": groups.bads.cumsum() / groups.bads.sum(),
        }
    )


def check_labels(labels: Integers) -> None:
    """Check that both labels occur, which every metric needs.

    Raises:
        ValueError: the labels are not 0 and 1, both.
    """
    kinds = np.unique(labels).tolist()
    if kinds != [0, 1]:
        raise ValueError(f"metrics need labels 0 and 1, both; found {kinds} among {len(labels)} labels")


def _divide(sums: NDArray[np.float64], users: NDArray[np.int64]) -> NDArray[np.float64]:
    shares = np.full(len(users), np.nan)
    np.divide(sums, users, out=shares, where=users > 0)
    return shares
