"""The risk model, made of its members."""

import keras
import numpy as np

from jobs.encoder.classifier import EncoderConfig, build_classifier
from jobs.encoder.layers.tfidf_regression import TfidfRegression
from jobs.encoder.ngram_hash import count_features
from jobs.encoder.risk_model import build_risk_model

VOCABULARY_SIZE = 12
TOKENS = np.array([[3, 4, 3, 5, 3], [9, 9, 0, 0, 0], [7, 0, 0, 0, 0]], np.int32)


def filled(max_order: int) -> TfidfRegression:
    random = np.random.default_rng(2)
    features = count_features(VOCABULARY_SIZE, max_order)
    layer = TfidfRegression(VOCABULARY_SIZE, max_order)
    layer.fill(random.uniform(1, 3, features), random.normal(size=features), intercept=-0.5)
    return layer


def test_the_risk_model_is_the_weighted_sum_of_its_members_over_the_last_installs():
    keras.utils.set_random_seed(1)
    config = EncoderConfig(VOCABULARY_SIZE, 3, hidden_dim=8, num_layers=1, num_heads=2, intermediate_dim=8)
    encoder, linear = build_classifier(config), filled(2)
    model = build_risk_model([encoder, linear], [0.7, 0.4], intercept=0.1, max_history=4)
    last = np.array([[4, 3, 5, 3], [9, 9, 0, 0], [7, 0, 0, 0]], np.int32)
    expected = 0.7 * np.asarray(encoder(last)) + 0.4 * np.asarray(linear(last)) + 0.1
    np.testing.assert_allclose(model(TOKENS), expected, atol=1e-5)
