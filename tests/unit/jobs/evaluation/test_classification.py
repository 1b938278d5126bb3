"""Thresholds, and the classification by them."""

import numpy as np
import pyarrow as pa
import pytest

from jobs.evaluation.classification import choose_threshold, classify, most_confusing
from jobs.sequences.app_sequences import AppSequences


def test_the_threshold_is_the_score_where_the_distance_is_largest():
    labels = np.array([0, 0, 1, 0, 1, 1], np.int8)
    scores = np.array([0.1, 0.2, 0.3, 0.05, 0.5, 0.6])
    assert choose_threshold(labels, scores) == 0.3
    assert np.isfinite(
        choose_threshold(labels, -scores)
    )  # even if the best threshold classifies no user as bad


def test_users_at_the_threshold_or_above_are_classified_as_bad():
    labels = np.array([0, 0, 0, 1, 1], np.int8)
    scores = np.array([0.1, 0.2, 0.5, 0.5, 0.4])
    result = classify(labels, scores, threshold=0.5)
    assert result.confusion.tolist() == [[2, 1], [1, 1]]
    assert result.report["bad"]["precision"] == result.report["bad"]["recall"] == 0.5
    assert result.report["good"]["support"] == 3
    assert result.report_text.split()[:5] == ["precision", "recall", "f1-score", "support", "good"]
    assert classify(labels, scores).threshold == choose_threshold(labels, scores)


@pytest.mark.filterwarnings("error")
def test_a_threshold_above_all_scores_still_has_a_report():
    result = classify(np.array([0, 1], np.int8), np.array([0.1, 0.2]), threshold=0.9)
    assert result.confusion.tolist() == [[1, 0], [1, 0]]
    assert result.report["bad"]["precision"] == 0.0


def test_the_most_confidently_wrong_come_first_with_the_end_of_their_installs():
    apps = AppSequences.of_lists(
        pa.array([["a"], ["b"], [f"app {i}" for i in range(9)], ["com.example.a.very.long.name.of.game"]])
    )
    users = most_confusing(
        np.array(["u0", "u1", "u2", "u3"], object),
        np.array([0, 1, 0, 1], np.int8),
        np.array([0.1, 0.9, 0.8, 0.05]),
        apps,
        count=2,
    )
    assert users["user_id"].tolist() == ["u3", "u2"]
    assert users["label"].tolist() == ["bad", "good"]
    assert users["score"].tolist() == [0.05, 0.8]
    assert users["last_apps"].tolist() == [
        "….very.long.name.of.game",  # 24 characters
        "… > app 4 > app 5 > app 6 > app 7 > app 8",
    ]
