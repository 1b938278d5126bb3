"""Steps and batches of a training: their number, and which examples share a batch.

In   token sequences and labels   any lengths
Out  endless tf.data of batches   int32 (batch, sequence), float32 (batch,)

Each batch is a pure function of seed and step, so that an interrupted training resumes with the batches that
it would have seen.
"""

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight

from jobs.encoder.tokens import PAD_TOKEN_ID, UNKNOWN_TOKEN_ID, apps_of, begins_session, mark_session_starts
from jobs.errors import DataError
from jobs.sequences.batching import shuffle_into_batches
from jobs.sequences.token_sequences import TokenSequences
from jobs.training.fit.devices import with_few_shapes
from jobs.training.fit.options import TrainingOptions

LABELLED_BATCH = (tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None,), tf.float32))  # tokens, labels


class TooShortError(DataError):
    """The training would end before its first update of the weights."""


@dataclass(frozen=True)
class LabelledSequences:
    """Token sequences and their labels, in one order."""

    tokens: TokenSequences
    labels: NDArray[np.int8]

    def take(self, indices: NDArray[np.int64]) -> "LabelledSequences":
        return LabelledSequences(self.tokens.take(indices), self.labels[indices])


@dataclass(frozen=True)
class Length:
    """Number of steps in a training and between its evaluations."""

    epoch_steps: int  # one pass over the training examples
    total_steps: int  # end of the schedule, and of training unless patience stops it before
    evaluation_steps: int  # from one evaluation to the next

    @property
    def evaluations(self) -> int:
        """Number of evaluations; the last one may follow fewer steps than the others."""
        return math.ceil(self.total_steps / self.evaluation_steps)


def measure_length(examples: int, options: TrainingOptions) -> Length:
    """Count the steps of a training on this number of examples.

    Raises:
        TooShortError: there are fewer steps than one update of the weights takes.
    """
    epoch_steps = steps_per_epoch(examples, options)
    total_steps = min(options.epochs(examples) * epoch_steps, options.max_steps or sys.maxsize)
    if options.accumulation_steps > total_steps:
        raise TooShortError(
            f"accumulation_steps is {options.accumulation_steps}, the whole training on {examples} examples has "
            f"{total_steps} steps of batch_size {options.batch_size}: no weight would ever be updated; lower "
            "accumulation_steps or batch_size, or train longer"
        )
    return Length(
        epoch_steps=epoch_steps,
        total_steps=total_steps,
        evaluation_steps=options.evaluate_every_steps or epoch_steps,
    )


def steps_per_epoch(examples: int, options: TrainingOptions) -> int:
    """Number of batches in one pass over the training examples."""
    return math.ceil(examples / options.batch_size)


def training_batches(
    train: LabelledSequences, options: TrainingOptions, first_step: int = 0
) -> tf.data.Dataset:
    """Endless shuffled batches of similar length; each epoch has a new order."""

    def padded_batches() -> Iterator[tuple[NDArray[np.int32], NDArray[np.float32]]]:
        for batch, random in shuffled_batches(train.tokens.lengths, options, first_step):
            token_ids = drop_installs(train.tokens.padded(batch), options.install_dropout, random)
            yield token_ids, train.labels[batch].astype(np.float32)

    return stream(padded_batches, LABELLED_BATCH)


def stream(batches: Callable[[], Iterator[Any]], signature: Any) -> tf.data.Dataset:
    """Prefetch two batches. One signature covers all lengths, so that TensorFlow traces a step once."""
    options = tf.data.Options()
    # The tuner's thread sleeps 10 ms, 20 ms, 40 ms … up to a minute, and dropping the data set waits until it
    # wakes: `fit` returned after 5.1 s from steps of 3.4 s.
    options.autotune.enabled = False
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return with_few_shapes(dataset).prefetch(2).with_options(options)


def shuffled_batches(
    lengths: NDArray[np.int64], options: TrainingOptions, first_step: int = 0
) -> Iterator[tuple[NDArray[np.int64], np.random.Generator]]:
    """Yield each step's examples, and a random generator of that step to augment them."""
    first_epoch, first_batch = divmod(first_step, steps_per_epoch(len(lengths), options))
    for epoch in count(first_epoch):
        batches = shuffle_into_batches(
            lengths, options.batch_size, np.random.default_rng([options.seed, epoch])
        )
        for number in range(first_batch, len(batches)):
            # To NumPy, [seed, epoch] and [seed, epoch, 0] are the same seed, hence the 1.
            yield batches[number], np.random.default_rng([options.seed, epoch, 1 + number])
        first_batch = 0


def drop_installs(
    token_ids: NDArray[np.int32], share: float, random: np.random.Generator
) -> NDArray[np.int32]:
    """Replace a random share of the real tokens by the unknown token."""
    if share == 0.0:
        return token_ids
    dropped = (random.random(token_ids.shape) < share) & (token_ids != PAD_TOKEN_ID)
    return mark_session_starts(
        np.where(dropped, np.int32(UNKNOWN_TOKEN_ID), apps_of(token_ids)), begins_session(token_ids)
    )


def class_weights(labels: NDArray[np.int8], options: TrainingOptions) -> dict[int, float] | None:
    """Weight of an example in the loss by label, for `keras.Model.fit`; 1 on average."""
    if options.class_weights == "none":
        return None
    present = np.unique(labels)
    weights = compute_class_weight("balanced", classes=present, y=labels)
    # Keras wants a weight for every label from 0.
    return {0: 1.0, 1: 1.0} | dict(zip(present.tolist(), weights.tolist(), strict=True))
