"""Contributions of installs, against the logit, linear members' formula and data with known reasons."""

from functools import cache
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from jobs.encoder.classifier import EncoderConfig, build_classifier
from jobs.encoder.risk_model import average_models, build_risk_model
from jobs.export.explanations import explain, put_back
from tests.made_up.small_risk_model import (
    INTERCEPT,
    MAX_HISTORY,
    TOKEN_ROWS,
    WEIGHTS,
    padded,
    random_regression,
    small_classifier,
    small_risk_model,
)

pytestmark = pytest.mark.slow

RISKY_TOKEN = 9
LENGTH = 10  # of the made-up histories


@cache  # a graph costs seconds
def explainer(model: keras.Model) -> Any:
    """Explain inside a graph, as the SavedModel does."""
    open_axes = [tf.TensorSpec((None, None), tf.int32)]
    return tf.function(lambda token_ids: explain(model, token_ids), input_signature=open_axes)


def explained(model: keras.Model, token_ids: np.ndarray) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in explainer(model)(tf.constant(token_ids, tf.int32)).items()}


def count_installs() -> keras.layers.Layer:
    """A member that `explain` does not know."""

    def count(token_ids):
        return keras.ops.sum(keras.ops.cast(token_ids != 0, "float32"), axis=1)

    return keras.layers.Lambda(count, output_shape=(), name="count_installs")


@pytest.fixture(scope="module")
def mixed() -> keras.Model:
    return small_risk_model()


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    """An encoder trained on made-up users, where one app decides the label in four of five cases."""
    keras.utils.set_random_seed(3)
    random = np.random.default_rng(3)
    tokens = random.integers(3, 23, (1000, LENGTH)).astype(np.int32)
    labels = ((tokens == RISKY_TOKEN).any(axis=1) ^ (random.random(1000) < 0.2)).astype(np.float32)
    config = EncoderConfig(
        23, LENGTH, hidden_dim=8, num_layers=1, num_heads=2, intermediate_dim=16, dropout=0.0
    )
    classifier = build_classifier(config)
    classifier.compile(keras.optimizers.Adam(0.01), keras.losses.BinaryCrossentropy(from_logits=True))
    classifier.fit(tokens, labels, batch_size=50, epochs=2, verbose=0)
    return build_risk_model([classifier], [1.5], 0.2, max_history=LENGTH)


def test_contributions_and_baseline_add_up_to_the_logit_of_a_trained_model(trained):
    tokens = np.random.default_rng(4).integers(3, 23, (50, LENGTH))
    tokens[:, 4] = RISKY_TOKEN  # without it the sum is near 0, and a relative error means little
    found = explained(trained, tokens)
    np.testing.assert_allclose(found["logit"], trained(tokens), atol=1e-5)
    added = found["logit"] - found["baseline_logit"]
    assert np.median(np.abs(added)) > 1  # otherwise agreement would mean little
    missed = np.abs(found["contributions"].sum(axis=1) - added) / np.abs(added)
    assert np.median(missed) < 0.005
    assert missed.max() < 0.01


def test_the_install_that_decides_the_label_contributes_most(trained):
    tokens = np.random.default_rng(5).integers(10, 23, (30, LENGTH))  # none of them risky
    places = np.arange(30) % LENGTH
    tokens[np.arange(30), places] = RISKY_TOKEN
    found = explained(trained, tokens)
    np.testing.assert_array_equal(found["contributions"].argmax(axis=1), places)


def test_contributions_add_up_wherever_sessions_begin(mixed):
    rows = np.array([[5, 9, 7, 8], [12, 4, 12, 4]], np.int32)
    for signs in ([1, 1, 1, 1], [-1, -1, -1, -1]):
        found = explained(mixed, rows * signs)
        np.testing.assert_allclose(
            found["baseline_logit"] + found["contributions"].sum(axis=1), found["logit"], atol=0.01
        )


def test_padding_adds_nothing_and_changes_nothing(mixed):
    narrow, wide = explained(mixed, padded(TOKEN_ROWS)), explained(mixed, padded(TOKEN_ROWS, width=11))
    assert (wide["contributions"][padded(TOKEN_ROWS, width=11) == 0] == 0).all()
    np.testing.assert_allclose(wide["contributions"][:, :6], narrow["contributions"], atol=1e-5)
    np.testing.assert_allclose(wide["baseline_logit"], narrow["baseline_logit"], atol=1e-5)
    for row, together in zip(TOKEN_ROWS, narrow["contributions"], strict=True):
        alone = explained(mixed, padded([row]))["contributions"][0]
        np.testing.assert_allclose(alone, together[: len(row)], atol=1e-5)


