"""Precision of a training, and training on more than one device.

The latter has a process of its own: TensorFlow's devices are fixed at its start.
"""

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from jobs.encoder.classifier import EncoderConfig, build_classifier
from jobs.training.fit.classifier import StartingPoint, fit_classifier
from jobs.training.fit.devices import training_precision, training_strategy
from jobs.training.fit.options import TrainingOptions
from jobs.training.fit.predict import predict_logits
from tests.made_up.labelled_sequences import SMALL, build_average, made_up_users

pytestmark = pytest.mark.slow

ON_DEVICES = """
import json, sys
import tensorflow as tf
devices = int(sys.argv[1])
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)

from tests.unit.jobs.training.fit.test_devices import train
print(json.dumps(train()))
"""


def train() -> dict[str, Any]:
    """What trainings on this process's devices find."""
    # 97 users: the last batch has one, which cannot be shared out.
    users, validation = made_up_users(97, seed=1), made_up_users(61, seed=2)
    options = TrainingOptions(
        batch_size=32,
        learning_rate=0.05,
        max_epochs=3,
        clip_norm=1.0,
        weight_decay=0.01,
        class_weights="balanced",
        reduce_on_plateau_patience=1,
    )
    fit = fit_classifier(SMALL, options, users, validation, [].append, StartingPoint(build=build_average))

    def fit_encoder(**settings: Any) -> float:
        # Its weights are too many for one sum over the devices.
        options = TrainingOptions(batch_size=32, max_steps=2, **settings)
        return fit_classifier(SMALL, options, users, None, [].append).epochs[0].training_loss

    refused = ""
    replicas = training_strategy().num_replicas_in_sync
    try:
        if replicas > 1:
            fit_encoder(accumulation_steps=2)
    except ValueError as error:
        refused = str(error)
    return {
        "replicas": replicas,
        "training_loss": [epoch.training_loss for epoch in fit.epochs],
        "validation_auc": [epoch.validation_auc for epoch in fit.epochs],
        "logits": predict_logits(fit.model, validation.tokens).tolist(),
        "encoder_loss": fit_encoder(),
        "refused": refused,
    }


def train_on(devices: int) -> dict[str, Any]:
    """The same in a process with so many logical CPUs."""
    command = [sys.executable, "-c", ON_DEVICES, str(devices)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert process.returncode == 0, process.stderr[-3000:]
    result: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return result


@pytest.fixture(scope="module")
def two() -> dict[str, Any]:
    return train_on(2)


def test_two_devices_train_about_what_one_trains(two):
    one = train()
    assert (one["replicas"], two["replicas"]) == (1, 2)
    assert two["training_loss"] == pytest.approx(one["training_loss"], rel=0.05)
    assert two["validation_auc"] == pytest.approx(one["validation_auc"], abs=0.05)
    assert two["logits"] == pytest.approx(one["logits"], abs=0.3)
    # Each device drops other units, so this is about the first loss alone.
    assert two["encoder_loss"] == pytest.approx(one["encoder_loss"], rel=0.2)


def test_accumulation_on_two_devices_is_refused(two):
    assert "accumulation_steps must be 1 on 2 devices, got 2" in two["refused"]


def test_precision_is_mixed_on_one_gpu_alone_and_set_back_afterwards(monkeypatch):
    with training_precision():
        assert keras.config.dtype_policy().name == "float32"
    monkeypatch.setattr("jobs.training.fit.devices.sees_gpu", lambda: True)
    with training_precision():
        assert keras.config.dtype_policy().name == "mixed_float16"
    monkeypatch.setattr(
        "jobs.training.fit.devices.training_strategy",
        lambda: SimpleNamespace(num_replicas_in_sync=2),
    )
    with training_precision():
        assert keras.config.dtype_policy().name == "float32"
    assert keras.config.dtype_policy().name == "float32"


def test_a_classifier_trained_in_mixed_precision_comes_back_in_float32(parts, monkeypatch):
    config, train, validation = parts
    monkeypatch.setattr("jobs.training.fit.devices.sees_gpu", lambda: True)
    options = TrainingOptions(max_epochs=1, clip_norm=1.0, accumulation_steps=2, weight_decay=0.01)
    policies = []

    def build(config: EncoderConfig) -> keras.Model:
        policies.append(keras.config.dtype_policy().name)
        return build_classifier(config)

    trained = fit_classifier(config, options, train, validation, [].append, StartingPoint(build=build))
    assert policies == ["mixed_float16", "float32"]
    assert trained.model.get_layer("encoder").compute_dtype == "float32"
    assert np.isfinite(trained.epochs[0].training_loss)
