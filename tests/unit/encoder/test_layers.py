"""Each layer against the battery, and against the paper's equations written in numpy."""

from pathlib import Path

import keras
import numpy as np
import pytest

from jobs.encoder.layers.attention_pooling import AttentionPooling
from jobs.encoder.layers.encoder_layer import EncoderLayer
from jobs.encoder.layers.keep_last_installs import KeepLastInstalls
from jobs.encoder.layers.local_context import LocalContext
from jobs.encoder.layers.multi_head_attention import MultiHeadAttention
from jobs.encoder.layers.point_wise_feed_forward import PointWiseFeedForward
from jobs.encoder.layers.relative_place_encoding import RelativePlaceEncoding, relative_places
from jobs.encoder.layers.scaled_dot_product_attention import ScaledDotProductAttention
from jobs.encoder.layers.sinusoidal_positional_encoding import SinusoidalPositionalEncoding
from jobs.encoder.transformer_encoder import TransformerEncoder
from tests.unit.encoder.layer_battery import run_layer_battery

BATCH, HEADS, SEQUENCE, HIDDEN = 3, 2, 5, 8


@pytest.fixture(autouse=True)
def same_weights():
    """What a test finds does not hang on chance."""
    keras.utils.set_random_seed(7)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.fixture
def padding_mask() -> np.ndarray:
    return np.arange(SEQUENCE) < np.array([[5], [3], [1]])  # users with 5, 3 and 1 installs


def normal(random: np.random.Generator, *shape: int) -> np.ndarray:
    return random.normal(size=shape).astype(np.float32)


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


def test_scaled_dot_product_attention_passes_the_battery(random, padding_mask, tmp_path: Path):
    heads = normal(random, BATCH, HEADS, SEQUENCE, 4)
    inputs = {"query": heads, "key": heads, "value": heads, "padding_mask": padding_mask}
    run_layer_battery(ScaledDotProductAttention, {}, inputs, (BATCH, HEADS, SEQUENCE, 4), 0, tmp_path)


def test_multi_head_attention_passes_the_battery(random, padding_mask, tmp_path: Path):
    inputs = {"inputs": normal(random, BATCH, SEQUENCE, HIDDEN), "padding_mask": padding_mask}
    settings = {"hidden_dim": HIDDEN, "num_heads": HEADS}
    run_layer_battery(MultiHeadAttention, settings, inputs, (BATCH, SEQUENCE, HIDDEN), 8, tmp_path)


def test_point_wise_feed_forward_passes_the_battery(random, tmp_path: Path):
    inputs = {"inputs": normal(random, BATCH, SEQUENCE, HIDDEN)}
    settings = {"hidden_dim": HIDDEN, "intermediate_dim": 16}
    run_layer_battery(PointWiseFeedForward, settings, inputs, (BATCH, SEQUENCE, HIDDEN), 4, tmp_path)


def test_sinusoidal_positional_encoding_passes_the_battery(random, tmp_path: Path):
    inputs = {"inputs": normal(random, BATCH, SEQUENCE, HIDDEN)}
    settings = {"max_wavelength": 1000.0}
    run_layer_battery(SinusoidalPositionalEncoding, settings, inputs, (BATCH, SEQUENCE, HIDDEN), 0, tmp_path)


def test_encoder_layer_passes_the_battery(random, padding_mask, tmp_path: Path):
    inputs = {"inputs": normal(random, BATCH, SEQUENCE, HIDDEN), "padding_mask": padding_mask}
    settings = {"hidden_dim": HIDDEN, "num_heads": HEADS, "intermediate_dim": 16, "dropout": 0.2}
    run_layer_battery(EncoderLayer, settings, inputs, (BATCH, SEQUENCE, HIDDEN), 16, tmp_path)


def test_transformer_encoder_passes_the_battery(random, padding_mask, tmp_path: Path):
    token_ids = np.where(padding_mask, random.integers(1, 20, (BATCH, SEQUENCE)), 0).astype(np.int32)
    settings = {
        "vocabulary_size": 20,
        "hidden_dim": HIDDEN,
        "num_layers": 2,
        "num_heads": HEADS,
        "intermediate_dim": 16,
        "context_width": 3,
        "dropout": 0.2,
    }
    expected_shape = (BATCH, SEQUENCE, HIDDEN)
    run_layer_battery(TransformerEncoder, settings, {"token_ids": token_ids}, expected_shape, 41, tmp_path)


def test_relative_place_encoding_passes_the_battery(random, padding_mask, tmp_path: Path):
    inputs = {"inputs": normal(random, BATCH, SEQUENCE, HIDDEN), "padding_mask": padding_mask}
    run_layer_battery(RelativePlaceEncoding, {}, inputs, (BATCH, SEQUENCE, HIDDEN), 2, tmp_path)


