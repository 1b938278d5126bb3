"""Weights that a training starts from."""

import numpy as np
import pytest

from jobs.training.fit.classifier import Fit, StartingPoint, fit_classifier
from jobs.training.fit.options import TrainingOptions
from tests.made_up.labelled_sequences import OPTIONS, Parts, build_average


@pytest.fixture(scope="module")
def fit(parts: Parts) -> Fit:
    return fit_classifier(parts[0], OPTIONS, parts[1], parts[2], on_epoch=[].append)


def test_initial_weights_are_where_training_starts(parts):
    options = TrainingOptions(learning_rate=1e-12, max_steps=1)
    embeddings = np.full((parts[0].vocabulary_size, 4), 0.25, np.float32)
    fit = fit_classifier(
        parts[0],
        options,
        parts[1],
        None,
        [].append,
        StartingPoint(build=build_average, weights={"embedding/embeddings": embeddings}),
    )
    np.testing.assert_allclose(fit.model.get_layer("embedding").embeddings.numpy(), 0.25, rtol=1e-6)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("tail/bias", "hold tail/bias, which the model lacks"),
        ("head/bias", r"head/bias has the shape \(2,\)"),
    ],
)
def test_initial_weights_of_another_model_are_refused(parts, path, message):
    with pytest.raises(ValueError, match=message):
        fit_classifier(
            parts[0],
            OPTIONS,
            parts[1],
            None,
            [].append,
            StartingPoint(build=build_average, weights={path: np.zeros(2, np.float32)}),
        )
