"""The classifier as a whole: sizes, padding, order."""

import numpy as np
import pytest

from jobs.encoder.classifier import EncoderConfig, build_classifier

SMALL = {"hidden_dim": 8, "num_layers": 2, "num_heads": 2, "intermediate_dim": 16}


def logits(model, *rows: list[int]) -> np.ndarray:
    return np.asarray(model(np.array(rows, dtype=np.int32), training=False))


@pytest.fixture(scope="module")
def model():
    return build_classifier(EncoderConfig(vocabulary_size=30, **SMALL))


def test_one_float32_logit_per_user(model):
    scored = logits(model, [5, 9, 7], [4, 0, 0])
    assert scored.shape == (2,)
    assert scored.dtype == np.float32


def test_more_padding_does_not_change_a_score(model):
    short = logits(model, [5, 9, 7])
    padded = logits(model, [5, 9, 7] + [0] * 60)
    np.testing.assert_allclose(padded, short, atol=1e-6)


def test_other_users_in_a_batch_do_not_change_a_score(model):
    np.testing.assert_allclose(
        logits(model, [4, 6, 0, 0], [9, 9, 8, 8])[:1], logits(model, [4, 6]), atol=1e-6
    )


def test_the_order_of_installs_changes_the_score(model):
    assert abs(logits(model, [5, 9, 7]) - logits(model, [7, 9, 5])).item() > 1e-4


def test_only_the_last_installs_of_a_longer_row_count():
    model = build_classifier(EncoderConfig(vocabulary_size=30, max_sequence_length=3, **SMALL))
    np.testing.assert_allclose(logits(model, [8, 4, 5, 9, 7]), logits(model, [5, 9, 7]), atol=1e-6)


def test_a_user_with_only_padding_gets_a_finite_logit(model):
    assert np.isfinite(logits(model, [0, 0, 0])).all()


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("vocabulary_size", 2, r"vocabulary_size\n.*greater than or equal to 3"),
        ("max_sequence_length", 0, r"max_sequence_length\n.*greater than or equal to 1"),
        ("hidden_dim", 1, r"hidden_dim\n.*greater than or equal to 2"),
        ("num_layers", 0, r"num_layers\n.*greater than or equal to 1"),
        ("context_width", 4, "context_width must be odd, got 4"),
        ("num_heads", 5, "num_heads must divide hidden_dim, got num_heads=5 and hidden_dim=64"),
        ("dropout", 1.0, r"dropout\n.*less than 1"),
    ],
)
def test_an_invalid_size_is_named_in_the_error(setting, value, message):
    with pytest.raises(ValueError, match=message):
        EncoderConfig(**{"vocabulary_size": 30, setting: value})
