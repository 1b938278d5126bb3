"""Train one classifier on one split.

In   sizes, recipe, token sequences and labels of training and validation users
Out  the classifier with the weights of its best epoch, and what each epoch reached
"""
# mypy: allow-subclassing-any
# Keras ships no types.

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from jobs.encoder.classifier import EncoderConfig, build_classifier
from jobs.training.evaluate import measure, to_probabilities
from jobs.training.options import TrainingOptions
from jobs.training.predict import predict_logits
from jobs.training.schedule import WarmUpInverseSquareRoot
from jobs.training.token_sequences import TokenSequences, shuffle_into_batches


@dataclass(frozen=True)
class LabelledSequences:
    """Token sequences and their labels, in one order."""

    tokens: TokenSequences
    labels: NDArray[np.int8]


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training users reached."""

    number: int  # 1-based
    training_loss: float  # log loss with dropout on, mean over the epoch
    validation_loss: float
    validation_auc: float
    seconds: float  # training and validation


@dataclass(frozen=True)
class Fit:
    """A trained classifier in float32, and its epochs."""

    model: keras.Model
    epochs: list[Epoch]

    @property
    def best_epoch(self) -> Epoch:
        """The epoch whose weights the model has."""
        return max(self.epochs, key=lambda epoch: epoch.validation_auc)  # the first of equals


def fit_classifier(
    config: EncoderConfig,
    options: TrainingOptions,
    train: LabelledSequences,
    validation: LabelledSequences,
    report: Callable[[Epoch], None],
) -> Fit:
    """Train until validation AUC stops rising; `report` is called after each epoch."""
    keras.utils.set_random_seed(options.seed)
    with training_precision():
        model = build_classifier(config)
        compile_classifier(model, options, steps_per_epoch(train, options))
        epochs = _Epochs(validation, report)
        model.fit(
            training_batches(train, options),
            epochs=options.max_epochs,
            callbacks=[epochs, _best_weights(options.patience)],
            shuffle=False,  # training_batches shuffles
            verbose=0,
        )
    # Scored and exported in float32, whatever it was trained in.
    trained = build_classifier(config)
    trained.set_weights(model.get_weights())
    return Fit(trained, epochs.finished)


def compile_classifier(model: keras.Model, options: TrainingOptions, epoch_steps: int) -> None:
    """Adam as in the paper (§5.3) on the log loss."""
    warmup_steps = max(1, round(options.warmup_epochs * epoch_steps))
    schedule = WarmUpInverseSquareRoot(options.learning_rate, warmup_steps)
    model.compile(
        optimizer=keras.optimizers.Adam(schedule, beta_1=0.9, beta_2=0.98, epsilon=1e-9),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=False,  # XLA would compile again for every length of batch
    )


def training_batches(train: LabelledSequences, options: TrainingOptions) -> tf.data.Dataset:
    """Shuffled batches of similar length; each pass over the data set is one epoch in a new order."""
    random = np.random.default_rng(options.seed)

    def padded_batches() -> Iterator[tuple[NDArray[np.int32], NDArray[np.float32]]]:
        for batch in shuffle_into_batches(train.tokens.lengths, options.batch_size, random):
            yield train.tokens.padded(batch), train.labels[batch].astype(np.float32)

    # One signature for all lengths: TensorFlow traces the training step once.
    signature = (tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None,), tf.float32))
    dataset = tf.data.Dataset.from_generator(padded_batches, output_signature=signature)
    steps = steps_per_epoch(train, options)
    return dataset.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(2)


def steps_per_epoch(train: LabelledSequences, options: TrainingOptions) -> int:
    """Batches in one pass over the training examples."""
    return math.ceil(len(train.labels) / options.batch_size)


@contextmanager
def training_precision() -> Iterator[None]:
    """Mixed precision inside the block when TensorFlow sees a GPU; a CPU has no fast float16."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16" if sees_gpu() else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def sees_gpu() -> bool:
    """Whether TensorFlow can train on a GPU here."""
    return bool(tf.config.list_physical_devices("GPU"))


def _best_weights(patience: int) -> keras.callbacks.Callback:
    return keras.callbacks.EarlyStopping(
        monitor="validation_auc", mode="max", patience=patience, restore_best_weights=True
    )


class _Epochs(keras.callbacks.Callback):
    """Measures the validation users after each epoch, and tells the callbacks after it."""

    def __init__(self, validation: LabelledSequences, report: Callable[[Epoch], None]) -> None:
        super().__init__()
        self.validation = validation
        self.report = report
        self.finished: list[Epoch] = []
        self.started = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        del epoch, logs
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        probabilities = to_probabilities(predict_logits(self.model, self.validation.tokens))
        metrics = measure(self.validation.labels, probabilities)
        logs["validation_auc"] = metrics.auc  # EarlyStopping reads it
        finished = Epoch(
            number=epoch + 1,
            training_loss=float(logs["loss"]),
            validation_loss=metrics.log_loss,
            validation_auc=metrics.auc,
            seconds=time.monotonic() - self.started,
        )
        self.finished.append(finished)
        self.report(finished)
