"""Keras on JAX and PyTorch scores and trains as on TensorFlow.

Each runs in its own process, since a process has one backend.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from jobs.encoder.classifier import EncoderConfig, build_classifier
from jobs.training.fit.batches import LabelledSequences
from jobs.training.fit.classifier import StartingPoint, fit_classifier
from jobs.training.fit.named_weights import read_weights, set_initial_weights
from jobs.training.fit.options import TrainingOptions
from jobs.training.fit.predict import predict_logits
from tests.made_up.labelled_sequences import SMALL, made_up_users
from tests.made_up.small_risk_model import TOKEN_ROWS, padded, small_risk_model

NOT_INSTALLED = {
    "jax": "jax is not installed: it comes with the extra `dev`",
    "torch": (
        "torch is not installed: its wheel for Linux brings gigabytes of CUDA, "
        "so requirements.lock leaves it out"
    ),
}
TOLERANCE = 1e-4

CONFIG = EncoderConfig(vocabulary_size=50)  # all other sizes are the defaults
# Installs per row: one, some, as many as the encoder reads, more, and none.
LENGTHS = (1, 3, 40, 128, 150, 0)

FORWARD = """
import json, sys
import keras
import numpy as np
from jobs.encoder.classifier import build_classifier
from jobs.training.fit.named_weights import set_initial_weights
from tests.unit.jobs.encoder.test_backends import CONFIG
from tests.made_up.small_risk_model import TOKEN_ROWS, padded

folder = sys.argv[1]
classifier = build_classifier(CONFIG)
set_initial_weights(classifier, dict(np.load(f"{folder}/classifier.npz")))
risk_model = keras.models.load_model(f"{folder}/risk_model.keras")

def score(model, token_ids):
    # Compiled: without it, JAX takes a minute to start, one operation after the other.
    return model.predict(token_ids, batch_size=len(token_ids), verbose=0).tolist()

print(json.dumps({
    "backend": keras.backend.backend(),
    "classifier": score(classifier, np.load(f"{folder}/token_ids.npy")),
    "risk_model": score(risk_model, padded(TOKEN_ROWS)),
}))
"""

# Without dropout, whose random numbers each backend draws in its own way.
TRAINED_CONFIG = replace(SMALL, dropout=0.0)
OPTIONS = TrainingOptions(
    batch_size=25,
    learning_rate=0.03,
    max_epochs=4,
    patience=4,
    reduce_on_plateau_patience=1,
    accumulation_steps=2,
    class_weights="balanced",
    weight_decay=0.01,
    clip_norm=0.5,
)

TRAIN = """
import json, sys
from pathlib import Path
import keras
import numpy as np
from jobs.encoder.risk_model import build_risk_model
from jobs.export.engine_files import write_engine_files
from jobs.training.fit.named_weights import read_weights
from jobs.training.fit.predict import predict_logits
from jobs.sequences.tokenizer import Tokenizer
from jobs.sequences.vocabulary import Vocabulary
from tests.unit.jobs.encoder.test_backends import TRAINED_CONFIG, VALIDATION, train

