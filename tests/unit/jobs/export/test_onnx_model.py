"""ONNX Runtime scores as the Keras model does."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from jobs.export.onnx_model import export_onnx
from tests.made_up.small_risk_model import TOKEN_ROWS, padded, small_risk_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model():
    return small_risk_model()


@pytest.fixture(scope="module")
def session(model, tmp_path_factory) -> onnxruntime.InferenceSession:
    path: Path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    export_onnx(model, path)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("width", [6, 7, 20])
def test_scores_are_the_models_own_whatever_the_padding(model, session, width):
    expected = np.asarray(model(padded(TOKEN_ROWS)))
    assert np.ptp(expected) > 0.1  # otherwise agreement would mean little
    risk_score, logit = session.run(["risk_score", "logit"], {"token_ids": padded(TOKEN_ROWS, width)})
    np.testing.assert_allclose(logit, expected, atol=1e-5)
    np.testing.assert_allclose(risk_score, 1 / (1 + np.exp(-expected)), atol=1e-5)


def test_users_scored_alone_get_the_same_scores(model, session):
    alone = [session.run(["logit"], {"token_ids": padded([row])})[0].item() for row in TOKEN_ROWS]
    np.testing.assert_allclose(alone, model(padded(TOKEN_ROWS)), atol=1e-5)


def test_only_the_last_installs_of_a_longer_row_count(session):
    rows = [[20, 21, *TOKEN_ROWS[2]], TOKEN_ROWS[1]]
    (longer,) = session.run(["logit"], {"token_ids": padded(rows)})
    (cut,) = session.run(["logit"], {"token_ids": padded([TOKEN_ROWS[2], TOKEN_ROWS[1]])})
    np.testing.assert_allclose(longer, cut, atol=1e-5)


def test_inputs_and_outputs_are_named_with_open_axes(session):
    described = [(one.name, one.type, one.shape) for one in (*session.get_inputs(), *session.get_outputs())]
    assert described == [
        ("token_ids", "tensor(int32)", ["batch", "sequence"]),
        ("risk_score", "tensor(float)", ["batch"]),
        ("logit", "tensor(float)", ["batch"]),
    ]