def test_linear_members_are_explained_exactly():
    linear = [random_regression(1), random_regression(3)]
    model = build_risk_model(linear, [0.5, 2.0], INTERCEPT, MAX_HISTORY)
    tokens = padded(TOKEN_ROWS)
    found = explained(model, tokens)
    expected = 0.5 * linear[0].contributions(tokens) + 2.0 * linear[1].contributions(tokens)
    np.testing.assert_allclose(found["contributions"], expected, atol=1e-5)
    np.testing.assert_allclose(found["baseline_logit"], [INTERCEPT - 0.5 * 0.5 - 2.0 * 0.5] * 4, atol=1e-6)
    np.testing.assert_allclose(
        found["contributions"].sum(axis=1) + found["baseline_logit"], found["logit"], atol=1e-5
    )


def test_installs_that_the_encoder_does_not_read_are_explained_by_linear_members_alone(mixed):
    tokens = padded([[3, 4, 5, 6, 7, 8]])  # the encoder reads the last four
    encoder, *linear = (
        mixed.get_layer("risk_classifier"),
        mixed.get_layer("order_1"),
        mixed.get_layer("order_2"),
    )
    found = explained(mixed, tokens)["contributions"]
    of_linear = sum(
        weight * layer.contributions(tokens) for weight, layer in zip(WEIGHTS[1:], linear, strict=True)
    )
    of_encoder = explained(build_risk_model([encoder], [WEIGHTS[0]], 0.0, 4), tokens[:, 2:])["contributions"]
    np.testing.assert_allclose(found[:, :2], of_linear[:, :2], atol=1e-5)
    np.testing.assert_allclose(found[:, 2:], of_linear[:, 2:] + of_encoder, atol=1e-5)
    assert (np.abs(of_encoder) > 1e-3).all()


def test_installs_that_no_member_reads_add_nothing(mixed):
    found = explained(mixed, padded([[20, 21, *TOKEN_ROWS[2]], TOKEN_ROWS[1]]))["contributions"]
    expected = explained(mixed, padded([TOKEN_ROWS[2], TOKEN_ROWS[1]]))["contributions"]
    np.testing.assert_allclose(found[0], [0, 0, *expected[0]], atol=1e-5)
    np.testing.assert_allclose(found[1], [*expected[1], 0, 0], atol=1e-5)


def test_contributions_of_kept_installs_return_to_their_places():
    kept = tf.constant([[1.0, 2.0], [1.0, 0.0]])
    put = put_back(kept, tf.constant([[5, 6, 7, 0], [8, 0, 0, 0]]), max_installs=2)
    assert put.numpy().tolist() == [[0.0, 1.0, 2.0, 0.0], [1.0, 0.0, 0.0, 0.0]]


def test_averaged_encoders_are_explained_by_their_mean_explanation():
    keras.utils.set_random_seed(8)
    classifiers = [small_classifier(), small_classifier()]
    tokens = padded(TOKEN_ROWS)
    # One graph for both, which the weights of each are put into.
    either = small_classifier()
    model = build_risk_model([either], [1.0], 0.0, MAX_HISTORY)
    alone = []
    for one in classifiers:
        either.set_weights(one.get_weights())
        alone.append(explained(model, tokens))
    assert np.abs(alone[0]["logit"] - alone[1]["logit"]).max() > 0.01
    found = explained(build_risk_model([average_models(classifiers)], [1.0], 0.0, MAX_HISTORY), tokens)
    for name in ("contributions", "baseline_logit", "logit"):
        np.testing.assert_allclose(found[name], (alone[0][name] + alone[1][name]) / 2, atol=1e-5)


def test_a_member_of_weight_0_is_left_out():
    bag = random_regression(1)
    model = build_risk_model([count_installs(), bag], [0.0, 1.0], 0.0, MAX_HISTORY)
    found = explained(model, padded(TOKEN_ROWS))
    np.testing.assert_allclose(found["contributions"], bag.contributions(padded(TOKEN_ROWS)), atol=1e-6)


def test_a_member_that_cannot_be_explained_is_named_in_the_error():
    model = build_risk_model([count_installs()], [1.0], 0.0, MAX_HISTORY)
    with pytest.raises(TypeError, match="got Lambda 'count_installs'"):
        explain(model, tf.constant([[3]]))