folder = Path(sys.argv[1])
fit = train(dict(np.load(folder / "start.npz")), folder / "checkpoints")
np.savez(folder / "trained.npz", **read_weights(fit.model))
build_risk_model([fit.model], [1.0], 0.0, max_history=100).save(folder / "model.keras")
vocabulary = Vocabulary(tuple(f"app {i}" for i in range(TRAINED_CONFIG.vocabulary_size - 3)))
write_engine_files(folder / "model.keras", Tokenizer(vocabulary, 100, reads_sessions=True), folder)
print(json.dumps({
    "backend": keras.backend.backend(),
    "training_loss": [epoch.training_loss for epoch in fit.epochs],
    "logits": predict_logits(fit.model, VALIDATION.tokens).tolist(),
    "resumed": len(train(dict(np.load(folder / "start.npz")), folder / "checkpoints").epochs),
}))
"""


def short_users(users: int, seed: int) -> LabelledSequences:
    """Users of at most 32 installs, the first width of batches: JAX compiles one step for each width."""
    made_up = made_up_users(users, seed)
    return LabelledSequences(made_up.tokens.last(32), made_up.labels)


USERS, VALIDATION = short_users(100, seed=1), short_users(40, seed=2)


def train(start: dict[str, Any], checkpoints: Path | None = None) -> Any:
    """A short training with every option that needs something of the backend."""
    return fit_classifier(
        TRAINED_CONFIG,
        OPTIONS,
        USERS,
        VALIDATION,
        [].append,
        StartingPoint(weights=start, checkpoint_folder=checkpoints),
    )


def run_on(backend: str, script: str, folder: Path) -> dict[str, Any]:
    """Run a script with Keras on a backend, and return the JSON that it printed last."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(NOT_INSTALLED[backend])
    # On the CPU, as the TensorFlow that it is compared with: a GPU trains in mixed precision.
    environment = {**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    result: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    assert result["backend"] == backend
    return result


def random_weights(model: keras.Model) -> dict[str, Any]:
    """The model's weights plus noise, so that no bias or normalisation is only 0 or 1 and each one counts."""
    random = np.random.default_rng(0)
    return {
        path: weight + random.normal(0, 0.1, weight.shape).astype(np.float32)
        for path, weight in read_weights(model).items()
    }


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> tuple[Path, dict[str, Any]]:
    """Models and rows in a folder, and TensorFlow's logits."""
    folder = tmp_path_factory.mktemp("forward")
    keras.utils.set_random_seed(1)
    classifier, risk_model = build_classifier(CONFIG), small_risk_model()
    weights = random_weights(classifier)
    set_initial_weights(classifier, weights)
    np.savez(folder / "classifier.npz", **weights)
    risk_model.save(folder / "risk_model.keras")
    random = np.random.default_rng(0)
    token_ids = padded([random.integers(3, CONFIG.vocabulary_size, length).tolist() for length in LENGTHS])
    np.save(folder / "token_ids.npy", token_ids)
    return folder, {
        "classifier": np.asarray(classifier(token_ids, training=False)),
        "risk_model": np.asarray(risk_model(padded(TOKEN_ROWS), training=False)),
    }


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_backend_scores_as_tensorflow_does(backend, scored):
    folder, expected = scored
    found = run_on(backend, FORWARD, folder)
    for model, logits in expected.items():
        assert np.ptp(logits) > 0.1  # otherwise agreement would mean little
        np.testing.assert_allclose(found[model], logits, rtol=0, atol=TOLERANCE, err_msg=model)


@pytest.fixture(scope="module")
def trained_by_tensorflow() -> Callable[[], tuple[dict[str, Any], list[float]]]:
    """Initial weights, and the training losses that they lead to: trained once, when first asked for."""
    found: list[tuple[dict[str, Any], list[float]]] = []

    def ask() -> tuple[dict[str, Any], list[float]]:
        if not found:
            start = random_weights(build_classifier(TRAINED_CONFIG))
            found.append((start, [epoch.training_loss for epoch in train(start).epochs]))
        return found[0]

    return ask


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_backend_trains_as_tensorflow_does_and_tensorflow_exports_the_weights(
    backend, trained_by_tensorflow, tmp_path
):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(NOT_INSTALLED[backend])
    start, losses = trained_by_tensorflow()
    np.savez(tmp_path / "start.npz", **start)
    found = run_on(backend, TRAIN, tmp_path)
    assert found["training_loss"][-1] < 0.9 * found["training_loss"][0]
    np.testing.assert_allclose(found["training_loss"], losses, rtol=1e-2)
    assert found["resumed"] == len(losses)

    in_tensorflow = build_classifier(TRAINED_CONFIG)
    set_initial_weights(in_tensorflow, dict(np.load(tmp_path / "trained.npz")))
    np.testing.assert_allclose(
        predict_logits(in_tensorflow, VALIDATION.tokens), found["logits"], rtol=0, atol=TOLERANCE
    )
    saved_model = tf.saved_model.load(str(tmp_path / "saved_model"))
    token_ids = tf.constant(VALIDATION.tokens.padded(np.arange(len(VALIDATION.labels))))
    exported = saved_model.signatures["score_token_ids"](token_ids=token_ids)["logit"]
    np.testing.assert_allclose(exported, found["logits"], rtol=0, atol=TOLERANCE)
    assert (tmp_path / "model.onnx").exists()
