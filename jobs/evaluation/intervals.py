"""How far metrics would move with other users of the same kind.

In   labels 0 or 1, probabilities by model, and user ids where users have several examples   (examples,)
Out  auc -> Interval(value=0.873, low=0.861, high=0.885), and the same for every metric and decile
     auc -> Difference(value=0.012, low=0.004, high=0.019, standard_error=0.004, share_better=0.998) of two models

Percentile bootstrap over users: Efron & Tibshirani (1993), "An Introduction to the Bootstrap", chapter 13.
Drawing adds noise, and a largest or an absolute value of noise only grows: `ks` and `ece` are higher in
resamples than they should be, and the `ece` of a well calibrated model can lie below its own interval.
Of 150 made-up sets of 800 users with true probabilities, the intervals of auc, pr_auc, log_loss and brier
held the true value in 96% to 97%, those of ks in 89%, those of ece in none.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from jobs.evaluation.metrics import BinaryMetrics, measure
from jobs.evaluation.ranking import (
    Floats,
    Integers,
    Ranking,
    check_labels,
    cut_into_groups,
    decile_table,
    rank,
)

RESAMPLES = 1_000
LEVEL = 0.95
CHANCE_DRAWS = 200
CHANCE_QUANTILE = 0.95
# AUC grows when a model gets better; log loss and Brier score fall.
COMPARED_METRICS = {"auc": 1.0, "log_loss": -1.0, "brier": -1.0}

UserIds = NDArray[np.object_]


@dataclass(frozen=True)
class Interval:
    """A figure and the bounds between which it lies in 95% of the resamples."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference(Interval):
    """Challenger minus champion on the same users."""

    standard_error: float
    share_better: float  # of the resamples, 0 to 1; one without any difference counts as half

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0.0 or self.high < 0.0


def metric_intervals(
    labels: Integers,
    probabilities: Floats,
    user_ids: UserIds | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Interval of every metric, by its name in `BinaryMetrics`.

    Without `user_ids` every row is a user of its own. The same seed draws the same users for any model.

    Raises:
        ValueError: the labels are of one kind only.
    """
    ranking = rank(labels, probabilities)
    drawn = pd.DataFrame(
        [
            asdict(measure_weighted(ranking, weights))
            for weights in resample_users(labels, user_ids, resamples=resamples, seed=seed)
        ]
    )
    values = asdict(measure(labels, probabilities))
    return {
        name: Interval(value, *_bounds(drawn[name].to_numpy()).tolist()) for name, value in values.items()
    }


def decile_intervals(
    labels: Integers,
    probabilities: Floats,
    user_ids: UserIds | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """`decile_table` with bad_rate_low, bad_rate_high, lift_low and lift_high; each resample is cut anew.

    Raises:
        ValueError: the labels are of one kind only.
    """
    ranking = rank(labels, probabilities)
    drawn = [
        cut_into_groups(ranking, weights[ranking.order])
        for weights in resample_users(labels, user_ids, resamples=resamples, seed=seed)
    ]
    table = decile_table(labels, probabilities)
    table["bad_rate_low"], table["bad_rate_high"] = _bounds(np.array([groups.bad_rates for groups in drawn]))
    table["lift_low"], table["lift_high"] = _bounds(np.array([groups.lifts for groups in drawn]))
    return table


def paired_difference(
    labels: Integers,
    challenger: Floats,
    champion: Floats,
    user_ids: UserIds | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Difference]:
    """Challenger minus champion in AUC, log loss and Brier score, both measured on the same resampled users.

    Raises:
        ValueError: the labels are of one kind only.
    """
    rankings = [rank(labels, scores) for scores in (challenger, champion)]
    drawn = np.array(
        [
            _subtract(*(measure_weighted(ranking, weights) for ranking in rankings))
            for weights in resample_users(labels, user_ids, resamples=resamples, seed=seed)
        ]
    )
    values = _subtract(measure(labels, challenger), measure(labels, champion))
    return {
        name: _difference(value, differences, sign)
        for (name, sign), value, differences in zip(COMPARED_METRICS.items(), values, drawn.T, strict=True)
    }


def measure_weighted(ranking: Ranking, weights: Integers) -> BinaryMetrics:
    """What `measure` returns where row i of the ranked labels is there `weights[i]` times.

    Apart from scikit-learn, which sorts and checks anew for every resample: 14 ms against 0.5 ms for
    4,000 users.
    """
    weights = weights[ranking.order]
    bads = ranking.cumulate(weights * ranking.labels)
    goods = ranking.cumulate(weights * (1 - ranking.labels))
    true_positives, false_positives = bads / bads[-1], goods / goods[-1]
    precision = bads / np.maximum(bads + goods, 1.0)  # of no users 0, and no recall is gained there
    truths = np.where(ranking.labels == 1, ranking.scores, 1.0 - ranking.scores)
    tiny = np.finfo(np.float64).eps  # scikit-learn's bound
    auc = float(np.trapezoid(np.append(0.0, true_positives), np.append(0.0, false_positives)))
    return BinaryMetrics(
        auc=auc,
        gini=2.0 * auc - 1.0,
        ks=float(np.abs(true_positives - false_positives).max()),
        pr_auc=float(np.diff(true_positives, prepend=0.0) @ precision),
        log_loss=float(-np.average(np.log(np.maximum(truths, tiny)), weights=weights)),
        brier=float(np.average((1.0 - truths) ** 2, weights=weights)),
        ece=cut_into_groups(ranking, weights).calibration_error,
    )


def resample_users(
    labels: Integers, user_ids: UserIds | None, *, resamples: int, seed: int
) -> Iterator[NDArray[np.int64]]:
    """Draw as many users as there are, with replacement; yield how often each row is there.

    All examples of a user come and go together. Resamples of one label only are drawn again.

    Raises:
        ValueError: the labels are of one kind only.
    """
    check_labels(labels)
    user_of_row = np.arange(len(labels))
    if user_ids is not None:
        user_of_row = np.unique(user_ids.astype(str), return_inverse=True)[1]
    users = int(user_of_row.max()) + 1
    random = np.random.default_rng(seed)
    bad = labels == 1
    for _ in range(resamples):
        weights = _draw(random, users)[user_of_row]
        while not (weights[bad].any() and weights[~bad].any()):
            weights = _draw(random, users)[user_of_row]
        yield weights


def calibration_error_by_chance(labels: Integers, probabilities: Floats, seed: int) -> float:
    """Calibration error that true probabilities exceed in 5% of sets as large as this one.

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


def _draw(random: np.random.Generator, users: int) -> NDArray[np.int64]:
    return np.bincount(random.integers(0, users, users), minlength=users)


def _subtract(challenger: BinaryMetrics, champion: BinaryMetrics) -> list[float]:
    return [getattr(challenger, name) - getattr(champion, name) for name in COMPARED_METRICS]


def _difference(value: float, drawn: NDArray[np.float64], better_sign: float) -> Difference:
    low, high = _bounds(drawn).tolist()
    better = (better_sign * drawn > 0).mean() + 0.5 * (drawn == 0).mean()
    return Difference(value, low, high, standard_error=float(drawn.std(ddof=1)), share_better=float(better))


def _bounds(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    # A resample of users with few examples can leave a decile empty, NaN.
    return np.asarray(np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0))
