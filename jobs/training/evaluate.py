"""Metrics on held-out users.

In   labels 0 or 1, probabilities or logits   (examples,)
Out  BinaryMetrics(auc=0.87, pr_auc=0.61, log_loss=0.34, brier=0.10)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class BinaryMetrics:
    """How well probabilities rank users and how true they are."""

    auc: float  # area under the ROC curve, 0.5 is chance
    pr_auc: float  # average precision, the share of label 1 is chance
    log_loss: float  # nats
    brier: float  # mean squared error of the probability


def measure(labels: NDArray[np.int8], probabilities: Floats) -> BinaryMetrics:
    """Measure probabilities of label 1 against labels of both kinds."""
    return BinaryMetrics(
        auc=float(roc_auc_score(labels, probabilities)),
        pr_auc=float(average_precision_score(labels, probabilities)),
        log_loss=float(log_loss(labels, probabilities)),
        brier=float(brier_score_loss(labels, probabilities)),
    )


def to_probabilities(logits: Floats) -> NDArray[np.float64]:
    """Sigmoid in float64, where even extreme logits keep their order."""
    return 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
