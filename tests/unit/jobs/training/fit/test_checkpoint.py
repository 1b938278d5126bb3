"""A training that was killed goes on as if it had not been."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from jobs.encoder.classifier import EncoderConfig
from jobs.training.fit.batches import LabelledSequences
from jobs.training.fit.checkpoint import CHECKPOINT_FILE, CheckpointError
from jobs.training.fit.classifier import Epoch, Fit, StartingPoint, fit_classifier
from jobs.training.fit.options import TrainingOptions
from tests.made_up.labelled_sequences import SMALL, assert_same_weights, build_average, made_up_users

pytestmark = pytest.mark.slow

TRAIN, VALIDATION = made_up_users(100, seed=1), made_up_users(60, seed=2)
# 4 steps an epoch: evaluations in the middle of epochs, and an accumulated gradient in each checkpoint.
OPTIONS = TrainingOptions(
    batch_size=32,
    learning_rate=0.1,
    max_epochs=6,
    evaluate_every_steps=3,
    patience=3,
    reduce_on_plateau_patience=2,
    accumulation_steps=2,
    install_dropout=0.2,
    class_weights="balanced",
)


class Killed(Exception):
    """What the tests raise in the middle of a training."""


def build_with_dropout(config: EncoderConfig) -> keras.Model:
    """The mean embedding, with a layer whose random state a checkpoint must hold."""
    token_ids = keras.Input((None,), dtype="int32")
    embedded = keras.layers.Embedding(config.vocabulary_size, 4, name="embedding")(token_ids)
    pooled = keras.layers.Dropout(0.4)(keras.ops.mean(embedded, axis=1))
    return keras.Model(token_ids, keras.ops.squeeze(keras.layers.Dense(1, name="head")(pooled), axis=-1))


def train(
    folder: Path | None,
    kill_at: int | None = None,
    options: TrainingOptions = OPTIONS,
    users: LabelledSequences = TRAIN,
    validation: LabelledSequences | None = VALIDATION,
) -> tuple[Fit, list[int]]:
    """The fit, and the numbers of the evaluations that it reported."""
    reported = []

    def report(epoch: Epoch) -> None:
        if epoch.number == kill_at:
            raise Killed  # measured, but not yet written down
        reported.append(epoch.number)

    fit = fit_classifier(
        SMALL,
        options,
        users,
        validation,
        report,
        StartingPoint(build=build_with_dropout, checkpoint_folder=folder),
    )
    return fit, reported


def results(fit: Fit) -> list[tuple[float, ...]]:
    """The evaluations without their seconds."""
    return [
        (epoch.steps, epoch.training_loss, epoch.validation_loss, epoch.validation_auc)
        for epoch in fit.epochs
    ]


@pytest.fixture(scope="module")
def undisturbed() -> Fit:
    return train(None)[0]


@pytest.mark.parametrize("kill_at", [2, 4, 5])
def test_a_killed_training_ends_with_the_weights_and_history_of_an_undisturbed_one(
    undisturbed, tmp_path, kill_at
):
    with pytest.raises(Killed):
        train(tmp_path, kill_at=kill_at)
    fit, reported = train(tmp_path)
    assert reported == list(range(kill_at, len(undisturbed.epochs) + 1))
    assert results(fit) == results(undisturbed)
    assert_same_weights(fit.model, undisturbed.model)


def test_the_training_of_these_tests_ends_by_patience_and_halves_its_rate_on_the_way(undisturbed):
    # Or the tests above would not see whether that state comes back.
    assert len(undisturbed.epochs) < 8
    assert undisturbed.best_epoch.number == len(undisturbed.epochs) - OPTIONS.patience


def test_a_finished_training_is_given_back_without_training(undisturbed, tmp_path):
    train(tmp_path)
    fit, reported = train(tmp_path)
    assert reported == []
    assert results(fit) == results(undisturbed)
    assert_same_weights(fit.model, undisturbed.model)


def test_a_training_without_validation_users_goes_on_as_well(tmp_path):
    whole = train(None, validation=None)[0]
    with pytest.raises(Killed):
        train(tmp_path, kill_at=5, validation=None)
    fit, reported = train(tmp_path, validation=None)
    assert reported == [5, 6, 7, 8]
    assert_same_weights(fit.model, whole.model)


@pytest.fixture(scope="module")
def of_a_killed_training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    with pytest.raises(Killed):
        train(folder, kill_at=2)
    return folder


@pytest.fixture
def folder(of_a_killed_training: Path, tmp_path: Path) -> Path:
    """Holds the checkpoint of a killed training."""
    return shutil.copytree(of_a_killed_training, tmp_path / "checkpoint")


def test_a_checkpoint_of_other_options_is_refused_by_their_name(folder):
    with pytest.raises(CheckpointError, match=r"another training: learning_rate was 0.1, is 0.2\. Name"):
        train(folder, options=OPTIONS.model_copy(update={"learning_rate": 0.2}))


def test_a_checkpoint_of_other_users_is_refused(folder):
    relabelled = LabelledSequences(TRAIN.tokens, 1 - TRAIN.labels)
    with pytest.raises(CheckpointError, match="another training: training examples was"):
        train(folder, users=relabelled)


def test_a_checkpoint_of_another_model_is_refused(folder):
    with pytest.raises(CheckpointError, match="another training: initial weights was"):
        fit_classifier(
            SMALL,
            OPTIONS,
            TRAIN,
            VALIDATION,
            [].append,
            StartingPoint(build=build_average, checkpoint_folder=folder),
        )


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_broken_checkpoint_is_named(folder, kept):
    path = folder / CHECKPOINT_FILE
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(CheckpointError, match=f"{CHECKPOINT_FILE} cannot be read"):
        train(folder)


def test_a_kill_while_writing_leaves_the_checkpoint_before(folder, monkeypatch):
    before = (folder / CHECKPOINT_FILE).read_bytes()

    def write_a_half(path: Path, **arrays: object) -> None:
        del arrays
        Path(path).write_bytes(b"half")
        raise Killed

    monkeypatch.setattr(np, "savez", write_a_half)
    with pytest.raises(Killed):
        train(folder)
    assert (folder / CHECKPOINT_FILE).read_bytes() == before
