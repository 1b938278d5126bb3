"""Figures of one trained model on users that it has not seen, for MLflow, the log and the model card.

In   labels, and probabilities by model
Out  metrics with intervals by model, paired differences, deciles, slices, a threshold and what it makes of the scores
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
    """Figures of one model on the users that it has not seen."""

    labels: NDArray[np.int8]
    probabilities: Probabilities  # by model, the pipeline's own first
    metrics: dict[str, dict[str, Interval]]  # by model, then metric
    differences: dict[str, dict[str, Difference]]  # model minus each other one, by metric
    deciles: pd.DataFrame
    slices: pd.DataFrame
    classification: Classification
    confusing: pd.DataFrame

    @property
    def best_baseline(self) -> str:
        """The baseline that ranks best on these very users: the hardest comparison."""
        return max(BASELINE_ORDERS, key=lambda name: self.metrics[name]["auc"].value)
