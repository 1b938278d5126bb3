"""The layer against the battery, and against its equations in numpy."""

from pathlib import Path

import numpy as np

from jobs.encoder.layers.point_wise_feed_forward import PointWiseFeedForward
from tests.made_up.layer_battery import BATCH, HIDDEN, SEQUENCE, normal, run_layer_battery


def test_point_wise_feed_forward_passes_the_battery(random, tmp_path: Path):
    inputs = {"inputs": normal(random, BATCH, SEQUENCE, HIDDEN)}
    settings = {"hidden_dim": HIDDEN, "intermediate_dim": 16}
    run_layer_battery(PointWiseFeedForward, settings, inputs, (BATCH, SEQUENCE, HIDDEN), 4, tmp_path)


def test_feed_forward_is_equation_2_with_silu(random):
    inputs = normal(random, BATCH, SEQUENCE, HIDDEN)
    layer = PointWiseFeedForward(HIDDEN, 16)
    layer.build(inputs.shape)
    layer.set_weights([normal(random, *weight.shape) for weight in layer.weights])  # biases are not 0 now
    w1, b1, w2, b2 = layer.get_weights()
    inner = inputs @ w1 + b1
    expected = inner / (1 + np.exp(-inner)) @ w2 + b2
    np.testing.assert_allclose(layer(inputs), expected, rtol=1e-4, atol=1e-4)
