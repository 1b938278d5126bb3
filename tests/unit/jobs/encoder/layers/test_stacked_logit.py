"""The weighted sum of logits."""

import keras
import numpy as np

from jobs.encoder.layers.stacked_logit import StackedLogit


def test_stacked_logit_keeps_its_numbers_in_its_config():
    layer = StackedLogit([0.5, 2.0], -1.0)
    twin = StackedLogit.from_config(layer.get_config())
    logits = [np.array([1.0, 2.0], np.float32), np.array([3.0, 4.0], np.float32)]
    np.testing.assert_allclose(twin(logits), [5.5, 8.0])


def test_stacked_logit_returns_one_number_per_user():
    symbolic = [keras.KerasTensor((None,), "float32") for _ in range(2)]
    assert StackedLogit([1.0, 1.0], 0.0)(symbolic).shape == (None,)
