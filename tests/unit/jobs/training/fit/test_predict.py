"""Logits of a trained model."""

import numpy as np
import pytest

from jobs.training.fit.classifier import Fit, fit_classifier
from jobs.training.fit.predict import predict_logits
from tests.made_up.labelled_sequences import OPTIONS, Parts


@pytest.fixture(scope="module")
def fit(parts: Parts) -> Fit:
    return fit_classifier(parts[0], OPTIONS, parts[1], parts[2], on_epoch=[].append)


def test_predictions_keep_the_order_of_the_sequences(fit, parts, monkeypatch):
    tokens = parts[1].tokens
    monkeypatch.setattr("jobs.training.fit.predict.PREDICTION_BATCH_SIZE", 7)
    one_by_one = [fit.model(tokens.padded(np.array([i])), training=False).numpy().item() for i in range(20)]
    np.testing.assert_allclose(predict_logits(fit.model, tokens)[:20], one_by_one, atol=1e-5)
