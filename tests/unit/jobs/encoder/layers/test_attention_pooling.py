"""The layer against the battery, and against its equations in numpy."""

from pathlib import Path

import numpy as np

from jobs.encoder.layers.attention_pooling import AttentionPooling
from tests.made_up.layer_battery import BATCH, HEADS, HIDDEN, SEQUENCE, normal, run_layer_battery


def test_attention_pooling_passes_the_battery(random, padding_mask, tmp_path: Path):
    inputs = {"inputs": normal(random, BATCH, SEQUENCE, HIDDEN), "padding_mask": padding_mask}
    run_layer_battery(AttentionPooling, {"num_heads": HEADS}, inputs, (BATCH, 4 * HIDDEN), 2, tmp_path)


def pool(vectors: list[list[float]], score: list[list[float]]) -> np.ndarray:
    """Pool one user's vectors, the last of which is padding; a head's scores are `score` times the vector."""
    pooling = AttentionPooling(num_heads=len(score[0]))
    inputs = np.array([vectors], np.float32)
    mask = np.array([[True] * (len(vectors) - 1) + [False]])
    pooling(inputs, padding_mask=mask)
    pooling.score.set_weights([np.array(score, np.float32), np.zeros(len(score[0]), np.float32)])
    return np.asarray(pooling(inputs, padding_mask=mask))


def test_pooling_sums_real_installs_and_their_places_shrunk_towards_zero():
    pooled = pool([[1.0, 10.0], [3.0, 30.0], [99.0, 99.0]], score=[[0.0], [0.0]])
    alike = [4 / 6, 40 / 6, 2 / 6, 20 / 6]
    np.testing.assert_allclose(pooled, [alike + alike], rtol=1e-6)  # scores of 0 are weights of 1


def test_each_pooling_head_averages_its_share_of_the_width_with_its_own_weights():
    # The first head sees the first coordinate, the second one the other.
    pooled = pool([[1.0, 2.0], [3.0, -1.0], [99.0, 99.0]], score=[[1.0, 0.0], [0.0, 2.0]])
    first, second = np.exp([1.0, 3.0]), np.exp([4.0, -2.0])
    averages = [first @ [1.0, 3.0] / (first.sum() + 4), second @ [2.0, -1.0] / (second.sum() + 4)]
    by_place = [first @ [-1.0, 3.0] / (first.sum() + 4), second @ [-2.0, -1.0] / (second.sum() + 4)]
    np.testing.assert_allclose(pooled[0, 4:], averages + by_place, rtol=1e-5)


def test_large_pooling_scores_do_not_overflow():
    pooled = pool([[1.0, 2.0], [3.0, -1.0], [99.0, 99.0]], score=[[100.0, 0.0], [0.0, -100.0]])
    np.testing.assert_allclose(pooled[0, 4:], [3.0, -1.0, 3.0, -1.0], rtol=1e-5)


def test_pooling_over_only_padding_is_zero():
    pooled = AttentionPooling(num_heads=2)(
        np.ones((1, 2, 2), np.float32), padding_mask=np.zeros((1, 2), bool)
    )
    np.testing.assert_array_equal(pooled, np.zeros((1, 8)))
