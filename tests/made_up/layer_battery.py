"""Checks that every layer must pass, in one call."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

BATCH, HEADS, SEQUENCE, HIDDEN = 3, 2, 5, 8


def normal(random: np.random.Generator, *shape: int) -> np.ndarray:
    return random.normal(size=shape).astype(np.float32)


def run_layer_battery(
    layer_class: type[keras.layers.Layer],
    settings: Mapping[str, Any],
    inputs: Mapping[str, np.ndarray],
    expected_shape: tuple[int, ...],
    expected_weights: int,
    scratch: Path,
) -> None:
    """Check config round trip, shapes, masking, dtypes, number of weights, a training step and a saved file.

    Args:
        inputs: call arguments by name, batch first.
        expected_weights: variables, not numbers in them.
    """
    layer = layer_class(**settings)
    output = layer(**inputs)
    assert tuple(output.shape) == expected_shape
    assert keras.backend.standardize_dtype(output.dtype) == "float32"
    assert len(layer.weights) == expected_weights
    assert layer.get_config().items() >= dict(settings).items()
    _check_config(layer, inputs)
    _check_symbolic_shape(layer, inputs, expected_shape)
    _check_masking(layer, inputs)
    _check_mixed_precision(layer_class, settings, inputs)
    _check_training_and_saving(layer_class(**settings), inputs, expected_shape, scratch)


def _check_config(layer: keras.layers.Layer, inputs: Mapping[str, np.ndarray]) -> None:
    config = layer.get_config()
    twin = type(layer).from_config(config)
    assert twin.get_config() == config
    twin(**inputs)
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(twin(**inputs), layer(**inputs))


def _check_symbolic_shape(
    layer: keras.layers.Layer, inputs: Mapping[str, np.ndarray], expected: tuple[int, ...]
) -> None:
    symbolic = {name: keras.KerasTensor((None, *x.shape[1:]), x.dtype.name) for name, x in inputs.items()}
    assert layer(**symbolic).shape == (None, *expected[1:])


def _check_masking(layer: keras.layers.Layer, inputs: Mapping[str, np.ndarray]) -> None:
    """Values at padding change neither the output at real installs nor what is pooled from them."""
    if "padding_mask" not in inputs:
        return
    mask = inputs["padding_mask"]  # (batch, sequence)
    other = {
        # (batch, …, sequence, features)
        name: np.where(mask.reshape(len(mask), *[1] * (x.ndim - 3), -1, 1), x, x + 3.0).astype(x.dtype)
        if x.dtype == np.float32
        else x
        for name, x in inputs.items()
    }
    found, expected = np.asarray(layer(**other)), np.asarray(layer(**inputs))
    if found.ndim > 2:  # not pooled
        heads = found.shape[1:-2]
        real = np.broadcast_to(mask.reshape(len(mask), *[1] * len(heads), -1), found.shape[:-1])
        found, expected = found[real], expected[real]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def _check_mixed_precision(
    layer_class: type[keras.layers.Layer], settings: Mapping[str, Any], inputs: Mapping[str, np.ndarray]
) -> None:
    layer = layer_class(**settings, dtype="mixed_float16")
    output = np.asarray(layer(**inputs))
    assert output.dtype == np.float16
    assert np.isfinite(output).all()
    assert {weight.dtype for weight in layer.weights} <= {"float32"}


def _check_training_and_saving(
    layer: keras.layers.Layer, inputs: Mapping[str, np.ndarray], expected: tuple[int, ...], scratch: Path
) -> None:
    symbolic = {name: keras.Input(x.shape[1:], dtype=x.dtype.name, name=name) for name, x in inputs.items()}
    flat = keras.layers.Flatten()(layer(**symbolic))
    model = keras.Model(symbolic, keras.layers.Dense(1)(flat))
    model.compile("sgd", "mse")
    before = [weight.numpy() for weight in layer.trainable_weights]
    assert np.isfinite(model.train_on_batch(dict(inputs), np.ones((expected[0], 1))))
    for weight, old in zip(layer.trainable_weights, before, strict=True):
        # A bias may stay the same: the keys' bias has no effect on attention.
        if "bias" not in weight.path:
            assert np.abs(weight.numpy() - old).max() > 0, f"{weight.path} does not learn"
    path = scratch / f"{layer.name}.keras"
    model.save(path)
    reloaded = keras.models.load_model(path)
    np.testing.assert_allclose(
        reloaded.predict(dict(inputs), verbose=0), model.predict(dict(inputs), verbose=0), atol=1e-6
    )


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def attend_by_hand(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Equation 1, one user and one head at a time, over real installs only."""
    result = np.empty_like(query)
    for user, head in np.ndindex(query.shape[:2]):
        real_keys, real_values = key[user, head][mask[user]], value[user, head][mask[user]]
        scores = query[user, head] @ real_keys.T / np.sqrt(query.shape[-1])
        result[user, head] = softmax(scores) @ real_values
    return result
