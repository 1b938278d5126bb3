"""The risk model, made of its members."""

import keras
import numpy as np

from jobs.encoder.classifier import EncoderConfig, build_classifier
from jobs.encoder.risk_model import build_risk_model
from tests.made_up.small_risk_model import random_regression

VOCABULARY_SIZE = 12
TOKENS = np.array([[3, 4, 3, 5, 3], [9, 9, 0, 0, 0], [7, 0, 0, 0, 0]], np.int32)


def test_the_risk_model_is_the_weighted_sum_of_its_members_over_the_last_installs():
    keras.utils.set_random_seed(1)
    config = EncoderConfig(VOCABULARY_SIZE, 3, hidden_dim=8, num_layers=1, num_heads=2, intermediate_dim=8)
    encoder, linear = build_classifier(config), random_regression(2, VOCABULARY_SIZE)
    model = build_risk_model([encoder, linear], [0.7, 0.4], intercept=0.1, max_history=4)
    last = np.array([[4, 3, 5, 3], [9, 9, 0, 0], [7, 0, 0, 0]], np.int32)
    expected = 0.7 * np.asarray(encoder(last)) + 0.4 * np.asarray(linear(last)) + 0.1
    np.testing.assert_allclose(model(TOKENS), expected, atol=1e-5)
