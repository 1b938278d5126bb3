"""The layer against the battery, and against its equations in numpy."""

from pathlib import Path

import numpy as np
import pytest

from jobs.encoder.layers.multi_head_attention import MultiHeadAttention
from tests.made_up.layer_battery import (
    BATCH,
    HEADS,
    HIDDEN,
    SEQUENCE,
    attend_by_hand,
    normal,
    run_layer_battery,
)


def test_multi_head_attention_passes_the_battery(random, padding_mask, tmp_path: Path):
    inputs = {"inputs": normal(random, BATCH, SEQUENCE, HIDDEN), "padding_mask": padding_mask}
    settings = {"hidden_dim": HIDDEN, "num_heads": HEADS}
    run_layer_battery(MultiHeadAttention, settings, inputs, (BATCH, SEQUENCE, HIDDEN), 8, tmp_path)


def test_each_head_attends_over_its_own_columns(random, padding_mask):
    inputs = normal(random, BATCH, SEQUENCE, HIDDEN)
    layer = MultiHeadAttention(HIDDEN, HEADS)
    attended = layer(inputs, padding_mask=padding_mask)

    def project(dense, x):
        return x @ dense.kernel.numpy() + dense.bias.numpy()

    def heads_of(dense):
        projected = project(dense, inputs)  # the first head takes the first half of the columns
        return np.stack(np.split(projected, HEADS, axis=-1), axis=1)

    heads = attend_by_hand(
        heads_of(layer.query_dense), heads_of(layer.key_dense), heads_of(layer.value_dense), padding_mask
    )
    by_hand = project(layer.output_dense, np.concatenate(list(heads.swapaxes(0, 1)), axis=-1))
    np.testing.assert_allclose(attended, by_hand, rtol=1e-5, atol=1e-5)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="num_heads=3, hidden_dim=8"):
        MultiHeadAttention(hidden_dim=8, num_heads=3)
