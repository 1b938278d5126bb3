"""Model card: facts to know before using a model, as Markdown.

In   a report on held-out users, and the facts about the training data
Out  "# Model card: risk_encoder …", in the sections of Mitchell et al. (2019), "Model Cards for Model
     Reporting", §4, https://arxiv.org/abs/1810.03993
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from jobs.evaluation.classification import CLASS_NAMES, Classification
from jobs.evaluation.intervals import LEVEL, Difference, Interval
from jobs.evaluation.markdown import write_interval, write_table
from jobs.evaluation.report import Report

GOOD, BAD = CLASS_NAMES
NONE = "-"

INTENDED_USE = f"""\
Scores users every night by the risk that they turn out {BAD}, from the apps that they have installed. The score is
the probability of label 1 among users like those of the training data.

- Intended: to order reviews, and as one of several inputs of a decision.
- Not intended: as the only input of a decision, for users without installs, or for users of another product or
  country than those of the training data."""

FACTORS = """\
Results are given by sequence length, by share of apps that are not in the vocabulary, and by month of the label. The
data does not hold age, gender or origin of a user, so such groups were not compared."""

ETHICS = """\
Installed apps can reveal health, faith, politics or poverty. A model that reads them can treat people unequally even
though none of these is an input. Compare protected groups if the law allows to know them. Give people who are refused
a reason and a contact person. Delete scores together with the data that they were made from."""

CAVEATS = """\
- Trained on installs only: nothing about income, repayment or identity.
- Labels are used as given: the model repeats their gaps and errors.
- Scores drift as apps come and go: compare score distribution and bad rate with those above, and train again.
- Intervals show the variation between samples of users of the same kind. They do not cover other seeds, other
  months, or kinds of users that the training data lacks.
