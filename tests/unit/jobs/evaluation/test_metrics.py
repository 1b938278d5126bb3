"""Metrics of probabilities."""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from jobs.evaluation.classification import choose_threshold, classify
from jobs.evaluation.metrics import measure, to_probabilities
from jobs.evaluation.ranking import decile_table


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
def test_scores_that_are_not_one_probability_per_user_are_refused(scores):
    with pytest.raises(ValueError, match=r"finite score|y_prob"):
        measure(np.array([0, 1], np.int8), np.array(scores))


def test_extreme_logits_keep_their_order():
    probabilities = to_probabilities(np.array([-40.0, 0.0, 30.0], np.float32))
    assert probabilities[0] < probabilities[1] == 0.5 < probabilities[2] < 1.0
