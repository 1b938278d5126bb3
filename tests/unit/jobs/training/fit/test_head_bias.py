"""Fitting an encoder's bias once more."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from sklearn.metrics import log_loss

from jobs.evaluation.metrics import to_probabilities
from jobs.training.fit.head_bias import fit_head_bias
from jobs.training.fit.predict import predict_logits
from jobs.training_set.weighted_sample import draw_weighted_sample
from tests.made_up.labelled_sequences import RISKY_TOKENS, SMALL, build_average, made_up_users

USERS = made_up_users(300, seed=1)
BAD_RATE = USERS.labels.mean()


def predict(classifier: keras.Model) -> np.ndarray:
    return predict_logits(classifier, USERS.tokens).astype(float)


def build_off(bias: float) -> keras.Model:
    """A classifier of random weights and a given bias."""
    keras.utils.set_random_seed(0)
    classifier = build_average(SMALL)
    classifier.get_layer("head").bias.assign([bias])
    return classifier


@pytest.mark.parametrize("bias", [-30.0, 0.7, 12.0])
def test_however_far_off_the_mean_probability_becomes_the_bad_rate(bias):
    classifier = build_off(bias)
    fit_head_bias(classifier, USERS)
    assert to_probabilities(predict(classifier)).mean() == pytest.approx(BAD_RATE, abs=1e-5)


def test_no_bias_beside_it_has_a_lower_log_loss():
    classifier = build_off(0.7)
    fit_head_bias(classifier, USERS)
    logits = predict(classifier)
    fitted, *beside = (log_loss(USERS.labels, to_probabilities(logits + step)) for step in (0.0, -0.01, 0.01))
    assert fitted < min(beside)


def test_all_logits_move_by_the_same():
    classifier = build_off(0.7)
    before = predict(classifier)
    fit_head_bias(classifier, USERS)
    moved = predict(classifier) - before
    assert abs(moved.mean()) > 0.1
    assert np.ptp(moved) < 1e-5


def test_of_very_many_users_a_weighted_sample_is_enough(monkeypatch):
    monkeypatch.setattr("jobs.training_set.weighted_sample.LARGEST_SAMPLE", 100)
    classifier = build_off(0.7)
    # It knows what makes labels, or users of both labels would have the same logits and no weight would
    # matter.
    is_risky = (np.arange(SMALL.vocabulary_size) >= 3) & (np.arange(SMALL.vocabulary_size) < 3 + RISKY_TOKENS)
    classifier.get_layer("embedding").embeddings.assign(np.tile(10.0 * is_risky[:, None], 4))
    classifier.get_layer("head").kernel.assign(np.ones((4, 1)))
    fit_head_bias(classifier, USERS)
    chosen = draw_weighted_sample(USERS.labels)
    assert len(chosen.indices) == 100
    probabilities = to_probabilities(predict_logits(classifier, USERS.tokens.take(chosen.indices)))
    assert np.average(probabilities, weights=chosen.weights) == pytest.approx(BAD_RATE, abs=1e-5)


def test_a_diverged_training_is_refused():
    with pytest.raises(ValueError, match=r"diverged. Lower training.learning_rate"):
        fit_head_bias(build_off(float("nan")), USERS)


def test_users_of_one_label_are_refused():
    good = replace(USERS, labels=np.zeros_like(USERS.labels))
    with pytest.raises(ValueError, match=r"users of both labels, found 300 of bad rate 0\.0"):
        fit_head_bias(build_off(0.0), good)
