"""Metrics on held-out users.

In   labels 0 (good) or 1 (bad), probabilities or logits   (examples,)
Out  BinaryMetrics(auc=0.87, gini=0.74, ks=0.58, pr_auc=0.61, log_loss=0.34, brier=0.10, ece=0.02)
     deciles          decile  users  mean_score  bad_rate  lift  cumulative_bad_share
                           1    400        0.81      0.78   3.9                  0.39
     Classification   threshold, confusion matrix, precision and recall of good and bad users
     confusing users  user_id  label  score  last_apps, the most confidently wrong first
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    classification_report,
    confusion_matrix,
    log_loss,
    roc_auc_score,
    roc_curve,
)

from jobs.sequences.app_sequences import AppSequences

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]

CLASS_NAMES = ("good", "bad")  # of label 0 and label 1
DECILES = 10
SHOWN_APPS = 5
SHOWN_CHARACTERS = 24


@dataclass(frozen=True)
class BinaryMetrics:
    """How well probabilities rank users and how true they are."""

    auc: float  # area under the ROC curve, 0.5 is chance
    gini: float  # 2 * auc - 1, 0 is chance
    ks: float  # Kolmogorov-Smirnov distance of the scores of good and bad users, 0 to 1
    pr_auc: float  # average precision, the share of label 1 is chance
    log_loss: float  # nats
    brier: float  # mean squared error of the probability
    ece: float  # expected calibration error over deciles, 0 to 1


@dataclass(frozen=True)
class Ranking:
    """Users by falling score: what any weights of the same users need only once."""

    order: NDArray[np.intp]  # rows by falling score
    labels: NDArray[np.int64]  # in that order
    scores: NDArray[np.float64]  # in that order
    tie_ends: NDArray[np.intp]  # last place of each run of equal scores

    def cumulate(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Sums of `values`, given in this order, down to the end of each run of equal scores."""
        return np.cumsum(values, dtype=np.float64)[self.tie_ends]


@dataclass(frozen=True)
class Groups:
    """Sums over groups of equal numbers of users, the riskiest first."""

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

        Naeini et al. (2015), "Obtaining Well Calibrated Probabilities Using Bayesian Binning", with bins
        of equal numbers of users, as Nixon et al. (2019), "Measuring Calibration in Deep Learning", have
        them. Even true probabilities reach more than 0 on finitely many users.

        Reference:
            https://doi.org/10.1609/aaai.v29i1.9602, https://arxiv.org/abs/1904.01685
        """
        return float(np.abs(self.score_sums - self.bads).sum() / self.users.sum())


@dataclass(frozen=True)
class Classification:
    """What a threshold makes of scores: users at or above it are taken for bad."""

    threshold: float
    confusion: NDArray[np.int64]  # (true, predicted), good before bad
    report: dict[str, Any]  # scikit-learn's: "good" and "bad" -> precision, recall, f1-score, support
    report_text: str  # the same as lines


def measure(labels: Integers, probabilities: Floats) -> BinaryMetrics:
    """Measure probabilities of label 1 against labels of both kinds.

    Raises:
        ValueError: the labels are of one kind only, or a probability is not one.
    """
    ranking = rank(labels, probabilities)
    auc = float(roc_auc_score(ranking.labels, ranking.scores))
    false_positives, true_positives, _ = roc_curve(ranking.labels, ranking.scores)
    return BinaryMetrics(
        auc=auc,
        gini=2.0 * auc - 1.0,
        ks=float(np.abs(true_positives - false_positives).max()),
        pr_auc=float(average_precision_score(ranking.labels, ranking.scores)),
        log_loss=float(log_loss(ranking.labels, ranking.scores)),
        brier=float(brier_score_loss(ranking.labels, ranking.scores)),
        ece=cut_into_groups(ranking, np.ones(len(labels), np.int64)).calibration_error,
    )


def to_probabilities(logits: Floats) -> NDArray[np.float64]:
    """Sigmoid in float64, where even extreme logits keep their order."""
    return 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))


def rank(labels: Integers, scores: Floats) -> Ranking:
    """Order users by falling score.

    Raises:
        ValueError: the labels are of one kind only, or the scores are not finite or not as many.
    """
    check_labels(labels)
    if labels.shape != scores.shape or not np.isfinite(scores).all():
        raise ValueError(f"expected a finite score for each of {len(labels)} labels, got {scores}")
    order = np.argsort(-scores, kind="stable")
    falling = scores[order].astype(np.float64)
    tie_ends = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    return Ranking(order, labels[order].astype(np.int64), falling, tie_ends)


def cut_into_groups(ranking: Ranking, weights: Integers) -> Groups:
    """Cut ranked users into ten groups of equal numbers, fewer where there are fewer users.

    `weights` are whole numbers in the order of the ranking: how often each user counts. Users of equal
    scores that fall on both sides of a cut bring each side the same bad rate, so nothing depends on the
    order in which users came. Groups differ by one user where the number cannot be divided.
    """
    users = ranking.cumulate(weights)
    groups = min(DECILES, len(weights))
    cuts = np.arange(groups + 1) * int(users[-1]) // groups

    def between_cuts(values: NDArray[Any]) -> NDArray[np.float64]:
        sums = ranking.cumulate(weights * values)
        return np.diff(np.interp(cuts, np.append(0.0, users), np.append(0.0, sums)))

    return Groups(np.diff(cuts), between_cuts(ranking.labels), between_cuts(ranking.scores))


def decile_table(labels: Integers, probabilities: Floats) -> pd.DataFrame:
    """One row per tenth of the users, the riskiest first: decile, users, mean_score, bad_rate, lift, cumulative_bad_share.

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


