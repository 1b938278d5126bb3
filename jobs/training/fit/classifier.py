"""Train one classifier on one split.

In   sizes, recipe, token sequences and labels of training and validation users
Out  the classifier with the weights of its best evaluation, and the figures of each evaluation
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from jobs.encoder.classifier import EncoderConfig, build_classifier
from jobs.evaluation.metrics import measure, to_probabilities
from jobs.training.fit.batches import (
    LabelledSequences,
    Length,
    class_weights,
    measure_length,
    steps_per_epoch,
    training_batches,
)
from jobs.training.fit.checkpoint import Checkpoint, digest
from jobs.training.fit.devices import repeat_to_the_last_bit, training_precision, training_strategy
from jobs.training.fit.named_weights import NamedWeights, set_initial_weights
from jobs.training.fit.optimizer import compile_classifier
from jobs.training.fit.options import TrainingOptions
from jobs.training.fit.predict import predict_logits
from jobs.training.fit.schedule import HalveOnPlateau, ScaledSchedule, make_schedule

BuildModel = Callable[[EncoderConfig], keras.Model]


@dataclass(frozen=True)
class Epoch:
    """Figures of one evaluation, after a pass over the training users or a set number of steps."""

    number: int  # 1-based
    steps: int  # since training began
    training_loss: float  # log loss with dropout and class weights, mean since the last evaluation
    validation_loss: float  # NaN without validation users
    validation_auc: float  # NaN without validation users
    seconds: float  # training and validation


@dataclass(frozen=True)
class Fit:
    """A trained classifier in float32, and its evaluations."""

    model: keras.Model
    epochs: list[Epoch]

    @property
    def best_epoch(self) -> Epoch:
        """The evaluation whose weights the model has; the last one without validation users."""
        if math.isnan(self.epochs[-1].validation_auc):
            return self.epochs[-1]
        return max(self.epochs, key=lambda epoch: epoch.validation_auc)  # of equals the first

    @property
    def best_steps(self) -> int:
        """Steps that led to the model's weights."""
        return self.best_epoch.steps


@dataclass(frozen=True)
class StartingPoint:
    """Starting weights, model builder and checkpoint of a training."""

    weights: NamedWeights = field(default_factory=dict)  # all others start at random
    build: BuildModel = build_classifier  # the untrained model, token ids (batch, sequence) to logit (batch,)
    # Folder for the state after each evaluation. A training that finds its own state there resumes from it,
    # or returns at once if it had finished. Evaluations that were reported before are not reported again.
    checkpoint_folder: Path | None = None


FROM_SCRATCH = StartingPoint()


def fit_classifier(
    config: EncoderConfig,
    options: TrainingOptions,
    train: LabelledSequences,
    validation: LabelledSequences | None,
    on_epoch: Callable[[Epoch], None],
    start: StartingPoint = FROM_SCRATCH,
) -> Fit:
    """Train until validation AUC stops rising; `on_epoch` is called after each evaluation.

    Two trainings with the same arguments end with the same weights, on a CPU to the last bit.

    Args:
        validation: without it, all epochs or steps are trained, the rate is never halved, and the last
            weights are kept.

    Raises:
        CheckpointError: the checkpoint folder holds the state of another training.
        ValueError: the starting weights do not fit the model.
    """
    length = measure_length(len(train.labels), options)
    repeat_to_the_last_bit(options.seed)
    with training_precision(), training_strategy().scope():
        model = start.build(config)
        set_initial_weights(model, start.weights)
        schedule = make_schedule(options, length.epoch_steps, length.total_steps)
        epochs = _Epochs(validation, on_epoch, length)
        stopping = plateau = checkpoint = None
        if validation is not None:
            stopping = _best_weights(options.patience)
            if options.reduce_on_plateau_patience is not None:
                schedule = ScaledSchedule(schedule)
                plateau = HalveOnPlateau(schedule, options.reduce_on_plateau_patience)
        compile_classifier(model, options, schedule, train.tokens.count(config.vocabulary_size))
        if start.checkpoint_folder is not None:
            identity = _identify(config, options, train, validation, model)
            checkpoint = Checkpoint(start.checkpoint_folder, identity, epochs.finished, stopping, plateau)
            epochs.finished.extend(Epoch(**evaluation) for evaluation in checkpoint.evaluations)
        done = len(epochs.finished)
        model.fit(
            training_batches(train, options, first_step=done * length.evaluation_steps),
            steps_per_epoch=length.evaluation_steps,  # Keras' epochs are our evaluations
            initial_epoch=done,
            # With no epoch left, Keras only runs the callbacks that restore the best weights.
            epochs=done if checkpoint and checkpoint.finished else length.evaluations,
            class_weight=class_weights(train.labels, options),
            # In this order: each reads results of those before it.
            callbacks=[callback for callback in (epochs, stopping, plateau, checkpoint) if callback],
            shuffle=False,  # training_batches shuffles
            verbose=0,
        )
    # Scoring and export use float32 on one device, whatever the training used.
    trained = start.build(config)
    trained.set_weights(model.get_weights())
    return Fit(trained, epochs.finished)


