"""Training one classifier."""

import keras
import numpy as np
import pytest

from jobs.encoder.classifier import EncoderConfig
from jobs.training.dataset import split_by_user
from jobs.training.evaluate import measure, to_probabilities
from jobs.training.fit import LabelledSequences, fit_classifier, training_batches, training_precision
from jobs.training.options import TrainingOptions
from jobs.training.predict import predict_logits
from jobs.training.schedule import WarmUpInverseSquareRoot
from jobs.training.vocabulary import build_vocabulary
from tests.unit.training.synthetic import made_up_examples

OPTIONS = TrainingOptions(seed=3, batch_size=32, learning_rate=0.01, max_epochs=8, patience=2)


@pytest.fixture(scope="module")
def parts() -> tuple[EncoderConfig, LabelledSequences, LabelledSequences]:
    split = split_by_user(made_up_examples(300))
    vocabulary = build_vocabulary(split.train.app_ids, min_count=2, max_size=1000)
    config = EncoderConfig(vocabulary.size, hidden_dim=8, num_layers=1, num_heads=2, intermediate_dim=16)
    train, validation = (
        LabelledSequences(vocabulary.encode(part.app_ids, 128), part.labels)
        for part in (split.train, split.validation)
    )
    return config, train, validation


@pytest.fixture(scope="module")
def fit(parts):
    return fit_classifier(parts[0], OPTIONS, parts[1], parts[2], report=[].append)


def test_the_loss_falls(fit):
    assert fit.epochs[-1].training_loss < fit.epochs[0].training_loss


def test_the_weights_are_those_of_the_best_epoch(fit, parts):
    validation = parts[2]
    auc = measure(validation.labels, to_probabilities(predict_logits(fit.model, validation.tokens))).auc
    assert auc == pytest.approx(max(epoch.validation_auc for epoch in fit.epochs), abs=1e-3)
    assert auc == pytest.approx(fit.best_epoch.validation_auc, abs=1e-3)


def test_training_stops_when_validation_auc_has_not_risen_for_as_long_as_patience(fit):
    # A high learning rate overfits 180 users at once.
    assert len(fit.epochs) < OPTIONS.max_epochs
    assert len(fit.epochs) == fit.best_epoch.number + OPTIONS.patience


def test_the_same_seed_trains_the_same_epochs(parts):
    config, train, validation = parts
    options = TrainingOptions(seed=3, batch_size=32, max_epochs=1)
    once, again = (fit_classifier(config, options, train, validation, [].append) for _ in range(2))
    assert once.epochs[0].validation_auc == again.epochs[0].validation_auc
    assert once.epochs[0].training_loss == pytest.approx(again.epochs[0].training_loss, rel=1e-5)


def test_each_epoch_is_reported_once(parts):
    config, train, validation = parts
    reported = []
    fit_classifier(config, TrainingOptions(max_epochs=2), train, validation, reported.append)
    assert [epoch.number for epoch in reported] == [1, 2]


def test_training_batches_are_as_long_as_their_own_longest_sequence(parts):
    _, train, _ = parts
    widths = set()
    for token_ids, labels in training_batches(train, OPTIONS):
        assert (token_ids.numpy()[:, -1] != 0).any()
        assert len(labels) <= OPTIONS.batch_size
        widths.add(token_ids.shape[1])
    assert len(widths) > 1


def test_predictions_keep_the_order_of_the_sequences(fit, parts, monkeypatch):
    tokens = parts[1].tokens
    monkeypatch.setattr("jobs.training.predict.PREDICTION_BATCH_SIZE", 7)
    one_by_one = [fit.model(tokens.padded(np.array([i])), training=False).numpy().item() for i in range(20)]
    np.testing.assert_allclose(predict_logits(fit.model, tokens)[:20], one_by_one, atol=1e-5)


def test_precision_is_mixed_on_a_gpu_alone_and_set_back_afterwards(monkeypatch):
    with training_precision():
        assert keras.config.dtype_policy().name == "float32"
    monkeypatch.setattr("jobs.training.fit.sees_gpu", lambda: True)
    with training_precision():
        assert keras.config.dtype_policy().name == "mixed_float16"
    assert keras.config.dtype_policy().name == "float32"


def test_a_classifier_trained_in_mixed_precision_comes_back_in_float32(parts, monkeypatch):
    config, train, validation = parts
    monkeypatch.setattr("jobs.training.fit.sees_gpu", lambda: True)
    trained = fit_classifier(config, TrainingOptions(max_epochs=1), train, validation, [].append)
    assert trained.model.get_layer("encoder").compute_dtype == "float32"
    assert np.isfinite(trained.epochs[0].training_loss)


def test_the_learning_rate_rises_to_its_peak_and_falls_with_the_root_of_the_step():
    schedule = WarmUpInverseSquareRoot(peak=0.4, warmup_steps=10)
    rates = [float(schedule(step)) for step in (0, 4, 9, 39)]
    np.testing.assert_allclose(rates, [0.04, 0.2, 0.4, 0.2], rtol=1e-6)


@pytest.mark.parametrize(
    "setting", ["batch_size", "max_epochs", "patience", "learning_rate", "warmup_epochs"]
)
def test_an_option_that_cannot_work_is_named(setting):
    with pytest.raises(ValueError, match=f"{setting} must be .*, got 0"):
        TrainingOptions(**{setting: 0})
