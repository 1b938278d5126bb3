"""Figures of a trained model on held-out users, for MLflow, the log and the model card.

In   labels, and probabilities by model
Out  Report: metrics with intervals by model, paired differences, deciles, slices, confusion matrix
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from jobs.evaluation.baseline import BASELINE_ORDERS
from jobs.evaluation.classification import Classification
from jobs.evaluation.intervals import Difference, Interval

Probabilities = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Report:
    """Figures of one model, its members and the baselines on the same held-out users."""

    labels: NDArray[np.int8]
    probabilities: Probabilities  # by model, the pipeline's own first
    metrics: dict[str, dict[str, Interval]]  # by model, then metric
    differences: dict[str, dict[str, Difference]]  # model minus each other model, by metric
    deciles: pd.DataFrame
    slices: pd.DataFrame
    classification: Classification
    confusing: pd.DataFrame

    @property
    def best_baseline(self) -> str:
        """The baseline with the highest AUC on these users: the hardest comparison."""
        return max(BASELINE_ORDERS, key=lambda name: self.metrics[name]["auc"].value)
