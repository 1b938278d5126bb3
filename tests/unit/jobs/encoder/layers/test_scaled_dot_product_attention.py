"""The layer against the battery, and against its equations in numpy."""

from pathlib import Path

import numpy as np

from jobs.encoder.layers.scaled_dot_product_attention import ScaledDotProductAttention
from tests.made_up.layer_battery import BATCH, HEADS, SEQUENCE, attend_by_hand, normal, run_layer_battery


def test_scaled_dot_product_attention_passes_the_battery(random, padding_mask, tmp_path: Path):
    heads = normal(random, BATCH, HEADS, SEQUENCE, 4)
    inputs = {"query": heads, "key": heads, "value": heads, "padding_mask": padding_mask}
    run_layer_battery(ScaledDotProductAttention, {}, inputs, (BATCH, HEADS, SEQUENCE, 4), 0, tmp_path)


def test_attention_is_equation_1_over_real_installs(random, padding_mask):
    query, key, value = (normal(random, BATCH, HEADS, SEQUENCE, 4) for _ in range(3))
    attended = ScaledDotProductAttention()(query, key, value, padding_mask=padding_mask)
    by_hand = attend_by_hand(query, key, value, padding_mask)
    np.testing.assert_allclose(attended, by_hand, rtol=1e-5, atol=1e-6)


def test_attention_over_only_padding_is_finite(random):
    heads = normal(random, 1, HEADS, SEQUENCE, 4)
    only_padding = np.zeros((1, SEQUENCE), dtype=bool)
    for dtype in ("float32", "mixed_float16"):
        attended = ScaledDotProductAttention(dtype=dtype)(heads, heads, heads, padding_mask=only_padding)
        assert np.isfinite(np.asarray(attended)).all()
