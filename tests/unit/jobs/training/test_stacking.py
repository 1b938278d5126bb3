"""Stacking: weights from held-out logits."""

import numpy as np
import pytest

from jobs.training.stacking import Stack, fit_stack, fit_stacks

RANDOM = np.random.default_rng(5)
TRUE_LOGITS = RANDOM.normal(0, 1.5, 4_000)
LABELS = (RANDOM.random(4_000) < 1 / (1 + np.exp(-TRUE_LOGITS))).astype(np.int8)
NOISE = RANDOM.normal(0, 1.0, 4_000)


def test_one_model_is_calibrated_as_by_platt():
    stack = fit_stack({"overconfident": 3.0 * TRUE_LOGITS - 2.0}, LABELS)
    assert stack.weights["overconfident"] == pytest.approx(1 / 3, abs=0.03)
    assert stack.intercept == pytest.approx(2 / 3, abs=0.1)


def test_noise_gets_no_weight():
    stack = fit_stack({"good": TRUE_LOGITS, "noise": NOISE}, LABELS)
    assert stack.weights["noise"] < 0.1  # two standard errors
    assert stack.weights["good"] > 0.9


def test_a_model_that_ranks_the_wrong_way_gets_weight_zero():
    stack = fit_stack({"good": TRUE_LOGITS + NOISE, "upside down": -TRUE_LOGITS}, LABELS)
    assert stack.weights["upside down"] == 0.0


def test_two_views_of_the_truth_share_the_weight():
    first, second = TRUE_LOGITS + NOISE, TRUE_LOGITS - NOISE
    stack = fit_stack({"first": first, "second": second}, LABELS)
    assert stack.weights["first"] == pytest.approx(0.5, abs=0.1)
    assert stack.weights["second"] == pytest.approx(0.5, abs=0.1)


def test_labels_that_a_model_separates_get_finite_weights():
    stack = fit_stack({"perfect": np.where(LABELS == 1, 1.0, -1.0)}, LABELS)
    assert 0 < stack.weights["perfect"] < 50


def test_logits_are_combined_by_name():
    stack = Stack({"a": 2.0, "b": 0.5}, intercept=1.0)
    combined = stack.combine({"b": np.array([4.0]), "a": np.array([3.0]), "unused": np.array([9.0])})
    np.testing.assert_allclose(combined, [9.0])


def test_members_without_a_weight_are_not_used_unless_all_are():
    assert Stack({"a": 2.0, "b": 0.0}, intercept=1.0).used == {"a": 2.0}
    assert Stack({"a": 0.0, "b": 0.0}, intercept=1.0).used == {"a": 0.0, "b": 0.0}


def test_a_doubtful_model_that_looks_good_by_chance_gets_no_weight():
    labels, nothing = LABELS[:1_200], NOISE[1_200:2_400]
    random = np.random.default_rng(6)
    seeds = [random.normal(0, 1.0, 1_200) for _ in range(20)]
    best_by_chance = max(seeds, key=lambda noise: np.corrcoef(noise, labels)[0, 1])
    logits = {"bag": nothing, "encoder": best_by_chance}
    assert fit_stack(logits, labels).weights["encoder"] > 0.05  # without the criterion it gets a weight
    stack, without = fit_stacks(logits, labels, doubtful="encoder")
    assert stack.weights == {"bag": without.weights["bag"], "encoder": 0.0}
    assert stack.intercept == without.intercept


def test_a_doubtful_model_with_enough_evidence_is_weighted_like_any_other():
    logits = {"bag": TRUE_LOGITS + 2.0 * NOISE, "encoder": TRUE_LOGITS - NOISE}
    stack, without = fit_stacks(logits, LABELS, doubtful="encoder")
    assert stack == fit_stack(logits, LABELS)
    assert without == fit_stack({"bag": logits["bag"]}, LABELS)