def fit_for_steps(
    steps: int,
    config: EncoderConfig,
    options: TrainingOptions,
    train: LabelledSequences,
    on_epoch: Callable[[Epoch], None],
    start: StartingPoint,
) -> Fit:
    """Train for `steps` steps without validation users; the schedule ends with the last one."""
    epochs = steps / steps_per_epoch(len(train.labels), options)
    length = {
        "max_steps": steps,
        "max_epochs": math.ceil(epochs),
        "warmup_epochs": min(options.warmup_epochs, epochs / 2),
    }
    return fit_classifier(config, options.model_copy(update=length), train, None, on_epoch, start)


def _best_weights(patience: int) -> keras.callbacks.EarlyStopping:
    return keras.callbacks.EarlyStopping(
        monitor="validation_auc", mode="max", patience=patience, restore_best_weights=True
    )


def _identify(
    config: EncoderConfig,
    options: TrainingOptions,
    train: LabelledSequences,
    validation: LabelledSequences | None,
    model: keras.Model,
) -> dict[str, Any]:
    """Everything that determines a training, to refuse the checkpoint of another one."""
    return {
        **options.model_dump(mode="json"),
        "backend": keras.backend.backend(),
        "precision": keras.config.dtype_policy().name,
        "devices": training_strategy().num_replicas_in_sync,
        "sizes": repr(config),
        "model": [f"{weight.path} {weight.shape}" for weight in model.weights],
        "initial weights": digest(*model.get_weights()),
        "training examples": _digest_examples(train),
        "validation examples": _digest_examples(validation) if validation else None,
    }


def _digest_examples(examples: LabelledSequences) -> str:
    tokens = (part.values for part in examples.tokens.chunks())
    return digest(examples.tokens.lengths, examples.labels, *tokens)


class _Epochs(keras.callbacks.Callback):
    """Evaluates the validation users, and puts validation AUC into the logs for later callbacks."""

    def __init__(
        self, validation: LabelledSequences | None, on_epoch: Callable[[Epoch], None], length: Length
    ) -> None:
        super().__init__()
        self.validation = validation
        self.on_epoch = on_epoch
        self.length = length
        self.finished: list[Epoch] = []
        self.started = 0.0
        self.steps = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        del logs
        self.started = time.monotonic()
        self.steps = epoch * self.length.evaluation_steps

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        del batch, logs
        self.steps += 1
        if self.steps == self.length.total_steps:
            self.model.stop_training = True  # Keras still ends this epoch, which may be shorter

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        validation_loss = validation_auc = math.nan
        if self.validation is not None:
            probabilities = to_probabilities(predict_logits(self.model, self.validation.tokens))
            metrics = measure(self.validation.labels, probabilities)
            validation_loss, validation_auc = metrics.log_loss, metrics.auc
            logs["validation_auc"] = validation_auc  # EarlyStopping reads it
        finished = Epoch(
            number=epoch + 1,
            steps=self.steps,
            training_loss=float(logs["loss"]),
            validation_loss=validation_loss,
            validation_auc=validation_auc,
            seconds=time.monotonic() - self.started,
        )
        self.finished.append(finished)
        self.on_epoch(finished)
