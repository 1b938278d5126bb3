"""What a training runs on here: backend, precision, number of devices, and whether sums repeat to the last bit.

Keras trains on the backend that the environment's KERAS_BACKEND names: tensorflow, where it names none, jax or torch.
TensorFlow feeds the batches to all of them.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

SHORTEST_PADDED = 32  # installs

if keras.backend.backend() != "tensorflow":
    # It would fill the GPU's memory, which the other backend needs.
    tf.config.set_visible_devices([], "GPU")


def compiles_each_shape() -> bool:
    """Whether training has to be compiled, anew for each shape of batch: JAX step by step is many times slower."""
    return bool(keras.backend.backend() == "jax")


def with_few_shapes(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The batches; where each shape is compiled, with zeros behind their rows up to 32, 64, 128 … columns.

    Zero is padding to tokens and the weight of nothing, so it changes no result.
    """
    if not compiles_each_shape():
        return batches
    return batches.map(lambda *parts: tf.nest.map_structure(_widen, parts))


def _widen(part: tf.Tensor) -> tf.Tensor:
    if part.shape.rank < 2:
        return part
    width = tf.shape(part)[1]
    # Half a column less, or rounding would take 64 for a little more than 2 to the 6th.
    power = tf.math.ceil(tf.math.log(tf.cast(width, tf.float32) - 0.5) / math.log(2.0))
    wider = tf.maximum(SHORTEST_PADDED, tf.bitwise.left_shift(1, tf.cast(power, tf.int32)))
    return tf.pad(part, [[0, 0], [0, wider - width]])


def sees_gpu() -> bool:
    """Whether Keras' backend can train on a GPU here."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.default_backend() == "gpu"
    if keras.backend.backend() == "torch":
        import torch

        return bool(torch.cuda.is_available())
    return bool(tf.config.list_physical_devices("GPU"))


def repeat_to_the_last_bit(seed: int) -> None:
    """Seed all random generators of this process; on a CPU, let TensorFlow sum in a fixed order as well.

    The fixed order costs nothing that we could measure on a CPU. Not every operation has one on a GPU.
    """
    keras.utils.set_random_seed(seed)
    if not sees_gpu():
        tf.config.experimental.enable_op_determinism()


@contextmanager
def training_precision() -> Iterator[None]:
    """Mixed precision inside the block when there is one GPU; a CPU has no fast float16.

    Several train in float32: Keras 3.15 asks the first alone whether its float16 gradients overflowed.
    """
    before = keras.config.dtype_policy()
    has_one_gpu = sees_gpu() and training_strategy().num_replicas_in_sync == 1
    keras.config.set_dtype_policy("mixed_float16" if has_one_gpu else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def training_strategy() -> tf.distribute.Strategy:
    """All GPUs, each with a copy of the model and a part of every batch; without any, all logical CPUs.

    One device needs no copies. A CPU is one logical device unless someone asked TensorFlow for more. Other backends
    train on their first device: TensorFlow sees no GPU then, and its default strategy leaves them alone.
    """
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) == 1:
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy(
        [device.name for device in devices],
        # The default's collective operations met in different orders on two devices and aborted ("Shape
        # mismatch in the collective instance"), for models with more than a few weights.
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
