"""The SavedModel scores as the Keras model does, from token ids and from app ids."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from jobs.encoder.operations import find_foreign_operations
from jobs.encoder.risk_model import build_risk_model
from jobs.export.explanations import explain
from jobs.export.saved_model import export_saved_model
from jobs.sequences.tokenizer import Tokenizer
from jobs.sequences.vocabulary import Vocabulary
from tests.made_up.small_risk_model import (
    APPS,
    MAX_HISTORY,
    TOKEN_ROWS,
    TOKENIZER,
    padded,
    random_regression,
    small_risk_model,
)

pytestmark = pytest.mark.slow


def app_rows(token_rows: list[list[int]]) -> list[list[str]]:
    return [
        [APPS[abs(token) - 3] if abs(token) >= 3 else "brand new app" for token in row] for row in token_rows
    ]


def padded_apps(rows: list[list[str]], width: int) -> np.ndarray:
    return np.array([row + [""] * (width - len(row)) for row in rows])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    model = small_risk_model()
    model.save(folder / "model.keras")
    export_saved_model(model, TOKENIZER, folder / "saved_model")
    return folder


@pytest.fixture(scope="module")
def signatures(exported):
    loaded = tf.saved_model.load(str(exported / "saved_model"))
    return {**loaded.signatures, "kept alive": loaded}


def test_the_graph_holds_only_operations_that_scoring_allows(exported):
    assert find_foreign_operations(exported / "saved_model") == []


def score_tokens(signatures, rows: list[list[int]], width: int) -> dict[str, np.ndarray]:
    scores = signatures["score_token_ids"](token_ids=tf.constant(padded(rows, width)))
    return {name: value.numpy() for name, value in scores.items()}


def installs(token_rows: list[list[int]], width: int) -> dict[str, tf.Tensor]:
    """Inputs of the app id signatures, for the same installs."""
    return {
        "app_ids": tf.constant(padded_apps(app_rows(token_rows), width)),
        "begins_session": tf.constant(padded(token_rows, width) < 0),
    }


def score_apps(signatures, rows: list[list[int]], width: int, name: str = "score_app_ids"):
    scores = signatures[name](**installs(rows, width))
    return {name: value.numpy() for name, value in scores.items()}


def test_keras_file_saved_model_and_both_signatures_agree_whatever_the_padding(exported, signatures):
    reloaded = keras.models.load_model(exported / "model.keras")
    expected = np.asarray(reloaded(padded(TOKEN_ROWS), training=False))
    assert np.ptp(expected) > 0.01  # otherwise agreement would mean little
    for width in (6, 7, 40):
        from_tokens = score_tokens(signatures, TOKEN_ROWS, width)
        from_apps = score_apps(signatures, TOKEN_ROWS, width)
        np.testing.assert_allclose(from_tokens["logit"], expected, atol=1e-5)
        np.testing.assert_allclose(from_apps["logit"], expected, atol=1e-5)
        for scores in (from_tokens, from_apps):
            np.testing.assert_allclose(scores["risk_score"], 1 / (1 + np.exp(-expected)), atol=1e-5)


def test_users_scored_alone_get_the_same_scores(signatures):
    together = score_tokens(signatures, TOKEN_ROWS, MAX_HISTORY)["logit"]
    alone = [score_tokens(signatures, [row], len(row))["logit"].item() for row in TOKEN_ROWS]
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_app_ids_are_the_default_signature(signatures):
    np.testing.assert_array_equal(
        score_apps(signatures, [[6, 7]], 2, name="serving_default")["logit"],
        score_apps(signatures, [[6, 7]], 2)["logit"],
    )


def test_signatures_return_one_float32_per_user(signatures):
    for scores in (score_tokens(signatures, [[5], [6]], 1), score_apps(signatures, [[4], [1]], 1)):
        assert set(scores) == {"risk_score", "logit"}
        assert {(value.dtype.name, value.shape) for value in scores.values()} == {("float32", (2,))}


def test_both_signatures_return_the_explanation_of_the_keras_model(exported, signatures):
    model = keras.models.load_model(exported / "model.keras")
    expected = explain(model, tf.constant(padded(TOKEN_ROWS, 7)))
    from_tokens = signatures["explain_token_ids"](token_ids=tf.constant(padded(TOKEN_ROWS, 7)))
    from_apps = signatures["explain_app_ids"](**installs(TOKEN_ROWS, 7))
    for found in (from_tokens, from_apps):
        assert set(found) == {"contributions", "logit", "baseline_logit"}
        for name, value in found.items():
            assert value.dtype == tf.float32
            np.testing.assert_allclose(value, expected[name], atol=1e-5)


def test_only_the_last_installs_of_a_sequence_that_is_too_long_count(signatures):
    long_row = [20, 21, *TOKEN_ROWS[2]]
    rows = [long_row, TOKEN_ROWS[1]]
    expected = score_tokens(signatures, [TOKEN_ROWS[2], TOKEN_ROWS[1]], MAX_HISTORY)["logit"]
    for width in (8, 12):
        np.testing.assert_allclose(score_tokens(signatures, rows, width)["logit"], expected, atol=1e-5)
        from_apps = score_apps(signatures, rows, width)["logit"]
        np.testing.assert_allclose(from_apps, expected, atol=1e-5)


def test_the_vocabulary_lies_beside_the_graph(exported):
    extra = exported / "saved_model" / "assets.extra"
    assert (extra / "vocabulary.txt").read_text().splitlines() == list(APPS)
    assert json.loads((extra / "model.json").read_text()) == {
        "max_history": MAX_HISTORY,
        "reads_sessions": True,
        "vocabulary_size": 23,
        "pad_token_id": 0,
        "unknown_token_id": 1,
    }


def test_a_model_with_an_empty_vocabulary_still_scores(tmp_path):
    nothing = Vocabulary(())
    assert np.isfinite(small_risk_model(nothing.size)(padded([[1]]))).all()
    # Without an encoder, whose explanation takes many times as long to write.
    bag_of_apps = build_risk_model([random_regression(1, nothing.size)], [1.0], 0.0, MAX_HISTORY)
    tokenizer = Tokenizer(nothing, MAX_HISTORY, reads_sessions=False)
    export_saved_model(bag_of_apps, tokenizer, tmp_path / "saved_model")
    loaded = tf.saved_model.load(str(tmp_path / "saved_model"))
    assert np.isfinite(score_apps(loaded.signatures, [[1]], 1)["logit"]).all()
