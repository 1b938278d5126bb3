"""Metrics."""

from dataclasses import astuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from jobs.evaluation.classification import choose_threshold, classify, most_confusing
from jobs.evaluation.metrics import measure, to_probabilities
from jobs.evaluation.ranking import decile_table
from jobs.sequences.app_sequences import AppSequences


def test_metrics_are_those_worked_out_by_hand():
    metrics = measure(np.array([0, 1, 0, 1], np.int8), np.array([0.1, 0.9, 0.6, 0.4]))
    assert metrics.auc == pytest.approx(3 / 4)  # of four pairs, 0.4 against 0.6 is wrong
    assert metrics.gini == pytest.approx(1 / 2)
    assert metrics.ks == pytest.approx(1 / 2)  # above 0.6 are half of the bad users and none of the good
    assert metrics.pr_auc == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert metrics.log_loss == pytest.approx(-np.log([0.9, 0.9, 0.4, 0.4]).mean())
    assert metrics.brier == pytest.approx((0.01 + 0.01 + 0.36 + 0.36) / 4)
    assert metrics.ece == pytest.approx((0.1 + 0.1 + 0.6 + 0.6) / 4)  # four users are four bins


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=2, max_size=60))
def test_ks_is_the_two_sample_statistic_and_gini_follows_auc(users):
    users = [(True, 2), (False, 2), *users]  # both labels
    labels, scores = np.array(users, np.int8).T
    bads, goods = scores[labels == 1], scores[labels == 0]
    metrics = measure(labels, scores / 4)
    assert metrics.ks == pytest.approx(ks_2samp(bads, goods, method="asymp").statistic)
    assert metrics.gini == pytest.approx(2 * metrics.auc - 1)


def test_calibration_error_compares_ten_bins_of_equal_numbers():
    scores = np.linspace(0.2499, 0.2501, 200)
    everywhere = np.tile([0, 0, 0, 1], 50).astype(np.int8)  # a quarter of any bin
    assert measure(everywhere, scores).ece == pytest.approx(0.0, abs=1e-3)
    assert measure(everywhere, scores + 0.5).ece == pytest.approx(0.5, abs=1e-3)
    # A half of the upper bins and none of the lower: by width all would be one bin, and no error seen.
    above = np.array([0, 0] * 50 + [0, 1] * 50, np.int8)
    assert measure(above, scores).ece == pytest.approx(0.25, abs=1e-3)


def test_equal_scores_are_measured_the_same_in_any_order():
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], np.int8)
    scores = np.full(12, 0.25)
    assert measure(labels, scores).ece == pytest.approx(0.0)  # sorted, the bins would be 1, 1, 0, 0, …
    np.testing.assert_allclose(decile_table(labels, scores)["lift"], 1.0)
    assert astuple(measure(labels[::-1], scores)) == pytest.approx(astuple(measure(labels, scores)))


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1], []])
@pytest.mark.parametrize("function", [measure, decile_table, choose_threshold, classify])
def test_labels_of_one_kind_are_refused(function, labels):
    with pytest.raises(ValueError, match="need labels 0 and 1, both"):
        function(np.array(labels, np.int8), np.full(len(labels), 0.5))


@pytest.mark.parametrize("scores", [[0.1, np.nan], [0.1, 0.2, 0.3], [0.1, 1.2]])
def test_what_is_not_a_probability_of_each_user_is_refused(scores):
    with pytest.raises(ValueError, match=r"finite score|y_prob"):
        measure(np.array([0, 1], np.int8), np.array(scores))


def test_deciles_count_users_bads_and_lift_from_the_riskiest_on():
    labels = np.array([1, 1, 1, 0, *[0] * 15, 1], np.int8)  # 4 of 20 are bad
    scores = np.linspace(0.95, 0.0, 20)
    deciles = decile_table(labels, scores)
    assert deciles["decile"].tolist() == list(range(1, 11))
    assert deciles["users"].tolist() == [2] * 10
    assert deciles["mean_score"].iloc[0] == pytest.approx((0.95 + 0.90) / 2)
    assert deciles["bad_rate"].tolist() == pytest.approx([1.0, 0.5, *[0.0] * 7, 0.5])
    assert deciles["lift"].tolist() == pytest.approx([5.0, 2.5, *[0.0] * 7, 2.5])
    assert deciles["cumulative_bad_share"].tolist() == pytest.approx([0.5, *[0.75] * 8, 1.0])


def test_deciles_differ_by_one_user_at_most_and_few_users_are_fewer_groups():
    labels = np.tile([0, 1], 20).astype(np.int8)
    scores = np.linspace(0, 1, 40)
    assert sorted(decile_table(labels[:17], scores[:17])["users"]) == [1, 1, 1, *[2] * 7]
    assert decile_table(labels[:3], scores[:3])["users"].tolist() == [1, 1, 1]


def test_the_threshold_is_the_score_where_the_distance_is_largest():
    labels = np.array([0, 0, 1, 0, 1, 1], np.int8)
    scores = np.array([0.1, 0.2, 0.3, 0.05, 0.5, 0.6])
    assert choose_threshold(labels, scores) == 0.3
    assert np.isfinite(choose_threshold(labels, -scores))  # even where nobody is best taken for bad


def test_users_at_the_threshold_or_above_are_taken_for_bad():
    labels = np.array([0, 0, 0, 1, 1], np.int8)
    scores = np.array([0.1, 0.2, 0.5, 0.5, 0.4])
    result = classify(labels, scores, threshold=0.5)
    assert result.confusion.tolist() == [[2, 1], [1, 1]]
    assert result.report["bad"]["precision"] == result.report["bad"]["recall"] == 0.5
    assert result.report["good"]["support"] == 3
    assert result.report_text.split()[:5] == ["precision", "recall", "f1-score", "support", "good"]
    assert classify(labels, scores).threshold == choose_threshold(labels, scores)


@pytest.mark.filterwarnings("error")
def test_a_threshold_that_nobody_reaches_still_has_a_report():
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


def test_extreme_logits_keep_their_order():
    probabilities = to_probabilities(np.array([-40.0, 0.0, 30.0], np.float32))
    assert probabilities[0] < probabilities[1] == 0.5 < probabilities[2] < 1.0
