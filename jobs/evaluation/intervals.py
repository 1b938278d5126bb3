"""Bootstrap intervals of metrics, and of differences between two models.

In   labels 0 or 1, probabilities by model, and user ids if users have several examples   (examples,)
Out  auc -> Interval(value=0.873, low=0.861, high=0.885), and the same for every metric and decile
     auc -> Difference(value=0.012, low=0.004, high=0.019, standard_error=0.004, share_better=0.998) of two
     models

Percentile bootstrap over users: Efron & Tibshirani (1993), "An Introduction to the Bootstrap", chapter 13.
Resampling adds noise, which raises maxima and absolute values. So `ks` and `ece` are too high in resamples,
and the `ece` of a well calibrated model can lie below its own interval. In 150 made-up sets of 800 users with
true probabilities, the intervals of auc, pr_auc, log_loss and brier held the true value in 96% to 97% of the
sets, those of ks in 89%, those of ece in none.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property

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
KEPT_WEIGHTS = 2**27  # int16: 256 MiB, 134,000 users in 1,000 resamples
LEVEL = 0.95
CHANCE_DRAWS = 200
CHANCE_QUANTILE = 0.95
# Sign of an improvement: AUC rises, log loss and Brier score fall.
COMPARED_METRICS = {"auc": 1.0, "log_loss": -1.0, "brier": -1.0}

UserIds = NDArray[np.object_]


@dataclass(frozen=True)
class Interval:
    """A figure, and the bounds that hold it in 95% of the resamples."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference(Interval):
    """Challenger minus champion on the same users."""

    standard_error: float
    share_better: float  # of the resamples, 0 to 1; one without a difference counts half

    @property
    def is_sure(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0.0 or self.high < 0.0


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Resamples of users, the same for every figure; drawn once, or each time if too large to keep.

    Args:
        labels: 0 or 1, `(examples,)`.
        user_ids: of each example; without them every example counts as a user.
        resamples: number of draws of users.
        seed: of those draws; the same seed draws the same users for any model.

    Raises:
        ValueError: the labels are of one kind only.
    """

    labels: Integers
    user_ids: UserIds | None = None
    resamples: int = RESAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        check_labels(self.labels)

    def metrics(self, probabilities: Floats) -> dict[str, Interval]:
        """Interval of each metric, by its name in `BinaryMetrics`."""
        ranking = rank(self.labels, probabilities)
        drawn = pd.DataFrame([asdict(measure_weighted(ranking, weights)) for weights in self.weights()])
        values = asdict(measure(self.labels, probabilities))
        return {
            name: Interval(value, *_bounds(drawn[name].to_numpy()).tolist()) for name, value in values.items()
        }

    def deciles(self, probabilities: Floats) -> pd.DataFrame:
        """`decile_table` with bounds of bad_rate and lift, `…_low`, `…_high`; each resample is cut anew."""
        ranking = rank(self.labels, probabilities)
        drawn = [cut_into_groups(ranking, weights[ranking.order]) for weights in self.weights()]
        table = decile_table(self.labels, probabilities)
        bad_rates, lifts = (
            _bounds(np.array([getattr(groups, name) for groups in drawn])) for name in ("bad_rates", "lifts")
        )
        table["bad_rate_low"], table["bad_rate_high"] = bad_rates
        table["lift_low"], table["lift_high"] = lifts
        return table

    def difference(self, challenger: Floats, champion: Floats) -> dict[str, Difference]:
        """Challenger minus champion in AUC, log loss and Brier score."""
        rankings = [rank(self.labels, scores) for scores in (challenger, champion)]
        drawn = np.array(
            [
                _subtract(*(measure_weighted(ranking, weights) for ranking in rankings))
                for weights in self.weights()
            ]
        )
        values = _subtract(measure(self.labels, challenger), measure(self.labels, champion))
        return {
            name: _difference(value, differences, sign)
            for (name, sign), value, differences in zip(
                COMPARED_METRICS.items(), values, drawn.T, strict=True
            )
        }

    def of(self, rows: NDArray[np.intp]) -> "Bootstrap":
        """A bootstrap of some examples only, such as those of a slice."""
        user_ids = None if self.user_ids is None else self.user_ids[rows]
        return replace(self, labels=self.labels[rows], user_ids=user_ids)

    def count_users(self, rows: NDArray[np.intp]) -> int:
        """Number of different users behind some examples."""
        return len(np.unique(self._user_of_row[rows]))

    def weights(self) -> Iterator[NDArray[np.int64]]:
        """Yield, for each resample, the number of times that each example is drawn, `(examples,)`."""
        fits = self._users * self.resamples <= KEPT_WEIGHTS
        for drawn in self._kept if fits else self._draw():
            yield drawn[self._user_of_row].astype(np.int64)

    @cached_property
    def _kept(self) -> list[NDArray[np.int16]]:
        return [drawn.astype(np.int16) for drawn in self._draw()]

    def _draw(self) -> Iterator[NDArray[np.int64]]:
        """Draw users with replacement, as many as there are; yield the number of times that each is drawn.

        All examples of a user are drawn together. Resamples of one label only are drawn again.
        """
        random = np.random.default_rng(self.seed)
        bad = self.labels == 1
        is_bad, is_good = (
            np.bincount(self._user_of_row, weights=label, minlength=self._users) > 0 for label in (bad, ~bad)
        )
        for _ in range(self.resamples):
            drawn = np.zeros(self._users, np.int64)
            while not (drawn[is_bad].any() and drawn[is_good].any()):
                drawn = np.bincount(random.integers(0, self._users, self._users), minlength=self._users)
            yield drawn

    @cached_property
    def _user_of_row(self) -> NDArray[np.intp]:
        if self.user_ids is None:
            return np.arange(len(self.labels))
        user_of_row: NDArray[np.intp] = np.unique(self.user_ids.astype(str), return_inverse=True)[1]
        return user_of_row

    @cached_property
    def _users(self) -> int:
        return int(self._user_of_row.max()) + 1


def measure_weighted(ranking: Ranking, weights: Integers) -> BinaryMetrics:
    """Compute `measure` of rows that are each repeated `weights[i]` times.

    Not with scikit-learn, which sorts and checks anew for every resample: 14 ms against 0.5 ms for 4,000
    users.
    """
    weights = weights[ranking.order]
    bads = ranking.cumulate(weights * ranking.labels)
    goods = ranking.cumulate(weights * (1 - ranking.labels))
    true_positives, false_positives = bads / bads[-1], goods / goods[-1]
    precision = bads / np.maximum(bads + goods, 1.0)  # 0 where there are no users, which add no recall
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


def calibration_error_by_chance(labels: Integers, probabilities: Floats, seed: int) -> float:
    """Calibration error that true probabilities exceed in 5% of sets as large as this one.

    Bad rates of few users differ from their probabilities by chance: with 400 users this error is 0.06.
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


def _subtract(challenger: BinaryMetrics, champion: BinaryMetrics) -> list[float]:
    return [getattr(challenger, name) - getattr(champion, name) for name in COMPARED_METRICS]


def _difference(value: float, drawn: NDArray[np.float64], better_sign: float) -> Difference:
    low, high = _bounds(drawn).tolist()
    better = (better_sign * drawn > 0).mean() + 0.5 * (drawn == 0).mean()
    return Difference(value, low, high, standard_error=float(drawn.std(ddof=1)), share_better=float(better))


def _bounds(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    # A resample of users with few examples can leave a decile empty: NaN.
    return np.asarray(np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0))
