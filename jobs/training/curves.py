"""Charts of a training: learning curve and learning-rate range test.

In   the epochs of one fit, or a learning-rate range test
Out  matplotlib figures
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from jobs.evaluation.plots import new_figure
from jobs.training.fit.classifier import Epoch
from jobs.training.fit.rate_finder import RateSearch


def draw_learning_curve(epochs: Sequence[Epoch]) -> Figure:
    """Draw losses and validation AUC by epoch."""
    figure, axes = new_figure("Learning curve", "epoch", "log loss")
    numbers = [epoch.number for epoch in epochs]
    axes.plot(numbers, [epoch.training_loss for epoch in epochs], label="training loss (dropout on)")
    axes.plot(numbers, [epoch.validation_loss for epoch in epochs], label="validation loss")
    auc_axes = axes.twinx()
    auc_axes.set_ylabel("validation AUC")
    auc_axes.plot(numbers, [epoch.validation_auc for epoch in epochs], color="green", label="validation AUC")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def draw_rate_search(search: RateSearch) -> Figure:
    """Draw smoothed loss against learning rate, and mark the suggested rate."""
    figure, axes = new_figure("Learning-rate range test", "learning rate", "smoothed log loss")
    axes.set_xscale("log")
    axes.plot(search.rates, search.losses)
    axes.axvline(search.suggestion, color="grey", linestyle=":", label=f"suggested: {search.suggestion:.1e}")
    axes.legend()
    return figure
