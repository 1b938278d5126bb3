"""Backend, precision, devices and determinism of a training on this machine.

The environment variable KERAS_BACKEND names the backend: tensorflow (the default), jax or torch. TensorFlow
feeds the batches to all of them.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

SHORTEST_PADDED = 32  # installs

if keras.backend.backend() != "tensorflow":
    # TensorFlow would fill the GPU's memory, which the other backend needs.
    tf.config.set_visible_devices([], "GPU")


def compiles_each_shape() -> bool:
    """Whether the backend compiles each shape of batch anew, as JAX does; uncompiled it is far slower."""
    return bool(keras.backend.backend() == "jax")


def with_few_shapes(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Pad batches with zeros to 32, 64, 128 … columns, where each shape is compiled.

    Zero is the padding token, and as a weight it removes an entry from the loss, so no result changes.
    """
    if not compiles_each_shape():
        return batches
    return batches.map(lambda *parts: tf.nest.map_structure(_widen, parts))


def _widen(part: tf.Tensor) -> tf.Tensor:
    if part.shape.rank < 2:
        return part
    width = tf.shape(part)[1]
    # Half a column less, or rounding could put 64 just above 2 to the 6th.
    power = tf.math.ceil(tf.math.log(tf.cast(width, tf.float32) - 0.5) / math.log(2.0))
    wider = tf.maximum(SHORTEST_PADDED, tf.bitwise.left_shift(1, tf.cast(power, tf.int32)))
    return tf.pad(part, [[0, 0], [0, wider - width]])


def sees_gpu() -> bool:
    """Whether Keras' backend can train on a GPU of this machine."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.default_backend() == "gpu"
    if keras.backend.backend() == "torch":
        import torch

        return bool(torch.cuda.is_available())
    return bool(tf.config.list_physical_devices("GPU"))


def repeat_to_the_last_bit(seed: int) -> None:
    """Seed all random generators of this process; on a CPU also let TensorFlow sum in a fixed order.

    On a CPU the fixed order has no cost that we could measure. On a GPU not every operation has one.
    """
    keras.utils.set_random_seed(seed)
    if not sees_gpu():
        tf.config.experimental.enable_op_determinism()


@contextmanager
def training_precision() -> Iterator[None]:
    """Use mixed precision inside the block if there is one GPU; a CPU has no fast float16.

    Several GPUs train in float32: Keras 3.15 checks only the first one for overflow of float16 gradients.
    """
    before = keras.config.dtype_policy()
    has_one_gpu = sees_gpu() and training_strategy().num_replicas_in_sync == 1
    keras.config.set_dtype_policy("mixed_float16" if has_one_gpu else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def training_strategy() -> tf.distribute.Strategy:
    """Data-parallel strategy over all GPUs, or over all logical CPUs if there is no GPU.

    One device needs no copies of the model. A CPU is one logical device unless TensorFlow was configured for
    more. Other backends train on their first device: TensorFlow sees no GPU then, and its default strategy
    does not affect them.
    """
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) == 1:
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy(
        [device.name for device in devices],
        # The default's collective operations ran in different orders on two devices and aborted ("Shape
        # mismatch in the collective instance"), for models with more than a few weights.
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