def test_local_context_passes_the_battery(random, padding_mask, tmp_path: Path):
    inputs = {
        "inputs": normal(random, BATCH, SEQUENCE, HIDDEN),
        "padding_mask": padding_mask,
        "sessions": np.array([[0, 0, 1, 1, 1]] * BATCH, np.int32),
    }
    settings = {"width": 3, "dropout": 0.2}
    run_layer_battery(LocalContext, settings, inputs, (BATCH, SEQUENCE, HIDDEN), 6, tmp_path)


def test_attention_pooling_passes_the_battery(random, padding_mask, tmp_path: Path):
    inputs = {"inputs": normal(random, BATCH, SEQUENCE, HIDDEN), "padding_mask": padding_mask}
    run_layer_battery(AttentionPooling, {"num_heads": HEADS}, inputs, (BATCH, 4 * HIDDEN), 2, tmp_path)


def test_the_last_installs_are_integers_for_symbols_as_well():
    kept = KeepLastInstalls(2)(keras.KerasTensor((None, 5), "int32"))
    assert (kept.shape, kept.dtype) == ((None, 2), "int32")


def test_attention_is_equation_1_over_real_installs(random, padding_mask):
    query, key, value = (normal(random, BATCH, HEADS, SEQUENCE, 4) for _ in range(3))
    attended = ScaledDotProductAttention()(query, key, value, padding_mask=padding_mask)
    by_hand = attend_by_hand(query, key, value, padding_mask)
    np.testing.assert_allclose(attended, by_hand, rtol=1e-5, atol=1e-6)


def test_attention_over_only_padding_is_finite(random):
    heads = normal(random, 1, HEADS, SEQUENCE, 4)
    nobody = np.zeros((1, SEQUENCE), dtype=bool)
    for dtype in ("float32", "mixed_float16"):
        attended = ScaledDotProductAttention(dtype=dtype)(heads, heads, heads, padding_mask=nobody)
        assert np.isfinite(np.asarray(attended)).all()


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


def test_feed_forward_is_equation_2_with_silu(random):
    inputs = normal(random, BATCH, SEQUENCE, HIDDEN)
    layer = PointWiseFeedForward(HIDDEN, 16)
    layer.build(inputs.shape)
    layer.set_weights([normal(random, *weight.shape) for weight in layer.weights])  # biases are not 0 now
    w1, b1, w2, b2 = layer.get_weights()
    inner = inputs @ w1 + b1
    expected = inner / (1 + np.exp(-inner)) @ w2 + b2
    np.testing.assert_allclose(layer(inputs), expected, rtol=1e-4, atol=1e-4)


def test_positions_are_the_papers_sines_and_cosines():
    encoded = SinusoidalPositionalEncoding()(np.zeros((1, 130, HIDDEN), dtype=np.float32))
    for position in (0, 1, 7, 129):
        for i in range(HIDDEN // 2):
            angle = position / 10_000 ** (2 * i / HIDDEN)
            expected = [np.sin(angle), np.cos(angle)]
            np.testing.assert_allclose(encoded[0, position, 2 * i : 2 * i + 2], expected, atol=2e-5)


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


def test_what_padded_positions_hold_does_not_reach_real_ones(random, padding_mask):
    inputs = normal(random, BATCH, SEQUENCE, HIDDEN)
    other_padding = np.where(padding_mask[:, :, None], inputs, 99.0).astype(np.float32)
    layer = EncoderLayer(HIDDEN, HEADS, 16)
    first = np.asarray(layer(inputs, padding_mask=padding_mask))
    second = np.asarray(layer(other_padding, padding_mask=padding_mask))
    np.testing.assert_allclose(first[padding_mask], second[padding_mask], atol=1e-6)


def test_places_run_from_first_to_last_install_whatever_the_padding():
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]], dtype=bool)
    expected = [[-1, -0.5, 0, 0.5, 1], [-1, 0, 1, 0, 0], [0, 0, 0, 0, 0]]
    np.testing.assert_allclose(relative_places(mask), expected, atol=1e-6)


def test_local_context_sees_neighbours_and_no_padding(random, padding_mask):
    inputs = normal(random, BATCH, SEQUENCE, HIDDEN)
    layer, sessions = LocalContext(width=3), np.zeros((BATCH, SEQUENCE), np.int32)
    before = np.asarray(layer(inputs, padding_mask=padding_mask, sessions=sessions))
    changed = inputs.copy()
    changed[0, 4] += 1.0
    changed[1, 3:] += 1.0  # padding of the second user
    after = np.asarray(layer(changed, padding_mask=padding_mask, sessions=sessions))
    moved = np.abs(after - before).max(axis=-1) > 1e-6
    np.testing.assert_array_equal(moved[0], [False, False, False, True, True])
    assert not moved[1, :3].any()


