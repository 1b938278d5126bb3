"""The layer against the battery, and against its equations in numpy."""

from pathlib import Path

import numpy as np

from jobs.encoder.layers.encoder_layer import EncoderLayer
from tests.made_up.layer_battery import BATCH, HEADS, HIDDEN, SEQUENCE, normal, run_layer_battery


def test_encoder_layer_passes_the_battery(random, padding_mask, tmp_path: Path):
    inputs = {"inputs": normal(random, BATCH, SEQUENCE, HIDDEN), "padding_mask": padding_mask}
    settings = {"hidden_dim": HIDDEN, "num_heads": HEADS, "intermediate_dim": 16, "dropout": 0.2}
    run_layer_battery(EncoderLayer, settings, inputs, (BATCH, SEQUENCE, HIDDEN), 16, tmp_path)


def test_layer_norm_comes_after_each_residual_sum(random, padding_mask):
    def norm(x):
        return (x - x.mean(axis=-1, keepdims=True)) / x.std(axis=-1, keepdims=True)

    inputs = 10.0 + 5.0 * normal(random, BATCH, SEQUENCE, HIDDEN)  # far from normal
    layer = EncoderLayer(HIDDEN, HEADS, 16)
    output = layer(inputs, padding_mask=padding_mask)
    x = norm(inputs + layer.attention(inputs, padding_mask=padding_mask).numpy())
    by_hand = norm(x + layer.feed_forward(x).numpy())
    np.testing.assert_allclose(output, by_hand, atol=1e-4)


def test_dropout_is_on_in_training_only(random, padding_mask):
    inputs = normal(random, BATCH, SEQUENCE, HIDDEN)
    layer = EncoderLayer(HIDDEN, HEADS, 16, dropout=0.5)
    scored = layer(inputs, padding_mask=padding_mask)
    np.testing.assert_array_equal(scored, layer(inputs, padding_mask=padding_mask, training=False))
    assert not np.allclose(scored, layer(inputs, padding_mask=padding_mask, training=True))


def test_values_at_padded_positions_do_not_reach_real_ones(random, padding_mask):
    inputs = normal(random, BATCH, SEQUENCE, HIDDEN)
    other_padding = np.where(padding_mask[:, :, None], inputs, 99.0).astype(np.float32)
    layer = EncoderLayer(HIDDEN, HEADS, 16)
    first = np.asarray(layer(inputs, padding_mask=padding_mask))
    second = np.asarray(layer(other_padding, padding_mask=padding_mask))
    np.testing.assert_allclose(first[padding_mask], second[padding_mask], atol=1e-6)
