"""Scoring training users by members that have not seen them."""

import numpy as np
import pytest

from jobs.evaluation.metrics import to_probabilities
from jobs.training.encoder_trainer import EncoderTrainer
from jobs.training.fit.classifier import StartingPoint, fit_for_steps
from jobs.training.fit.head_bias import fit_head_bias
from jobs.training.fit.options import TrainingOptions
from jobs.training.fit.predict import predict_logits
from jobs.training.held_out import HeldOut, score_held_out
from jobs.training_set.folds import Fold
from tests.made_up.labelled_sequences import SMALL, made_up_users

pytestmark = pytest.mark.slow

DATA = made_up_users(240, seed=1)
FOLDS = [Fold(np.arange(60, 240), np.arange(60))]
# A high learning rate overfits 180 users at once: the best epoch is not the last.
OVERFITTING = TrainingOptions(seed=3, batch_size=32, learning_rate=0.01, max_epochs=16, patience=2)


def score(*seeds: TrainingOptions) -> tuple[dict[str, list[int]], HeldOut]:
    """What the folds find, and the steps of each reported epoch by part."""
    parts: dict[str, list[int]] = {}
    trainer = EncoderTrainer(
        SMALL,
        seeds,
        on_epoch=lambda part, epoch: parts.setdefault(part, []).append(epoch.steps),
        checkpoints=None,
    )
    return parts, score_held_out(DATA, FOLDS, trainer, starts=[{}])


def test_the_encoder_that_scores_a_fold_is_trained_to_the_end_of_a_schedule_of_the_best_length():
    parts, found = score(OVERFITTING)
    best = found.fits[0].best_epoch
    assert best.steps == found.best_steps < parts["fold 1 of 1"][-1]
    assert parts["fold 1 again"][-1] == best.steps
    stopped = found.fits[0].model(DATA.tokens.padded(FOLDS[0].held_out), training=False).numpy()
    assert np.abs(found.logits["encoder"] - stopped).max() > 0.1


@pytest.fixture(scope="module")
def one_epoch() -> tuple[dict[str, list[int]], HeldOut]:
    """A schedule that ends too early for the encoder to overfit."""
    return score(OVERFITTING.model_copy(update={"max_epochs": 1, "class_weights": "balanced"}))


def test_an_encoder_that_is_best_at_the_end_of_its_schedule_scores_its_fold_itself(one_epoch):
    parts, found = one_epoch
    assert list(parts) == ["fold 1 of 1"]
    logits = found.fits[0].model(DATA.tokens.padded(FOLDS[0].held_out), training=False).numpy()
    assert found.logits["encoder"] == pytest.approx(logits, abs=1e-5)


def test_the_mean_probability_of_the_users_a_folds_encoder_was_fitted_on_is_their_bad_rate(one_epoch):
    _, found = one_epoch
    fitted = DATA.take(FOLDS[0].fitted)
    probabilities = to_probabilities(predict_logits(found.fits[0].model, fitted.tokens))
    assert probabilities.mean() == pytest.approx(fitted.labels.mean(), abs=1e-5)


def test_a_fold_is_scored_by_the_average_of_all_its_encoders():
    seeds = [OVERFITTING.model_copy(update={"seed": seed, "max_epochs": 1}) for seed in (3, 4)]
    _, found = score(*seeds)
    fitted, held_out = (DATA.take(indices) for indices in (FOLDS[0].fitted, FOLDS[0].held_out))
    second = fit_for_steps(
        found.best_steps,
        SMALL,
        seeds[1],
        fitted,
        [].append,
        StartingPoint(weights={}, checkpoint_folder=None),
    ).model
    fit_head_bias(second, fitted)
    logits = [predict_logits(encoder, held_out.tokens) for encoder in (found.encoders[0], second)]
    assert np.abs(logits[0] - logits[1]).max() > 0.01
    assert found.logits["encoder"] == pytest.approx(np.mean(logits, axis=0), abs=1e-5)
