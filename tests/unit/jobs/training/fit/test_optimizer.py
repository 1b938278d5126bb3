"""Updates of weights: rates, accumulation, decay, clipping."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from jobs.encoder.classifier import build_classifier
from jobs.sequences.token_sequences import TokenSequences
from jobs.training.fit.batches import (
    LabelledSequences,
    steps_per_epoch,
    training_batches,
)
from jobs.training.fit.named_weights import EMBEDDINGS, read_weights
from jobs.training.fit.optimizer import app_rates, compile_classifier, make_optimizer
from jobs.training.fit.options import TrainingOptions
from tests.made_up.labelled_sequences import (
    OPTIONS,
    SMALL,
    build_average,
)


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
