"""Curves as pictures.

In   labels and, by model name, probabilities of the held-out users; or the epochs of one fit
Out  matplotlib figures
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from jobs.training.fit import Epoch

CALIBRATION_BINS = 10

Probabilities = Mapping[str, NDArray[np.float64]]


def draw_roc(labels: NDArray[np.int8], probabilities: Probabilities) -> Figure:
    """True positive rate against false positive rate."""
    figure, axes = _new_figure("ROC on held-out users", "false positive rate", "true positive rate")
    for name, scores in probabilities.items():
        false_positives, true_positives, _ = roc_curve(labels, scores)
        axes.plot(false_positives, true_positives, label=f"{name}, AUC {roc_auc_score(labels, scores):.3f}")
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="chance")
    axes.legend()
    return figure


def draw_precision_recall(labels: NDArray[np.int8], probabilities: Probabilities) -> Figure:
    """Precision against recall."""
    figure, axes = _new_figure("Precision and recall on held-out users", "recall", "precision")
    for name, scores in probabilities.items():
        precision, recall, _ = precision_recall_curve(labels, scores)
        area = average_precision_score(labels, scores)
        axes.plot(recall, precision, label=f"{name}, PR-AUC {area:.3f}")
    axes.axhline(labels.mean(), color="grey", linestyle=":", label="chance")
    axes.legend()
    return figure


def draw_calibration(labels: NDArray[np.int8], probabilities: Probabilities) -> Figure:
    """Share of label 1 against mean probability, in bins of equal numbers of users."""
    figure, axes = _new_figure("Calibration on held-out users", "mean risk score", "share of label 1")
    for name, scores in probabilities.items():
        shares, means = calibration_curve(labels, scores, n_bins=CALIBRATION_BINS, strategy="quantile")
        axes.plot(means, shares, marker="o", label=name)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="perfect")
    axes.legend()
    return figure


def draw_learning_curve(epochs: Sequence[Epoch]) -> Figure:
    """Losses and validation AUC by epoch."""
    figure, axes = _new_figure("Learning curve", "epoch", "log loss")
    numbers = [epoch.number for epoch in epochs]
    axes.plot(numbers, [epoch.training_loss for epoch in epochs], label="training loss (dropout on)")
    axes.plot(numbers, [epoch.validation_loss for epoch in epochs], label="validation loss")
    auc_axes = axes.twinx()
    auc_axes.set_ylabel("validation AUC")
    auc_axes.plot(numbers, [epoch.validation_auc for epoch in epochs], color="green", label="validation AUC")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _new_figure(title: str, x_label: str, y_label: str) -> tuple[Figure, Axes]:
    # Figure and not pyplot: no window system is asked for, and nothing stays in memory.
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel=x_label, ylabel=y_label)
    axes.grid(alpha=0.3)
    return figure, axes
