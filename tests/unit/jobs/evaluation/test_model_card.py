"""The model card holds the figures of its report, and no others."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jobs.evaluation.classification import Classification, classify
from jobs.evaluation.intervals import Bootstrap, Difference, Interval
from jobs.evaluation.model_card import CardSubject, write_model_card
from jobs.evaluation.report import Report
from jobs.evaluation.slices import slice_metrics

LABELS = np.tile([0, 0, 1], 40).astype(np.int8)
SCORES = np.clip(0.3 + 0.3 * LABELS + np.linspace(-0.25, 0.25, 120), 0, 1)
BOOTSTRAP = Bootstrap(LABELS, resamples=20)
# Mitchell et al. 2019, figure 1.
SECTIONS = [
    "Model details",
    "Intended use",
    "Factors",
    "Metrics",
    "Evaluation data",
    "Training data",
    "Quantitative analyses",
    "Ethical considerations",
    "Caveats and recommendations",
]

SUBJECT = CardSubject(
    model_name="risk_encoder",
    run_id="3f2a",
    parameters={"hidden_dim": 64},
    facts={"table": "risk.install_sessions", "snapshot_id": "8124", "first_landing_day": "2026-01-01"},
    split_method="by a hash of the user id",
    split={"train": {"users": 600, "examples": 610}, "test": {"users": 200, "examples": 204}},
)
REPORT = Report(
    labels=LABELS,
    probabilities={"encoder": SCORES},
    metrics={
        "encoder": {"auc": Interval(0.81234, 0.7951, 0.8302)},
        "bag of apps": {"auc": Interval(0.7911, 0.771, 0.811), "brier": Interval(0.131, 0.121, 0.141)},
    },
    differences={
        "bag of apps": {
            "auc": Difference(0.0212, 0.0102, 0.0322, 0.0055, 1.0),
            "brier": Difference(-0.0013, -0.004, 0.0011, 0.0014, 0.8),
            "log_loss": Difference(-0.01, -0.02, -0.005, 0.004, 1.0),
        }
    },
    deciles=BOOTSTRAP.deciles(SCORES),
    slices=slice_metrics(
        BOOTSTRAP, SCORES, np.full(120, 7), np.zeros(120), np.full(120, np.datetime64("2026-01-31"))
    ),
    classification=classify(LABELS, SCORES, threshold=0.4321),
    confusing=pd.DataFrame(),
)


def card(subject: CardSubject = SUBJECT, report: Report = REPORT) -> str:
    """A card of made-up figures."""
    return write_model_card(subject, report)


def section(text: str, title: str) -> str:
    """Text below a heading, up to the next one."""
    return re.split(r"\n##+ ", text.split(f"# {title}\n\n", 1)[1])[0]


def test_sections_are_those_of_model_cards_for_model_reporting():
    assert re.findall(r"^## (.+)$", card(), re.MULTILINE) == [*SECTIONS, "Licence"]


def test_model_data_and_split_are_named():
    text = card()
    assert text.startswith("# Model card: risk_encoder\n")
    assert "run `3f2a`" in section(text, "Model details")
    assert "| hidden dim | 64 |" in section(text, "Model details")
    assert "| first landing day | 2026-01-01 |" in section(text, "Training data")
    assert "Users are split by a hash of the user id;" in section(text, "Evaluation data")
    assert "| test | 200 | 204 |" in section(text, "Evaluation data")


def test_models_stand_side_by_side_with_their_intervals():
    table = section(card(), "Held-out users").splitlines()
    assert table[0] == "| metric | encoder | bag of apps |"
    assert table[2] == "| auc | 0.8123 (0.7951 to 0.8302) | 0.7911 (0.7710 to 0.8110) |"
    assert table[3] == "| brier |  | 0.1310 (0.1210 to 0.1410) |"


def test_a_difference_whose_interval_holds_zero_may_be_chance():
    table = section(card(), "Model minus baseline").splitlines()
    assert table[2] == (
        "| bag of apps | auc | 0.0212 (0.0102 to 0.0322) | 0.0055 | beyond chance: the interval excludes 0 |"
    )
    assert "| -0.0013 (-0.0040 to 0.0011) | 0.0014 | may be chance" in table[3]
    assert "beyond chance" in table[4]


def test_deciles_and_slices_are_tables_with_dashes_for_missing_figures():
    text = card()
    assert len(section(text, "Calibration and deciles").splitlines()) == 2 + 2 + 10
    slices = section(text, "Slices").splitlines()
    assert slices[2].startswith("| sequence length 1-10 | 120 | 0.3333 | ")
    assert slices[3] == "| sequence length 11-30 | 0 | - | - | - |"
    assert "nan" not in text


def test_the_threshold_and_its_confusion_matrix_are_there():
    text = card()
    assert "Threshold: users at or above 0.4321 are classified as bad." in text
    assert re.search(r"\| is bad \| \d+ \| \d+ \|\n", section(text, "At the threshold"))


def test_without_baselines_there_is_no_comparison():
    assert "Model minus baseline" not in card(report=replace(REPORT, differences={}))


def test_limits_and_licence_are_there():
    text = card()
    for words in (
        "Trained on installs only",
        "Labels are used as given",
        "as the only input of a decision",
        "Scores drift",
    ):
        assert words in text
    assert "Code: Apache-2.0. The model inherits the terms of the data it was trained on." in text


def test_all_figures_come_from_the_report():
    rates = {"precision": 7.0, "recall": 7.0, "f1-score": 7.0}
    sevens = Classification(7.0, np.full((2, 2), 7), {"good": rates, "bad": rates}, "")
    deciles, slices = (pd.DataFrame(columns=columns) for columns in (["decile"], ["slicing"]))
    text = card(
        CardSubject("risk_encoder", "run", parameters={}, facts={}, split_method="", split={}),
        replace(REPORT, metrics={}, differences={}, deciles=deciles, slices=slices, classification=sevens),
    )
    figures = re.findall(r"[-+]?\d[\d.,]*%?", text.replace("F1", "").replace("Apache-2.0", ""))
    # Beside the sevens: the level of the intervals, and the label that is scored.
    assert set(figures) == {"1", "95%", "7", "7.000", "7.0000"}


@pytest.mark.parametrize("value", ["a|b", "a\nb"])
def test_values_cannot_break_a_table(value):
    table = section(card(replace(SUBJECT, facts={"table": value})), "Training data")
    assert len(table.splitlines()) == 3
    assert re.search(r"\| table \| a(\\\|| )b \|", table)