def choose_threshold(labels: Integers, probabilities: Floats) -> float:
    """The score from which on users are best taken for bad: where true exceed false positives most.

    Youden (1950), "Index for rating diagnostic tests": J, which is the KS distance at that score. Choose on
    validation users; on the users that are measured afterwards it flatters.

    Raises:
        ValueError: the labels are of one kind only.
    """
    check_labels(labels)
    false_positives, true_positives, thresholds = roc_curve(labels, probabilities)
    # The first threshold is infinite: nobody is bad.
    return float(thresholds[1:][np.argmax((true_positives - false_positives)[1:])])


def classify(labels: Integers, probabilities: Floats, threshold: float | None = None) -> Classification:
    """Take users at or above `threshold` for bad, by default that of `choose_threshold` on these labels.

    Raises:
        ValueError: no threshold is given and the labels are of one kind only.
    """
    if threshold is None:
        threshold = choose_threshold(labels, probabilities)
    predicted = (probabilities >= threshold).astype(np.int64)
    # A class without users, or never predicted, has precision and recall 0 and not a warning.
    arguments: dict[str, Any] = {"labels": [0, 1], "target_names": CLASS_NAMES, "zero_division": 0.0}
    return Classification(
        threshold=threshold,
        confusion=confusion_matrix(labels, predicted, labels=[0, 1]),
        report=classification_report(labels, predicted, output_dict=True, **arguments),
        report_text=classification_report(labels, predicted, digits=3, **arguments),
    )


def most_confusing(
    user_ids: NDArray[np.object_],
    labels: Integers,
    probabilities: Floats,
    app_ids: AppSequences,
    count: int = 15,
) -> pd.DataFrame:
    """The `count` users whose scores are furthest from their labels: user_id, label (good, bad), score, last_apps."""
    worst = np.argsort(-np.abs(labels - probabilities), kind="stable")[:count]
    return pd.DataFrame(
        {
            "user_id": user_ids[worst],
            "label": [CLASS_NAMES[label] for label in labels[worst]],
            "score": probabilities[worst],
            "last_apps": [_shorten(apps) for apps in app_ids.take(worst).to_lists().to_pylist()],
        }
    )


def check_labels(labels: Integers) -> None:
    """Refuse labels that hold not both kinds, where ranking means nothing.

    Raises:
        ValueError: of this.
    """
    kinds = np.unique(labels).tolist()
    if kinds != [0, 1]:
        raise ValueError(f"metrics need labels 0 and 1, both; found {kinds} among {len(labels)} labels")


def _shorten(apps: list[str]) -> str:
    # The end of a package name tells more than its start.
    flat = [" ".join(app.split()) for app in apps[-SHOWN_APPS:]]
    short = [app if len(app) <= SHOWN_CHARACTERS else "…" + app[1 - SHOWN_CHARACTERS :] for app in flat]
    return " > ".join(["…", *short] if len(apps) > SHOWN_APPS else short)


def _divide(sums: NDArray[np.float64], users: NDArray[np.int64]) -> NDArray[np.float64]:
    shares = np.full(len(users), np.nan)
    np.divide(sums, users, out=shares, where=users > 0)
    return shares
