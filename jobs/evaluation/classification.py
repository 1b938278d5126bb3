"""Classification of users as good or bad by a threshold.

In   labels 0 (good) or 1 (bad), probabilities      (examples,)
Out  Classification   threshold, confusion matrix, precision and recall of good and bad users
     confusing users  user_id  label  score  last_apps, the most confidently wrong first
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import classification_report, confusion_matrix, roc_curve

from jobs.evaluation.ranking import Floats, Integers, check_labels
from jobs.sequences.app_sequences import AppSequences

CLASS_NAMES = ("good", "bad")  # of label 0 and label 1
SHOWN_APPS = 5
SHOWN_CHARACTERS = 24


@dataclass(frozen=True)
class Classification:
    """Confusion matrix and rates at a threshold: users at or above it are classified as bad."""

    threshold: float
    confusion: NDArray[np.int64]  # (true, predicted), good before bad
    report: dict[str, Any]  # scikit-learn's: "good" and "bad" -> precision, recall, f1-score, support
    report_text: str  # the same as text


def choose_threshold(labels: Integers, probabilities: Floats) -> float:
    """Choose the threshold that maximises true minus false positive rate.

    The maximum is J of Youden (1950), "Index for rating diagnostic tests", which is also the KS distance.
    Choose on validation users: on the users that are measured afterwards, the result would be too good.

    Raises:
        ValueError: the labels are of one kind only.
    """
    check_labels(labels)
    false_positives, true_positives, thresholds = roc_curve(labels, probabilities)
    # The first threshold is infinite and classifies no user as bad.
    return float(thresholds[1:][np.argmax((true_positives - false_positives)[1:])])


def classify(labels: Integers, probabilities: Floats, threshold: float | None = None) -> Classification:
    """Classify users at or above `threshold` as bad; by default it is chosen on these labels.

    Raises:
        ValueError: no threshold is given and the labels are of one kind only.
    """
    if threshold is None:
        threshold = choose_threshold(labels, probabilities)
    predicted = (probabilities >= threshold).astype(np.int64)
    # A class without users, or never predicted, gets precision and recall 0 without a warning.
    arguments: dict[str, Any] = {"labels": [0, 1], "target_names": CLASS_NAMES, "zero_division": 0.0}
    return Classification(
        threshold=threshold,
        confusion=confusion_matrix(labels, predicted, labels=[0, 1]),
        report=classification_report(labels, predicted, output_dict=True, **arguments),
        report_text=classification_report(labels, predicted, digits=3, **arguments),
    )


def most_confusing(
    user_ids: NDArray[np.object_],
    labels: Integers,
    probabilities: Floats,
    app_ids: AppSequences,
    count: int = 15,
) -> pd.DataFrame:
    """Users whose scores are furthest from their labels: user_id, label (good, bad), score, last_apps."""
    worst = np.argsort(-np.abs(labels - probabilities), kind="stable")[:count]
    return pd.DataFrame(
        {
            "user_id": user_ids[worst],
            "label": [CLASS_NAMES[label] for label in labels[worst]],
            "score": probabilities[worst],
            "last_apps": [_shorten(apps) for apps in app_ids.take(worst).to_lists().to_pylist()],
        }
    )


def _shorten(apps: list[str]) -> str:
    # The end of a package name is more informative than its start.
    flat = [" ".join(app.split()) for app in apps[-SHOWN_APPS:]]
    short = [app if len(app) <= SHOWN_CHARACTERS else "…" + app[1 - SHOWN_CHARACTERS :] for app in flat]
    return " > ".join(["…", *short] if len(apps) > SHOWN_APPS else short)
