"""Charts: each shows the figures it was given, and can be saved."""

import subprocess
import sys
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from jobs.evaluation import plots
from jobs.evaluation.classification import classify
from jobs.evaluation.intervals import Bootstrap, Interval
from jobs.evaluation.slices import slice_metrics

LABELS = np.tile([0, 0, 1], 40).astype(np.int8)
SCORES = np.clip(0.3 + 0.3 * LABELS + np.linspace(-0.25, 0.25, 120), 0, 1)


def texts(figure: Figure) -> list[str]:
    """All texts of axes and legends, after saving the chart."""
    figure.savefig(BytesIO(), format="png")
    axes = figure.axes[0]
    legends = [*figure.legends, *filter(None, [axes.get_legend()])]
    written = [*axes.get_yticklabels(), *axes.get_xticklabels(), *axes.texts, axes.title]
    return [
        text.get_text() for text in [*written, *(text for legend in legends for text in legend.get_texts())]
    ]


def test_drawing_needs_no_tensorflow():
    check = (
        "import sys, jobs.evaluation.plots; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_curves_of_every_model_are_drawn():
    models = {"encoder": SCORES, "bag of apps": 1 - SCORES}
    for draw in (plots.draw_roc, plots.draw_precision_recall, plots.draw_calibration):
        legend = texts(draw(LABELS, models))[-3:]
        assert [each.split(",")[0] for each in legend[:2]] == ["encoder", "bag of apps"]


def test_the_histogram_has_an_area_of_one_for_each_label():
    figure = plots.draw_score_histogram(LABELS, SCORES)
    assert {"good, 80 users", "bad, 40 users"} <= set(texts(figure))
    for bars in figure.axes[0].containers:
        assert sum(bar.get_height() * bar.get_width() for bar in bars) == pytest.approx(1.0)


@pytest.mark.filterwarnings("error")
def test_the_decile_chart_has_rates_intervals_and_the_overall_rate():
    deciles = Bootstrap(LABELS, resamples=20).deciles(SCORES)
    figure = plots.draw_deciles(deciles)
    heights = [bar.get_height() for bar in figure.axes[0].containers[0]]
    assert heights == deciles["bad_rate"].tolist()
    ends = [segment[:, 1].tolist() for segment in figure.axes[0].collections[0].get_segments()]
    assert ends == deciles[["bad_rate_low", "bad_rate_high"]].to_numpy().tolist()
    assert "all users, 33.3%" in texts(figure)


def test_the_confusion_matrix_names_classes_and_counts_users():
    result = classify(LABELS, SCORES, threshold=0.5)
    written = texts(plots.draw_confusion_matrix(result.confusion, result.threshold))
    assert written[:4] == ["good", "bad", "good", "bad"]
    assert [int(text) for text in written[4:8]] == result.confusion.flatten().tolist()
    assert written[8] == "Users at or above 0.500 classified as bad"


@pytest.mark.filterwarnings("error")
def test_slices_without_an_auc_keep_their_line():
    lengths = np.where(np.arange(120) < 100, 5, 50)  # 20 users of 50 installs: no AUC
    times = np.full(120, np.datetime64("2026-01-31"))
    slices = slice_metrics(Bootstrap(LABELS, resamples=20), SCORES, lengths, np.zeros(120), times)
    written = texts(plots.draw_slices(slices, overall_auc=0.9))
    assert written[0] == "sequence length 1-10 (100 users)"
    assert written[2] == "sequence length 31-100 (20 users)"
    assert "all users, 0.900" in written


def test_a_value_outside_its_interval_is_drawn_too():
    differences = {"encoder - bag of $apps$": Interval(0.02, 0.01, 0.03), "odd": Interval(0.0, 0.01, 0.02)}
    figure = plots.draw_differences(differences)
    assert texts(figure)[:2] == list(differences)
    ends = [segment[:, 0].tolist() for segment in figure.axes[0].collections[0].get_segments()]
    assert ends == [[0.01, 0.03], [0.01, 0.02]]
    assert figure.axes[0].lines[0].get_xdata().tolist() == [0.02, 0.0]


@pytest.mark.parametrize("user_ids", [["u1", "$x^$ {"], []])
def test_confusing_users_are_a_table_whatever_their_ids(user_ids):
    users = pd.DataFrame(
        {
            "user_id": pd.Series(user_ids, dtype=object),
            "label": ["bad"] * len(user_ids),
            "score": [0.01] * len(user_ids),
            "last_apps": ["a$_b > $\\frac"] * len(user_ids),
        }
    )
    figure = plots.draw_confusing_users(users)
    texts(figure)
    cells = figure.axes[0].tables[0].get_celld()
    rows = [
        [cells[row, column].get_text().get_text() for column in range(4)] for row in range(1, len(users) + 1)
    ]
    assert rows == [[user_id, "bad", "0.010", "a$_b > $\\frac"] for user_id in user_ids]
