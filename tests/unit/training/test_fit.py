"""Training one classifier."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from jobs.encoder.classifier import EncoderConfig, build_classifier
from jobs.evaluation.metrics import measure, to_probabilities
from jobs.sequences.token_sequences import TokenSequences
from jobs.training.fit.batches import (
    LabelledSequences,
    TooShortError,
    class_weights,
    drop_installs,
    measure_length,
    steps_per_epoch,
    training_batches,
)
from jobs.training.fit.classifier import Fit, fit_classifier
from jobs.training.fit.devices import training_precision
from jobs.training.fit.named_weights import EMBEDDINGS, read_weights
from jobs.training.fit.optimizer import app_rates, compile_classifier, make_optimizer
from jobs.training.fit.options import TrainingOptions
from jobs.training.fit.predict import predict_logits
from tests.unit.training.made_up_sequences import SMALL, assert_same_weights, build_average, made_up_users

OPTIONS = TrainingOptions(seed=3, batch_size=32, learning_rate=0.01, max_epochs=16, patience=2)
Parts = tuple[EncoderConfig, LabelledSequences, LabelledSequences]


@pytest.fixture(scope="module")
def parts() -> Parts:
    return SMALL, made_up_users(180, seed=1), made_up_users(60, seed=2)


@pytest.fixture(scope="module")
def fit(parts: Parts) -> Fit:
    return fit_classifier(parts[0], OPTIONS, parts[1], parts[2], report=[].append)


def fit_average(parts: Parts, **settings: object) -> Fit:
    options = TrainingOptions(**{"batch_size": 32, "learning_rate": 0.01, "max_epochs": 2, **settings})
    return fit_classifier(parts[0], options, parts[1], parts[2], [].append, build=build_average)


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
    searched = fit_classifier(config, options, train, validation, [].append, build=build_average)
    # 180 users in batches of 32: 6 steps an epoch.
    assert 6 <= searched.best_steps < len(searched.epochs) * 6
    steps = searched.best_steps
    stopped = options.model_copy(update={"max_steps": steps})
    repeated = fit_classifier(config, stopped, train, None, [].append, build=build_average)
    assert_same_weights(searched.model, repeated.model)
    assert repeated.best_epoch == repeated.epochs[-1]
    assert np.isnan(repeated.epochs[-1].validation_auc)


def test_each_evaluation_is_reported_once_and_the_last_one_comes_with_the_last_step(parts):
    options = TrainingOptions(batch_size=32, max_epochs=2, evaluate_every_steps=5, patience=9)
    reported = []
    fit = fit_classifier(parts[0], options, parts[1], parts[2], reported.append, build=build_average)
    # 180 users in batches of 32: 6 steps an epoch.
    assert [(epoch.number, epoch.steps) for epoch in reported] == [(1, 5), (2, 10), (3, 12)]
    assert fit.epochs == reported


def test_max_steps_ends_training_and_the_schedule():
    options = TrainingOptions(batch_size=32, max_epochs=4, max_steps=13)
    length = measure_length(180, options)
    assert (length.epoch_steps, length.total_steps, length.evaluations) == (6, 13, 3)


def test_training_batches_are_as_long_as_their_own_longest_sequence(parts):
    _, train, _ = parts
    widths = set()
    for token_ids, labels in training_batches(train, OPTIONS).take(6):
        assert (token_ids.numpy()[:, -1] != 0).any()
        assert len(labels) <= OPTIONS.batch_size
        widths.add(token_ids.shape[1])
    assert len(widths) > 1


def test_batches_from_a_later_step_are_those_of_an_undisturbed_training(parts):
    options = OPTIONS.model_copy(update={"install_dropout": 0.3})
    undisturbed = [batch[0].numpy() for batch in training_batches(parts[1], options).take(15)]
    later = [batch[0].numpy() for batch in training_batches(parts[1], options, first_step=8).take(7)]
    for expected, batch in zip(undisturbed[8:], later, strict=True):
        np.testing.assert_array_equal(expected, batch)


def test_each_epoch_sees_each_user_once_and_in_another_order():
    tokens = TokenSequences.join(
        np.arange(3, 103, dtype=np.int32), np.ones(100, np.int64)
    )  # a user for each token
    users = LabelledSequences(tokens, np.zeros(100, np.int8))
    seen = [batch[0].numpy().ravel() for batch in training_batches(users, OPTIONS).take(8)]
    first, second = np.concatenate(seen[:4]), np.concatenate(seen[4:])
    assert sorted(first) == sorted(second) == list(range(3, 103))
    assert list(first) != list(second)


def test_install_dropout_makes_that_share_of_installs_unknown_and_leaves_padding():
    token_ids = np.full((100, 50), 7, np.int32)
    token_ids[:, 40:] = 0
    dropped = drop_installs(token_ids, 0.2, np.random.default_rng(0))
    assert set(np.unique(dropped[:, :40])) == {1, 7}
    assert (dropped[:, :40] == 1).mean() == pytest.approx(0.2, abs=0.02)
    assert (dropped[:, 40:] == 0).all()


def test_a_dropped_install_still_begins_its_session():
    token_ids = np.full((50, 20), -7, np.int32)
    assert set(np.unique(drop_installs(token_ids, 0.5, np.random.default_rng(0)))) == {-1, -7}


def test_balanced_class_weights_give_both_labels_the_same_sum():
    labels = np.array([0] * 9 + [1] * 3, np.int8)
    weights = class_weights(labels, TrainingOptions(class_weights="balanced"))
    assert weights == pytest.approx({0: 12 / 18, 1: 12 / 6})
    assert class_weights(labels, TrainingOptions()) is None


def test_balanced_class_weights_move_the_mean_probability_to_a_half(parts):
    config, train, validation = parts
    rare = LabelledSequences(train.tokens, (np.arange(180) % 10 == 0).astype(np.int8))
    means = []
    for name in ("none", "balanced"):
        options = TrainingOptions(class_weights=name, learning_rate=0.05, max_epochs=6)
        trained = fit_classifier(config, options, rare, None, [].append, build=build_average)
        means.append(to_probabilities(predict_logits(trained.model, validation.tokens)).mean())
    assert means[0] < 0.3
    assert means[1] == pytest.approx(0.5, abs=0.1)


def test_an_app_of_many_users_has_one_gradient():
    token_ids = np.full((8, 1), 5, np.int32)
    model = build_average(SMALL)
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 1, 1.0)
    compile_classifier(model, OPTIONS, schedule, np.bincount([5] * 8, minlength=SMALL.vocabulary_size))
    model.fit(token_ids, np.ones(8, np.float32), batch_size=8, verbose=0)
    momentum, velocity = (model.optimizer.variables[i].numpy()[5] for i in (1, 2))
    # After one step they hold a tenth of the gradient, and a fiftieth of its square.
    np.testing.assert_allclose((momentum / 0.1) ** 2, velocity / 0.02, rtol=1e-3)


def test_an_app_of_few_installs_learns_slower_than_one_of_many():
    installs = np.array([0, 0, 0, 0, 30, 30_000, 30_000_000])
    rates = app_rates(installs)
    assert rates[:3].tolist() == [1.0, 1.0, 1.0]  # special tokens
    assert rates[3] == 0.0
    assert rates[4] == pytest.approx(0.001, abs=1e-5)
    assert rates[5] == pytest.approx(0.5)
    assert rates[6] == pytest.approx(1.0, abs=0.01)


def test_each_row_moves_at_its_own_rate():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 1.0)
    table, kernel = keras.Variable(np.zeros((3, 2)), name="table"), keras.Variable([0.0], name="kernel")
    optimizer = make_optimizer(OPTIONS, schedule, {"table": np.array([0.0, 0.5, 2.0], np.float32)})
    optimizer.apply([keras.ops.full((3, 2), -3.0), keras.ops.convert_to_tensor([-3.0])], [table, kernel])
    # Adam's first step is as long as the rate, whatever the gradient.
    np.testing.assert_allclose(table.numpy(), [[0.0, 0.0], [0.05, 0.05], [0.2, 0.2]], rtol=1e-5)
    assert kernel.numpy().item() == pytest.approx(0.1)


def test_a_classifiers_embeddings_move_at_the_rates_of_their_installs():
    model = build_classifier(SMALL)
    installs = np.zeros(SMALL.vocabulary_size, np.int64)
    installs[6] = 30_000
    compile_classifier(model, OPTIONS, keras.optimizers.schedules.ExponentialDecay(0.01, 1, 1.0), installs)
    before = read_weights(model)[EMBEDDINGS].copy()
    model.fit(np.full((8, 2), [5, 6], np.int32), np.ones(8, np.float32), batch_size=8, verbose=0)
    moved = np.abs(read_weights(model)[EMBEDDINGS] - before).max(axis=1)
    assert moved[5] == 0.0
    assert moved[6] == pytest.approx(0.005, rel=0.01)


def updates(steps: int, **settings: object) -> list[np.ndarray]:
    """A weight of 1 after each step of gradient 3, by the optimizer of these settings at rate 0.1."""
    weight = keras.Variable([1.0], name="kernel")
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 1.0)
    optimizer = make_optimizer(TrainingOptions(**settings), schedule)
    values = []
    for _ in range(steps):
        optimizer.apply([keras.ops.convert_to_tensor([3.0])], [weight])
        values.append(weight.numpy().item())
    return values


def test_with_accumulation_weights_change_in_every_second_step():
    first, second, third, fourth = updates(4, accumulation_steps=2)
    assert first == 1.0
    assert second == third == pytest.approx(0.9)
    assert fourth == pytest.approx(0.8)


def test_accumulation_of_two_half_batches_equals_one_whole_batch(parts):
    # All users of one length, so that the halves hold whom the whole holds.
    tokens = TokenSequences.join(parts[1].tokens.values[:64], np.full(32, 2))
    users = LabelledSequences(tokens, parts[1].labels[:32])
    trained = []
    for settings in ({"batch_size": 32, "max_steps": 1}, {"batch_size": 16, "accumulation_steps": 2}):
        options = TrainingOptions(**settings, max_epochs=1, clip_norm=0.01)
        schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 1, 1.0)  # the same rate in both steps
        keras.utils.set_random_seed(1)
        model = build_average(parts[0])
        compile_classifier(model, options, schedule, tokens.count(parts[0].vocabulary_size))
        steps = steps_per_epoch(32, options)
        model.fit(training_batches(users, options), steps_per_epoch=steps, verbose=0)
        trained.append(read_weights(model) | {"momentum": model.optimizer._momentums[0].numpy()})
    whole, halves = trained
    for path in whole:
        np.testing.assert_allclose(whole[path], halves[path], atol=1e-5, err_msg=path)


def test_weight_decay_shrinks_kernels_and_spares_biases():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 1.0)
    optimizer = make_optimizer(TrainingOptions(weight_decay=0.5), schedule)
    kernel, bias = keras.Variable([1.0], name="kernel"), keras.Variable([1.0], name="bias")
    optimizer.apply([keras.ops.zeros(1), keras.ops.zeros(1)], [kernel, bias])
    assert kernel.numpy().item() == pytest.approx(1.0 - 0.1 * 0.5)
    assert bias.numpy().item() == 1.0


def test_a_gradient_longer_than_the_clip_norm_counts_as_one_of_that_length():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 1.0)
    optimizer = make_optimizer(TrainingOptions(clip_norm=5.0), schedule)
    one, other = keras.Variable([0.0], name="kernel"), keras.Variable([0.0], name="kernel")
    optimizer.apply([keras.ops.convert_to_tensor([30.0]), keras.ops.convert_to_tensor([40.0])], [one, other])
    # Adam's first momentum is a tenth of the gradient: of 3 and 4 instead of 30 and 40.
    momenta = [variable.numpy().item() for variable in optimizer._momentums]
    assert momenta == pytest.approx([0.3, 0.4])


def test_what_two_devices_clip_is_together_no_longer_than_the_clip_norm(monkeypatch):
    two = SimpleNamespace(num_replicas_in_sync=2)
    monkeypatch.setattr("tensorflow.distribute.get_strategy", lambda: two)
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 1.0)
    assert make_optimizer(TrainingOptions(clip_norm=5.0), schedule).global_clipnorm == 2.5


def test_a_training_too_short_for_one_update_is_refused():
    with pytest.raises(
        TooShortError, match="accumulation_steps is 9, the whole training on 100 examples has 8"
    ):
        measure_length(100, TrainingOptions(batch_size=32, max_epochs=2, accumulation_steps=9))


def test_the_rate_falls_on_a_plateau_in_a_training(parts):
    settings = {"max_epochs": 6, "patience": 9, "learning_rate": 0.3}
    undisturbed = fit_average(parts, **settings)
    halved = fit_average(parts, **settings, reduce_on_plateau_patience=1)
    assert halved.epochs[0].training_loss == undisturbed.epochs[0].training_loss
    assert halved.epochs[-1].training_loss != undisturbed.epochs[-1].training_loss


def test_initial_weights_are_where_training_starts(parts):
    options = TrainingOptions(learning_rate=1e-12, max_steps=1)
    embeddings = np.full((parts[0].vocabulary_size, 4), 0.25, np.float32)
    fit = fit_classifier(
        parts[0],
        options,
        parts[1],
        None,
        [].append,
        build=build_average,
        initial_weights={"embedding/embeddings": embeddings},
    )
    np.testing.assert_allclose(fit.model.get_layer("embedding").embeddings.numpy(), 0.25, rtol=1e-6)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("tail/bias", "hold tail/bias, which the model lacks"),
        ("head/bias", r"head/bias has the shape \(2,\)"),
    ],
)
def test_initial_weights_of_another_model_are_refused(parts, path, message):
    with pytest.raises(ValueError, match=message):
        fit_classifier(
            parts[0],
            OPTIONS,
            parts[1],
            None,
            [].append,
            build=build_average,
            initial_weights={path: np.zeros(2, np.float32)},
        )


def test_predictions_keep_the_order_of_the_sequences(fit, parts, monkeypatch):
    tokens = parts[1].tokens
    monkeypatch.setattr("jobs.training.fit.predict.PREDICTION_BATCH_SIZE", 7)
    one_by_one = [fit.model(tokens.padded(np.array([i])), training=False).numpy().item() for i in range(20)]
    np.testing.assert_allclose(predict_logits(fit.model, tokens)[:20], one_by_one, atol=1e-5)


def test_precision_is_mixed_on_one_gpu_alone_and_set_back_afterwards(monkeypatch):
    with training_precision():
        assert keras.config.dtype_policy().name == "float32"
    monkeypatch.setattr("jobs.training.fit.devices.sees_gpu", lambda: True)
    with training_precision():
        assert keras.config.dtype_policy().name == "mixed_float16"
    monkeypatch.setattr(
        "jobs.training.fit.devices.training_strategy",
        lambda: SimpleNamespace(num_replicas_in_sync=2),
    )
    with training_precision():
        assert keras.config.dtype_policy().name == "float32"
    assert keras.config.dtype_policy().name == "float32"


def test_a_classifier_trained_in_mixed_precision_comes_back_in_float32(parts, monkeypatch):
    config, train, validation = parts
    monkeypatch.setattr("jobs.training.fit.devices.sees_gpu", lambda: True)
    options = TrainingOptions(max_epochs=1, clip_norm=1.0, accumulation_steps=2, weight_decay=0.01)
    policies = []

    def build(config: EncoderConfig) -> keras.Model:
        policies.append(keras.config.dtype_policy().name)
        return build_classifier(config)

    trained = fit_classifier(config, options, train, validation, [].append, build=build)
    assert policies == ["mixed_float16", "float32"]
    assert trained.model.get_layer("encoder").compute_dtype == "float32"
    assert np.isfinite(trained.epochs[0].training_loss)
