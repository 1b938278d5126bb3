"""Masked-install pretraining of the encoder, on users without labels (Devlin et al., 2019, §3.1).

In   sizes, recipe, token sequences
Out  the encoder's weights, to initialise `fit_classifier` with

Reference:
    https://arxiv.org/abs/1810.04805
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from jobs.encoder.classifier import EncoderConfig, build_classifier
from jobs.encoder.layers.masked_install_head import MaskedInstallHead
from jobs.sequences.token_sequences import TokenSequences
from jobs.training.fit.batches import measure_length, shuffled_batches, stream
from jobs.training.fit.classifier import BuildModel
from jobs.training.fit.devices import (
    compiles_each_shape,
    repeat_to_the_last_bit,
    training_precision,
    training_strategy,
)
from jobs.training.fit.named_weights import NamedWeights, read_weights, set_initial_weights
from jobs.training.fit.optimizer import make_optimizer
from jobs.training.fit.options import TrainingOptions
from jobs.training.fit.schedule import make_schedule
from jobs.training.start.masking import mask_tokens


@dataclass(frozen=True)
class PretrainingEpoch:
    """Loss of one pass over the users."""

    number: int  # 1-based
    masked_loss: float  # nats per hidden install, dropout on, mean over the epoch
    seconds: float


def pretrain_encoder(
    config: EncoderConfig,
    options: TrainingOptions,
    tokens: TokenSequences,
    on_epoch: Callable[[PretrainingEpoch], None],
    *,
    build: BuildModel = build_classifier,
    initial_weights: NamedWeights | None = None,
) -> NamedWeights:
    """Train the encoder for `options.pretraining_epochs` to predict hidden installs; the head is left out.

    Batches, optimizer and schedule are those of `fit_classifier`, with a schedule over the length of the
    pretraining. `initial_weights` are weights to start from, of the encoder or of the whole classifier.
    """
    repeat_to_the_last_bit(options.seed)
    length = measure_length(
        len(tokens), options.model_copy(update={"max_epochs": options.pretraining_epochs, "max_steps": None})
    )
    with training_precision(), training_strategy().scope():
        classifier = build(config)
        set_initial_weights(classifier, initial_weights or {})
        encoder = classifier.get_layer("encoder")
        model = build_pretraining_model(encoder)
        model.compile(
            optimizer=make_optimizer(options, make_schedule(options, length.epoch_steps, length.total_steps)),
            # Only hidden installs have a weight; the mean is over them.
            loss=keras.losses.SparseCategoricalCrossentropy(
                from_logits=True, reduction="mean_with_sample_weight"
            ),
            jit_compile=compiles_each_shape(),
        )
        model.optimizer.build(model.trainable_variables)  # as in compile_classifier
        model.fit(
            masked_batches(tokens, config.vocabulary_size, options),
            steps_per_epoch=length.epoch_steps,
            epochs=options.pretraining_epochs,
            callbacks=[_OnEpoch(on_epoch)],
            shuffle=False,  # masked_batches shuffles
            verbose=0,
        )
    return read_weights(encoder)


def build_pretraining_model(encoder: keras.layers.Layer) -> keras.Model:
    """Build the model: token ids and positions to logits `(batch, hidden, vocabulary)`."""
    token_ids = keras.Input(shape=(None,), dtype="int32", name="token_ids")
    positions = keras.Input(shape=(None,), dtype="int32", name="positions")
    head = MaskedInstallHead(encoder.token_embedding, dtype=encoder.dtype_policy, name="masked_install_head")
    return keras.Model([token_ids, positions], head(encoder(token_ids), positions=positions))


def masked_batches(tokens: TokenSequences, vocabulary_size: int, options: TrainingOptions) -> tf.data.Dataset:
    """Endless shuffled batches of (tokens, positions), targets, weights; each epoch hides other installs."""

    def batches() -> Iterator[tuple[tuple[NDArray[np.int32], ...], NDArray[np.int32], NDArray[np.float32]]]:
        for batch, random in shuffled_batches(tokens.lengths, options):
            masked = mask_tokens(tokens.padded(batch), options.mask_share, vocabulary_size, random)
            yield (masked.token_ids, masked.positions), masked.targets, masked.weights

    ids = tf.TensorSpec((None, None), tf.int32)
    signature = ((ids, ids), ids, tf.TensorSpec((None, None), tf.float32))
    return stream(batches, signature)


class _OnEpoch(keras.callbacks.Callback):
    def __init__(self, on_epoch: Callable[[PretrainingEpoch], None]) -> None:
        super().__init__()
        self.on_epoch = on_epoch
        self.started = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        del epoch, logs
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        self.on_epoch(PretrainingEpoch(epoch + 1, float(logs["loss"]), time.monotonic() - self.started))
