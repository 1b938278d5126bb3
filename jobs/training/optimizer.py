"""Loss and optimizer of a training, from its options."""
# mypy: allow-subclassing-any
# Keras ships no types.

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from jobs.encoder.tensor import Tensor
from jobs.training.devices import compiles_each_shape
from jobs.training.options import TrainingOptions
from jobs.training.schedule import ScaledSchedule

# Offsets and normalisations are not what overfits (BERT leaves them out as well).
NOT_DECAYED = ["bias", "gamma", "beta"]


def compile_classifier(model: keras.Model, options: TrainingOptions, schedule: LearningRateSchedule) -> None:
    """Log loss of the logit."""
    model.compile(
        optimizer=make_optimizer(options, schedule),
        loss=log_loss,
        jit_compile=compiles_each_shape(),  # elsewhere, XLA would compile for every length of batch and gain little
    )
    # Otherwise the first step makes its variables, and TensorFlow traces the step a second time.
    model.optimizer.build(model.trainable_variables)


def log_loss(labels: Tensor, logits: Tensor) -> Tensor:
    """Log loss of each example: `(batch,)` and `(batch,)` to `(batch,)`.

    keras.losses.BinaryCrossentropy takes the last axis for classes and means over it. Ours is the batch, and
    class weights would then weigh the mean of a batch instead of its examples.
    """
    return ops.binary_crossentropy(labels, logits, from_logits=True)


def make_optimizer(options: TrainingOptions, schedule: LearningRateSchedule) -> keras.optimizers.Optimizer:
    """Adam as in the paper (Vaswani et al., 2017, §5.3), with weight decay AdamW.

    With accumulation the schedule still counts steps, not updates.

    Raises:
        ValueError: accumulation on more than one device.
    """
    devices = tf.distribute.get_strategy().num_replicas_in_sync
    if options.accumulation_steps > 1 and devices > 1:
        raise ValueError(
            f"accumulation_steps must be 1 on {devices} devices, got {options.accumulation_steps}: Keras' "
            "accumulation decides inside a condition, where TensorFlow cannot sum over devices"
        )
    optimizer = DenseGradientAdam(
        schedule,
        # Keras decays weights apart from the gradient: its AdamW is this class with another default.
        weight_decay=options.weight_decay or None,
        beta_1=0.9,
        beta_2=0.98,
        epsilon=1e-9,
        global_clipnorm=options.clip_norm,
        # Keras wants None for every step.
        gradient_accumulation_steps=options.accumulation_steps if options.accumulation_steps > 1 else None,
    )
    optimizer.exclude_from_weight_decay(var_names=NOT_DECAYED)
    if isinstance(schedule, ScaledSchedule):
        # JAX hands a compiled step only the variables that its optimizer has, and would keep any other as it was.
        optimizer.scale = schedule.scale
    return optimizer


@keras.saving.register_keras_serializable(package="risk_encoder")
class DenseGradientAdam(keras.optimizers.Adam):
    """Adam that sums an embedding's gradient over the whole batch before anything else.

    TensorFlow, alone among the backends, gives it as one row for each install. Keras 3.15 squares the rows of an app that several users
    have one by one, in Adam's second moment and in the norm that is clipped, as if they were of several apps.
    """

    def apply(self, grads: Sequence[Tensor], trainable_variables: Sequence[Any] | None = None) -> None:
        """Apply one step's gradients."""
        super().apply([_densify(gradient) for gradient in grads], trainable_variables)


def _densify(gradient: Tensor) -> Tensor:
    return tf.convert_to_tensor(gradient) if isinstance(gradient, tf.IndexedSlices) else gradient
