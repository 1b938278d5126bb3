"""Tf-idf regression as a layer, against the textbook formula."""

from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.encoder.layers.tfidf_regression import TfidfRegression
from jobs.encoder.ngram_hash import count_features, hash_ngrams

VOCABULARY_SIZE = 12
TOKENS = np.array([[3, 4, 3, 5, 3], [9, 9, 0, 0, 0], [7, 0, 0, 0, 0]], np.int32)


def filled(max_order: int) -> TfidfRegression:
    random = np.random.default_rng(2)
    features = count_features(VOCABULARY_SIZE, max_order)
    layer = TfidfRegression(VOCABULARY_SIZE, max_order)
    layer.fill(random.uniform(1, 3, features), random.normal(size=features), intercept=-0.5)
    return layer


def logit_by_hand(layer: TfidfRegression, row: list[int]) -> float:
    """Counts in a dictionary, then the textbook formula."""
    counts: dict[int, int] = {}
    for order in range(1, layer.max_order + 1):
        for start in range(len(row) - order + 1):
            ngram = [np.int32(token) for token in row[start : start + order]]
            feature = int(hash_ngrams(ngram, VOCABULARY_SIZE))
            counts[feature] = counts.get(feature, 0) + 1
    idf, coefficients = layer.idf.numpy(), layer.coefficients.numpy()
    weights = {feature: (1 + np.log(count)) * idf[feature] for feature, count in counts.items()}
    length = np.sqrt(sum(weight**2 for weight in weights.values()))
    return float(sum(w * coefficients[f] for f, w in weights.items()) / length + layer.intercept.numpy())


@pytest.mark.parametrize("max_order", [1, 3])
@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.lists(st.integers(1, VOCABULARY_SIZE - 1), min_size=1, max_size=9), min_size=1, max_size=4
    )
)
def test_tfidf_regression_is_the_textbook_formula(max_order, rows):
    layer = filled(max_order)
    width = max(map(len, rows))
    padded = np.array([row + [0] * (width - len(row)) for row in rows], np.int32)
    np.testing.assert_allclose(layer(padded), [logit_by_hand(layer, row) for row in rows], atol=1e-4)


def test_contributions_add_up_to_the_logit_and_padding_gets_none():
    layer = filled(3)
    contributions = np.asarray(layer.contributions(TOKENS))
    np.testing.assert_allclose(contributions.sum(axis=1) - 0.5, layer(TOKENS), atol=1e-5)
    assert (contributions[TOKENS == 0] == 0).all()


def test_linear_members_do_not_read_sessions():
    layer = filled(3)
    begins_session = np.array([[-1, 1, -1, 1, -1], [-1, -1, 1, 1, 1], [-1, 1, 1, 1, 1]], np.int32)
    same = layer.contributions(TOKENS * begins_session)
    np.testing.assert_array_equal(same, layer.contributions(TOKENS))


def test_installs_of_an_ngram_share_its_contribution():
    layer = TfidfRegression(VOCABULARY_SIZE, 2)
    features = count_features(VOCABULARY_SIZE, 2)
    coefficients = np.zeros(features)
    coefficients[int(hash_ngrams([np.int32(4), np.int32(5)], VOCABULARY_SIZE))] = 6.0
    layer.fill(np.ones(features), coefficients, intercept=0.0)
    contributions = np.asarray(layer.contributions(np.array([[4, 5, 9]], np.int32)))
    np.testing.assert_allclose(contributions, [[3 / np.sqrt(5), 3 / np.sqrt(5), 0.0]], atol=1e-5)


def test_a_user_without_known_features_gets_the_intercept():
    layer = TfidfRegression(VOCABULARY_SIZE, 1)
    layer.fill(np.zeros(VOCABULARY_SIZE), np.ones(VOCABULARY_SIZE), intercept=-2.0)
    np.testing.assert_allclose(layer(TOKENS), [-2.0] * 3)


def test_tfidf_regression_keeps_its_config_and_weights_in_a_file(tmp_path: Path):
    layer = filled(2)
    model = keras.Sequential([keras.Input((None,), dtype="int32"), layer])
    model.save(tmp_path / "linear.keras")
    reloaded = keras.models.load_model(tmp_path / "linear.keras")
    np.testing.assert_array_equal(reloaded(TOKENS), layer(TOKENS))
    assert reloaded.layers[-1].get_config() == layer.get_config()
