"""Logits of a trained model."""

import keras
import numpy as np

from jobs.encoder.classifier import build_classifier
from jobs.training.fit.predict import predict_logits


def test_predictions_keep_the_order_of_the_sequences(parts, monkeypatch):
    keras.utils.set_random_seed(1)
    model = build_classifier(parts[0])
    tokens = parts[1].tokens
    monkeypatch.setattr("jobs.training.fit.predict.PREDICTION_BATCH_SIZE", 7)
    one_by_one = [model(tokens.padded(np.array([i])), training=False).numpy().item() for i in range(20)]
    assert np.ptp(one_by_one) > 0.1  # otherwise agreement would mean little
    np.testing.assert_allclose(predict_logits(model, tokens)[:20], one_by_one, atol=1e-5)