@pytest.mark.parametrize(("heard", "only_session"), [("session_convolution", True), ("convolution", False)])
def test_half_of_the_filters_see_only_the_session_and_half_all_neighbours(random, heard, only_session):
    inputs, width = np.abs(normal(random, 1, 9, HIDDEN)), 5
    mask, sessions = np.ones((1, 9), bool), np.array([[0, 0, 0, 1, 2, 2, 3, 4, 4]], np.int32)
    seen = np.abs(np.subtract.outer(np.arange(9), np.arange(9))) <= width // 2
    if only_session:
        seen &= sessions[0] == sessions[0][:, None]
    layer = LocalContext(width)
    layer(inputs, padding_mask=mask, sessions=sessions)
    for name in ("convolution", "session_convolution"):
        # Above 0, as the inputs, so that every neighbour is heard.
        kernel = getattr(layer, name).kernel
        kernel.assign(np.full(kernel.shape, 0.1 if name == heard else 0.0))
    before = np.asarray(layer(inputs, padding_mask=mask, sessions=sessions))
    for place in range(9):
        changed = inputs.copy()
        changed[0, place] += 1.0
        after = np.asarray(layer(changed, padding_mask=mask, sessions=sessions))
        np.testing.assert_array_equal(np.abs(after - before).max(axis=-1)[0] > 1e-6, seen[place])


def test_an_encoder_reads_sessions_off_negative_tokens():
    encoder = TransformerEncoder(20, hidden_dim=8, num_layers=1, num_heads=2, intermediate_dim=16)
    one_session = np.array([[3, 4, 5, 6]], np.int32)
    first_marked = one_session * [-1, 1, 1, 1]
    two_sessions = one_session * [-1, 1, -1, 1]
    outputs = [np.asarray(encoder(ids.astype(np.int32))) for ids in (one_session, first_marked, two_sessions)]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert np.abs(outputs[1] - outputs[2]).max() > 1e-3


def pool(vectors: list[list[float]], score: list[list[float]]) -> np.ndarray:
    """Pool one user's vectors, the last of which is padding, by heads whose scores are `score` times the vector."""
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


def test_each_pooling_head_averages_its_part_of_the_width_by_its_own_weights():
    # The first head sees the first coordinate, the second one the other.
    pooled = pool([[1.0, 2.0], [3.0, -1.0], [99.0, 99.0]], score=[[1.0, 0.0], [0.0, 2.0]])
    first, second = np.exp([1.0, 3.0]), np.exp([4.0, -2.0])
    averages = [first @ [1.0, 3.0] / (first.sum() + 4), second @ [2.0, -1.0] / (second.sum() + 4)]
    by_place = [first @ [-1.0, 3.0] / (first.sum() + 4), second @ [-2.0, -1.0] / (second.sum() + 4)]
    np.testing.assert_allclose(pooled[0, 4:], averages + by_place, rtol=1e-5)


def test_pooling_weights_of_any_size_do_not_overflow():
    pooled = pool([[1.0, 2.0], [3.0, -1.0], [99.0, 99.0]], score=[[100.0, 0.0], [0.0, -100.0]])
    np.testing.assert_allclose(pooled[0, 4:], [3.0, -1.0, 3.0, -1.0], rtol=1e-5)


def test_pooling_over_only_padding_is_zero():
    pooled = AttentionPooling(num_heads=2)(
        np.ones((1, 2, 2), np.float32), padding_mask=np.zeros((1, 2), bool)
    )
    np.testing.assert_array_equal(pooled, np.zeros((1, 8)))


@pytest.mark.parametrize("width", [3, 4, 9])
def test_of_each_row_the_last_installs_are_kept(width):
    rows = np.zeros((3, width), np.int32)
    rows[0, :width] = np.arange(1, width + 1)
    rows[1, :2] = [7, 8]
    kept = np.asarray(KeepLastInstalls(3)(rows))
    expected = [list(range(width - 2, width + 1)), [7, 8, 0], [0, 0, 0]]
    np.testing.assert_array_equal(kept, expected)


def test_a_row_that_is_short_enough_stays_as_it_is():
    np.testing.assert_array_equal(KeepLastInstalls(5)(np.array([[4, 9]], np.int32)), [[4, 9]])
