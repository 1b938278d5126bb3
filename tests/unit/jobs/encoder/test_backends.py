"""Keras on JAX and PyTorch scores and trains as on TensorFlow.

Each runs in its own process, since a process has one backend.
"""

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from jobs.encoder.classifier import build_classifier
from jobs.training.fit.batches import LabelledSequences
from jobs.training.fit.classifier import StartingPoint, fit_classifier
from jobs.training.fit.named_weights import read_weights, set_initial_weights
from jobs.training.fit.options import TrainingOptions
from jobs.training.fit.predict import predict_logits
from tests.made_up.labelled_sequences import SMALL, made_up_users
from tests.made_up.small_risk_model import TOKEN_ROWS, padded, small_risk_model

pytestmark = pytest.mark.slow

NOT_INSTALLED = {
    "jax": "jax is not installed: it comes with the extra `dev`",
    "torch": (
        "torch is not installed: its wheel for Linux brings gigabytes of CUDA, "
        "so requirements.lock leaves it out"
    ),
}
TOLERANCE = 1e-4

# Widths as in the training below: JAX compiles a start at random for each shape of weights.
CONFIG = replace(SMALL, vocabulary_size=50, num_layers=2)
# Rows of one install, of as many as the encoder reads, of more, and of none.
LENGTHS = (1, 3, 40, 128, 150, 0)

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

ON_A_BACKEND = """
import json, sys
from pathlib import Path
import keras
import numpy as np
from jobs.encoder.classifier import build_classifier
from jobs.encoder.risk_model import build_risk_model
from jobs.export.engine_files import write_engine_files
from jobs.training.fit.named_weights import read_weights, set_initial_weights
from jobs.training.fit.predict import predict_logits
from jobs.sequences.tokenizer import Tokenizer
from jobs.sequences.vocabulary import Vocabulary
from tests.made_up.small_risk_model import TOKEN_ROWS, padded
from tests.unit.jobs.encoder.test_backends import CONFIG, TRAINED_CONFIG, VALIDATION, train

folder = Path(sys.argv[1])
classifier = build_classifier(CONFIG)
set_initial_weights(classifier, dict(np.load(folder / "classifier.npz")))
risk_model = keras.models.load_model(folder / "risk_model.keras")

def score(model, token_ids):
    # Compiled: one operation after the other, JAX takes a minute to start.
    return model.predict(token_ids, batch_size=len(token_ids), verbose=0).tolist()

scored = {
    "classifier": score(classifier, np.load(folder / "token_ids.npy")),
    "risk_model": score(risk_model, padded(TOKEN_ROWS)),
}

fit = train(dict(np.load(folder / "start.npz")), folder / "checkpoints")
np.savez(folder / "trained.npz", **read_weights(fit.model))
build_risk_model([fit.model], [1.0], 0.0, max_history=100).save(folder / "model.keras")
vocabulary = Vocabulary(tuple(f"app {i}" for i in range(TRAINED_CONFIG.vocabulary_size - 3)))
write_engine_files(folder / "model.keras", Tokenizer(vocabulary, 100, reads_sessions=True), folder)
print(json.dumps({
    "backend": keras.backend.backend(),
    "scored": scored,
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


@dataclass(frozen=True)
class Outcome:
    """What TensorFlow and another backend made of the same weights, rows and users."""

    folder: Path  # with the other backend's files
    scored_by_tensorflow: dict[str, Any]
    losses_of_tensorflow: list[float]
    found: dict[str, Any]  # what the script printed last


def run_on(backend: str, folder: Path) -> dict[str, Any]:
    """What the script printed last, with Keras on the backend."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        # On the CPU, as the TensorFlow that it is compared with: a GPU trains in mixed precision.
        "CUDA_VISIBLE_DEVICES": "",
        # Unoptimised: what JAX compiles here runs for milliseconds (35 s of processor time instead of 41 s).
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
    }
    process = subprocess.run(
        [sys.executable, "-c", ON_A_BACKEND, str(folder)],
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


def score(folder: Path) -> dict[str, Any]:
    """Write models and rows into the folder; TensorFlow's logits."""
    keras.utils.set_random_seed(1)
    classifier, risk_model = build_classifier(CONFIG), small_risk_model()
    weights = random_weights(classifier)
    set_initial_weights(classifier, weights)
    np.savez(folder / "classifier.npz", **weights)
    risk_model.save(folder / "risk_model.keras")
    random = np.random.default_rng(0)
    token_ids = padded([random.integers(3, CONFIG.vocabulary_size, length).tolist() for length in LENGTHS])
    np.save(folder / "token_ids.npy", token_ids)
    return {
        "classifier": np.asarray(classifier(token_ids, training=False)),
        "risk_model": np.asarray(risk_model(padded(TOKEN_ROWS), training=False)),
    }


@pytest.fixture(scope="module", params=["jax", "torch"])
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One process of the backend for both tests: imports alone take seconds."""
    backend = request.param
    if importlib.util.find_spec(backend) is None:
        pytest.skip(NOT_INSTALLED[backend])
    folder = tmp_path_factory.mktemp(backend)
    scored = score(folder)
    start = random_weights(build_classifier(TRAINED_CONFIG))
    np.savez(folder / "start.npz", **start)
    losses = [epoch.training_loss for epoch in train(start).epochs]
    return Outcome(folder, scored, losses, run_on(backend, folder))


def test_a_backend_scores_as_tensorflow_does(outcome):
    for model, logits in outcome.scored_by_tensorflow.items():
        assert np.ptp(logits) > 0.1  # otherwise agreement would mean little
        np.testing.assert_allclose(
            outcome.found["scored"][model], logits, rtol=0, atol=TOLERANCE, err_msg=model
        )


def test_a_backend_trains_as_tensorflow_does_and_tensorflow_exports_the_weights(outcome):
    folder, losses, found = outcome.folder, outcome.losses_of_tensorflow, outcome.found
    assert found["training_loss"][-1] < 0.9 * found["training_loss"][0]
    np.testing.assert_allclose(found["training_loss"], losses, rtol=1e-2)
    assert found["resumed"] == len(losses)

    in_tensorflow = build_classifier(TRAINED_CONFIG)
    set_initial_weights(in_tensorflow, dict(np.load(folder / "trained.npz")))
    np.testing.assert_allclose(
        predict_logits(in_tensorflow, VALIDATION.tokens), found["logits"], rtol=0, atol=TOLERANCE
    )
    saved_model = tf.saved_model.load(str(folder / "saved_model"))
    token_ids = tf.constant(VALIDATION.tokens.padded(np.arange(len(VALIDATION.labels))))
    exported = saved_model.signatures["score_token_ids"](token_ids=token_ids)["logit"]
    np.testing.assert_allclose(exported, found["logits"], rtol=0, atol=TOLERANCE)
    assert (folder / "model.onnx").exists()
