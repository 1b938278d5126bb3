"""Metrics on held-out users.

In   labels 0 (good) or 1 (bad), probabilities or logits   (examples,)
Out  BinaryMetrics(auc=0.87, gini=0.74, ks=0.58, pr_auc=0.61, log_loss=0.34, brier=0.10, ece=0.02)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    roc_auc_score,
    roc_curve,
)

from jobs.evaluation.ranking import Floats, Integers, cut_into_groups, rank


@dataclass(frozen=True)
class BinaryMetrics:
    """Ranking quality and calibration of probabilities."""

    auc: float  # area under the ROC curve; 0.5 is chance
    gini: float  # 2 * auc - 1; 0 is chance
    ks: float  # Kolmogorov-Smirnov distance of the scores of good and bad users, 0 to 1
    pr_auc: float  # average precision; the share of label 1 is chance
    log_loss: float  # nats
    brier: float  # mean squared error of the probability
    ece: float  # expected calibration error over deciles, 0 to 1


def measure(labels: Integers, probabilities: Floats) -> BinaryMetrics:
    """Measure probabilities of label 1 against labels of both kinds.

    Raises:
        ValueError: the labels are of one kind only, or a probability is not between 0 and 1.
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
