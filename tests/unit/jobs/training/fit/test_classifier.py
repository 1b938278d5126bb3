"""Training one classifier."""

import numpy as np
import pytest

from jobs.evaluation.metrics import measure, to_probabilities
from jobs.training.fit.batches import (
    LabelledSequences,
)
from jobs.training.fit.classifier import Fit, StartingPoint, fit_classifier
from jobs.training.fit.options import TrainingOptions
from jobs.training.fit.predict import predict_logits
from tests.made_up.labelled_sequences import OPTIONS, Parts, assert_same_weights, build_average

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fit(parts: Parts) -> Fit:
    return fit_classifier(parts[0], OPTIONS, parts[1], parts[2], on_epoch=[].append)


def fit_average(parts: Parts, **settings: object) -> Fit:
    options = TrainingOptions(**{"batch_size": 32, "learning_rate": 0.01, "max_epochs": 2, **settings})
    return fit_classifier(
        parts[0], options, parts[1], parts[2], [].append, StartingPoint(build=build_average)
    )


def test_the_loss_falls(fit):
    assert fit.epochs[-1].training_loss < fit.epochs[0].training_loss


def test_the_weights_are_those_of_the_best_epoch(fit, parts):
    validation = parts[2]
    auc = measure(validation.labels, to_probabilities(predict_logits(fit.model, validation.tokens))).auc
    assert auc == pytest.approx(max(epoch.validation_auc for epoch in fit.epochs), abs=1e-6)
    assert auc == pytest.approx(fit.best_epoch.validation_auc, abs=1e-6)


def test_training_stops_when_validation_auc_has_not_risen_for_as_long_as_patience(fit):
    # A high learning rate overfits 180 users at once.
    assert len(fit.epochs) < OPTIONS.max_epochs
    assert len(fit.epochs) == fit.best_epoch.number + OPTIONS.patience


def test_the_same_seed_trains_the_same_weights_to_the_last_bit(fit, parts):
    again = fit_classifier(parts[0], OPTIONS, parts[1], parts[2], [].append)
    assert_same_weights(fit.model, again.model)
    assert [epoch.training_loss for epoch in fit.epochs] == [epoch.training_loss for epoch in again.epochs]


def test_as_many_steps_without_validation_users_train_the_weights_that_were_best_with_them(parts):
    config, train, validation = parts
    # A schedule without an end: the rate of a step does not hang on how many there will be.
    options = OPTIONS.model_copy(update={"schedule": "inverse_square_root", "learning_rate": 0.5})
    searched = fit_classifier(
        config, options, train, validation, [].append, StartingPoint(build=build_average)
    )
    # 180 users in batches of 32: 6 steps an epoch.
    assert 6 <= searched.best_steps < len(searched.epochs) * 6
    steps = searched.best_steps
    stopped = options.model_copy(update={"max_steps": steps})
    repeated = fit_classifier(config, stopped, train, None, [].append, StartingPoint(build=build_average))
    assert_same_weights(searched.model, repeated.model)
    assert repeated.best_epoch == repeated.epochs[-1]
    assert np.isnan(repeated.epochs[-1].validation_auc)


def test_each_evaluation_is_reported_once_and_the_last_one_comes_with_the_last_step(parts):
    options = TrainingOptions(batch_size=32, max_epochs=2, evaluate_every_steps=5, patience=9)
    reported = []
    fit = fit_classifier(
        parts[0], options, parts[1], parts[2], reported.append, StartingPoint(build=build_average)
    )
    # 180 users in batches of 32: 6 steps an epoch.
    assert [(epoch.number, epoch.steps) for epoch in reported] == [(1, 5), (2, 10), (3, 12)]
    assert fit.epochs == reported


def test_balanced_class_weights_move_the_mean_probability_to_a_half(parts):
    config, train, validation = parts
    rare = LabelledSequences(train.tokens, (np.arange(180) % 10 == 0).astype(np.int8))
    means = []
    for name in ("none", "balanced"):
        options = TrainingOptions(class_weights=name, learning_rate=0.05, max_epochs=6)
        trained = fit_classifier(config, options, rare, None, [].append, StartingPoint(build=build_average))
        means.append(to_probabilities(predict_logits(trained.model, validation.tokens)).mean())
    assert means[0] < 0.3
    assert means[1] == pytest.approx(0.5, abs=0.1)


def test_the_rate_falls_on_a_plateau_in_a_training(parts):
    settings = {"max_epochs": 6, "patience": 9, "learning_rate": 0.3}
    undisturbed = fit_average(parts, **settings)
    halved = fit_average(parts, **settings, reduce_on_plateau_patience=1)
    assert halved.epochs[0].training_loss == undisturbed.epochs[0].training_loss
    assert halved.epochs[-1].training_loss != undisturbed.epochs[-1].training_loss
