"""Loss and optimizer of a training, from its options."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule
from numpy.typing import NDArray

from jobs.encoder.tensor import Tensor
from jobs.encoder.tokens import FIRST_APP_TOKEN_ID
from jobs.training.fit.devices import compiles_each_shape
from jobs.training.fit.named_weights import EMBEDDINGS
from jobs.training.fit.options import TrainingOptions
from jobs.training.fit.schedule import ScaledSchedule

# Biases and normalisation weights do not overfit (BERT does not decay them either).
NOT_DECAYED = ["bias", "gamma", "beta"]
# ADR 12. The embedding of an app with this many installs learns half as fast as other weights.
APP_INSTALLS = 30_000


def compile_classifier(
    model: keras.Model,
    options: TrainingOptions,
    schedule: LearningRateSchedule,
    installs: NDArray[np.int64],
) -> None:
    """Compile the model with log loss, and with embedding learning rates that grow with install counts.

    Args:
        installs: number of each token in the training examples, `(vocabulary_size,)`.
    """
    model.compile(
        optimizer=make_optimizer(options, schedule, {EMBEDDINGS: app_rates(installs)}),
        loss=log_loss,
        jit_compile=compiles_each_shape(),  # else XLA would compile every batch length for little gain
    )
    # Otherwise the first step creates the variables, and TensorFlow traces the step a second time.
    model.optimizer.build(model.trainable_variables)


def log_loss(labels: Tensor, logits: Tensor) -> Tensor:
    """Log loss of each example: `(batch,)` and `(batch,)` to `(batch,)`.

    keras.losses.BinaryCrossentropy averages over the last axis, as if it were classes. Ours is the batch, so
    class weights would then weigh the mean of a batch instead of its examples.
    """
    return ops.binary_crossentropy(labels, logits, from_logits=True)


def app_rates(installs: NDArray[np.int64]) -> NDArray[np.float32]:
    """Learning rate of each token's embedding relative to other weights: `n / (n + 30000)` for `n` installs.

    Adam normalises gradients, so the embedding of an app of five users would move as far per step as one of
    five thousand, and memorise its few users. Embeddings can afford low rates: they start from the
    co-occurrence of apps.
    """
    rates = installs / (installs + APP_INSTALLS)
    rates[:FIRST_APP_TOKEN_ID] = 1.0  # dropout and masking add special tokens that were not counted
    return rates.astype(np.float32)


def make_optimizer(
    options: TrainingOptions,
    schedule: LearningRateSchedule,
    row_rates: Mapping[str, NDArray[np.float32]] | None = None,
) -> keras.optimizers.Optimizer:
    """Adam with the parameters of Vaswani et al. (2017, §5.3); AdamW if there is weight decay.

    With accumulation the schedule still counts steps, not updates.

    Args:
        row_rates: by path of a weight, a factor on the learning rate of each of its rows.

    Raises:
        ValueError: accumulation on more than one device.
    """
    devices = tf.distribute.get_strategy().num_replicas_in_sync
    if options.accumulation_steps > 1 and devices > 1:
        raise ValueError(
            f"accumulation_steps must be 1 on {devices} devices, got {options.accumulation_steps}: Keras' "
            "accumulation runs inside a condition, where TensorFlow cannot sum over devices"
        )
    optimizer = RowAdam(
        schedule,
        row_rates=row_rates or {},
        # Keras decouples weight decay from the gradient: its AdamW is this class with another default.
        weight_decay=options.weight_decay or None,
        beta_1=0.9,
        beta_2=0.98,
        epsilon=1e-9,
        # Keras clips the gradients of each device, then sums over the devices.
        global_clipnorm=options.clip_norm and options.clip_norm / devices,
        # None means an update in every step.
        gradient_accumulation_steps=options.accumulation_steps if options.accumulation_steps > 1 else None,
    )
    optimizer.exclude_from_weight_decay(var_names=NOT_DECAYED)
    if isinstance(schedule, ScaledSchedule):
        # JAX passes a compiled step only the optimizer's own variables; any other would stay constant.
        optimizer.scale = schedule.scale
    return optimizer


@keras.saving.register_keras_serializable(package="risk_encoder")
class RowAdam(keras.optimizers.Adam):
    """Adam for embeddings: one gradient per row and step, and optionally a learning rate per row.

    TensorFlow, alone among the backends, gives an embedding's gradient as one row for each install. Keras
    3.15 squares the rows of one app separately, as if they were of several apps, both in Adam's second moment
    and in the norm that is clipped. Here they are summed over the batch first.

    Args:
        row_rates: by path of a weight, `(rows,)`, a factor on the learning rate of each row. They belong to
        one
            training and are not part of the config.
    """

    def __init__(
        self, *args: Any, row_rates: Mapping[str, NDArray[np.float32]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.row_rates = row_rates or {}
        self.multipliers: list[NDArray[np.float32]] = []  # factors on the rate, in the order of the weights

    def build(self, var_list: Sequence[Any]) -> None:
        """Create Adam's moments, and look up each weight's rates while the weights still have paths."""
        if not self.built:
            one = np.ones(1, np.float32)
            rates = [self.row_rates.get(variable.path) for variable in var_list]
            self.multipliers = [one if rate is None else rate[:, None] for rate in rates]
        super().build(var_list)

    def apply(self, grads: Sequence[Tensor], trainable_variables: Sequence[Any] | None = None) -> None:
        """Apply the gradients of one step, summed over the rows of each app."""
        super().apply([_densify(gradient) for gradient in grads], trainable_variables)

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        """Update one weight; Adam's own update accepts one rate for each row as well as one for all."""
        index = self._get_variable_index(variable)
        super().update_step(gradient, variable, ops.multiply(learning_rate, self.multipliers[index]))


def _densify(gradient: Tensor) -> Tensor:
    return tf.convert_to_tensor(gradient) if isinstance(gradient, tf.IndexedSlices) else gradient
