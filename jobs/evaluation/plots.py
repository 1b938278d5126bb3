"""Charts of curves, tables and intervals.

In   labels, and probabilities of the held-out users by model; or their deciles, intervals and slices
Out  matplotlib figures
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from jobs.evaluation.classification import CLASS_NAMES
from jobs.evaluation.intervals import LEVEL, Interval

CALIBRATION_BINS = 10
HISTOGRAM_BINS = 40
GOOD_COLOUR, BAD_COLOUR = "tab:blue", "tab:red"
INTERVAL = f"{LEVEL:.0%} interval"

Probabilities = Mapping[str, NDArray[np.float64]]


def draw_roc(labels: NDArray[np.int8], probabilities: Probabilities) -> Figure:
    """Draw true positive rate against false positive rate."""
    figure, axes = new_figure("ROC on held-out users", "false positive rate", "true positive rate")
    for name, scores in probabilities.items():
        false_positives, true_positives, _ = roc_curve(labels, scores)
        axes.plot(false_positives, true_positives, label=f"{name}, AUC {roc_auc_score(labels, scores):.3f}")
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="chance")
    axes.legend()
    return figure


def draw_precision_recall(labels: NDArray[np.int8], probabilities: Probabilities) -> Figure:
    """Draw precision against recall."""
    figure, axes = new_figure("Precision and recall on held-out users", "recall", "precision")
    for name, scores in probabilities.items():
        precision, recall, _ = precision_recall_curve(labels, scores)
        area = average_precision_score(labels, scores)
        axes.plot(recall, precision, label=f"{name}, PR-AUC {area:.3f}")
    axes.axhline(labels.mean(), color="grey", linestyle=":", label="chance")
    axes.legend()
    return figure


def draw_calibration(labels: NDArray[np.int8], probabilities: Probabilities) -> Figure:
    """Draw share of label 1 against mean probability, in bins of equal numbers of users."""
    figure, axes = new_figure("Calibration on held-out users", "mean risk score", "share of label 1")
    for name, scores in probabilities.items():
        shares, means = calibration_curve(labels, scores, n_bins=CALIBRATION_BINS, strategy="quantile")
        axes.plot(means, shares, marker="o", label=name)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="perfect")
    axes.legend()
    return figure


def draw_score_histogram(labels: NDArray[np.int8], scores: NDArray[np.float64]) -> Figure:
    """Draw histograms of the scores of good and bad users, each with an area of 1."""
    figure, axes = new_figure("Scores of held-out users", "risk score", "density")
    for label, colour in enumerate((GOOD_COLOUR, BAD_COLOUR)):
        members = scores[labels == label]
        name = f"{CLASS_NAMES[label]}, {len(members):,} users"
        axes.hist(
            members, bins=HISTOGRAM_BINS, range=(0.0, 1.0), density=True, alpha=0.5, color=colour, label=name
        )
    axes.legend()
    return figure


def draw_deciles(deciles: pd.DataFrame) -> Figure:
    """Draw bad rate by decile with its interval, from `Bootstrap.deciles`."""
    figure, axes = new_figure("Bad rate by risk decile", "decile, 1 has the highest scores", "bad rate")
    overall = np.average(deciles["bad_rate"], weights=deciles["users"])
    axes.bar(deciles["decile"], deciles["bad_rate"], color=BAD_COLOUR, alpha=0.6, label="bad rate")
    axes.vlines(deciles["decile"], deciles["bad_rate_low"], deciles["bad_rate_high"], "black", label=INTERVAL)
    axes.plot(deciles["decile"], deciles["mean_score"], "o", color="black", label="mean score")
    axes.axhline(overall, color="grey", linestyle=":", label=f"all users, {overall:.1%}")
    axes.set_xticks(deciles["decile"])
    axes.legend()
    return figure


def draw_confusion_matrix(confusion: NDArray[np.int64], threshold: float) -> Figure:
    """Draw numbers of users by true and predicted class."""
    figure, axes = new_figure(f"Users at or above {threshold:.3f} classified as bad", "", "")
    axes.grid(visible=False)
    display = ConfusionMatrixDisplay(confusion, display_labels=CLASS_NAMES)
    display.plot(ax=axes, cmap="Blues", colorbar=False, values_format=",d")
    return figure


def draw_slices(slices: pd.DataFrame, overall_auc: float | None = None) -> Figure:
    """Draw AUC with its interval by slice, from `slice_metrics`; a slice without an AUC has an empty line."""
    names = [f"{row.slicing} {row.slice} ({row.users:,} users)" for row in slices.itertuples()]
    figure, axes = _new_interval_figure("AUC by slice", "AUC", names)
    _draw_intervals(axes, slices["auc"], slices["auc_low"], slices["auc_high"])
    if overall_auc is not None:
        axes.axvline(overall_auc, color="grey", linestyle=":", label=f"all users, {overall_auc:.3f}")
    figure.legend(loc="outside lower center", ncols=2)  # inside the axes it would cover intervals
    return figure


def draw_differences(differences: Mapping[str, Interval], title: str = "Differences in AUC") -> Figure:
    """Draw a forest plot of differences in AUC; an interval that holds 0 may be chance."""
    figure, axes = _new_interval_figure(title, "AUC", list(differences))
    table = pd.DataFrame([(interval.value, interval.low, interval.high) for interval in differences.values()])
    _draw_intervals(axes, table[0], table[1], table[2])
    axes.axvline(0.0, color="grey", linestyle=":", label="no difference")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def draw_confusing_users(users: pd.DataFrame) -> Figure:
    """Draw the table of `most_confusing`."""
    figure = Figure(figsize=(13, 1 + 0.3 * len(users)), layout="constrained")
    axes = figure.add_subplot(title="Held-out users whose scores are furthest from their labels")
    axes.axis("off")
    cells = users.assign(score=users["score"].map("{:.3f}".format)).astype(str).to_numpy().tolist()
    table = axes.table(
        cells or [[""] * 4],
        colLabels=["user", "label", "score", "last apps"],
        colWidths=[0.14, 0.06, 0.06, 0.74],
        cellLoc="left",
        loc="upper center",
    )
    table.auto_set_font_size(False)
    for cell in table.get_celld().values():
        cell.PAD = 0.01  # of the column's width
        cell.get_text().set_parse_math(False)  # ids may hold any character, even dollar signs
        cell.get_text().set_fontsize(8)
    return figure


def _draw_intervals(
    axes: Axes, values: "pd.Series[Any]", lows: "pd.Series[Any]", highs: "pd.Series[Any]"
) -> None:
    # Lines instead of error bars: a value may lie outside its interval, which error bars refuse.
    lines = np.arange(len(values))
    axes.hlines(lines, lows, highs, label=INTERVAL)
    axes.plot(values, lines, "o", color="black")


def _new_interval_figure(title: str, x_label: str, names: Sequence[str]) -> tuple[Figure, Axes]:
    figure, axes = new_figure(title, x_label, "")
    figure.set_size_inches(9, 1.5 + 0.35 * len(names))
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_ylim(len(names) - 0.5, -0.5)  # the first on top
    return figure, axes


def new_figure(title: str, x_label: str, y_label: str) -> tuple[Figure, Axes]:
    # Figure instead of pyplot: it needs no window system and stays in no global state.
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel=x_label, ylabel=y_label)
    axes.grid(alpha=0.3)
    return figure, axes