- Intervals of ks and ece are too high: resampling adds noise, which raises maxima and absolute values."""

LICENCE = """\
Code: Apache-2.0. The model inherits the terms of the data it was trained on."""


@dataclass(frozen=True)
class CardSubject:
    """The model that a card is about, and the data behind it."""

    model_name: str
    run_id: str
    parameters: Mapping[str, object]  # sizes and training options
    facts: Mapping[
        str, object
    ]  # of the training set: table, snapshot id, landing days, training date, counts
    split_method: str  # how users were assigned to parts, such as "by a hash of the user id"
    split: Mapping[str, Mapping[str, object]]  # part -> counts, such as {"users": 600, "examples": 600}


def write_model_card(subject: CardSubject, report: Report) -> str:
    """Write the card from the figures of one run."""
    sections = {
        "Model details": _model_details(subject),
        "Intended use": INTENDED_USE,
        "Factors": FACTORS,
        "Metrics": _metrics(report.classification),
        "Evaluation data": _evaluation_data(subject),
        "Training data": _pairs("fact", subject.facts),
        "Quantitative analyses": _analyses(report),
        "Ethical considerations": ETHICS,
        "Caveats and recommendations": CAVEATS,
        "Licence": LICENCE,
    }
    texts = [
        f"# Model card: {subject.model_name}",
        *(f"## {title}\n\n{text}" for title, text in sections.items()),
    ]
    return "\n\n".join(texts) + "\n"


def _model_details(subject: CardSubject) -> str:
    text = (
        f"Model `{subject.model_name}` of MLflow run `{subject.run_id}`: a binary classifier that reads the apps of a "
        "user in the order of their installs."
    )
    return f"{text}\n\n{_pairs('parameter', subject.parameters)}" if subject.parameters else text


def _metrics(classification: Classification) -> str:
    return "\n".join(
        [
            "- auc, gini, ks, pr_auc: how well scores rank bad users above good ones. Higher is better.",
            "- log_loss, brier, ece: distance of scores from outcomes. Lower is better.",
            f"- Intervals: {LEVEL:.0%}, percentile bootstrap over users.",
            f"- Threshold: users at or above {classification.threshold:.4f} are classified as {BAD}.",
        ]
    )


def _evaluation_data(subject: CardSubject) -> str:
    columns = list(dict.fromkeys(name for counts in subject.split.values() for name in counts))
    rows = [[part, *(counts.get(name, "") for name in columns)] for part, counts in subject.split.items()]
    text = f"Users are split {subject.split_method}; no user is in two parts. All figures below are of the test part."
    return f"{text}\n\n{write_table(['part', *columns], rows)}"


def _analyses(report: Report) -> str:
    parts = {"Held-out users": _metric_table(report.metrics)}
    if report.differences:
        parts["Model minus baseline"] = _difference_table(report.differences)
    parts["At the threshold"] = _classification_tables(report.classification)
    parts["Calibration and deciles"] = _decile_table(report.deciles)
    parts["Slices"] = _slice_table(report.slices)
    return "\n\n".join(f"### {title}\n\n{text}" for title, text in parts.items())


def _metric_table(metrics: Mapping[str, Mapping[str, Interval]]) -> str:
    names = list(dict.fromkeys(metric for intervals in metrics.values() for metric in intervals))
    rows = [
        [
            name,
            *(write_interval(intervals[name]) if name in intervals else "" for intervals in metrics.values()),
        ]
        for name in names
    ]
    return write_table(["metric", *metrics], rows)


def _difference_table(differences: Mapping[str, Mapping[str, Difference]]) -> str:
    rows = [
        [
            baseline,
            metric,
            write_interval(difference),
            f"{difference.standard_error:.4f}",
            _verdict(difference),
        ]
        for baseline, by_metric in differences.items()
        for metric, difference in by_metric.items()
    ]
    return write_table(["baseline", "metric", "difference", "standard error", "reading"], rows)


def _verdict(difference: Difference) -> str:
    sure = "beyond chance: the interval excludes 0"
    return sure if difference.is_sure else "may be chance: the interval holds 0"


def _classification_tables(classification: Classification) -> str:
    confusion = [
        [f"is {name}", *row] for name, row in zip(CLASS_NAMES, classification.confusion, strict=True)
    ]
    rates = [
        [name, *(f"{classification.report[name][rate]:.3f}" for rate in ("precision", "recall", "f1-score"))]
        for name in CLASS_NAMES
    ]
    confusion_table = write_table(["users", f"classified as {GOOD}", f"classified as {BAD}"], confusion)
    return f"{confusion_table}\n\n{write_table(['class', 'precision', 'recall', 'F1'], rates)}"


def _decile_table(deciles: pd.DataFrame) -> str:
    rows = [
        [
            row["decile"],
            row["users"],
            f"{row['mean_score']:.4f}",
            write_interval(Interval(row["bad_rate"], row["bad_rate_low"], row["bad_rate_high"])),
            write_interval(Interval(row["lift"], row["lift_low"], row["lift_high"]), ".2f"),
            f"{row['cumulative_bad_share']:.1%}",
        ]
        for row in deciles.to_dict("records")
    ]
    text = "If scores are calibrated, mean score and bad rate are equal in each decile."
    header = ["decile", "users", "mean score", "bad rate", "lift", "bad users so far"]
    return f"{text}\n\n{write_table(header, rows)}"


def _slice_table(slices: pd.DataFrame) -> str:
    rows = [
        [
            f"{row['slicing']} {row['slice']}",
            row["users"],
            *(f"{row[name]:.4f}" if row["users"] else NONE for name in ("bad_rate", "mean_score")),
            NONE
            if pd.isna(row["auc"])
            else write_interval(Interval(row["auc"], row["auc_low"], row["auc_high"])),
        ]
        for row in slices.to_dict("records")
    ]
    return write_table(["slice", "users", "bad rate", "mean score", "auc"], rows)


def _pairs(kind: str, values: Mapping[str, object]) -> str:
    return write_table([kind, "value"], [[name.replace("_", " "), value] for name, value in values.items()])
