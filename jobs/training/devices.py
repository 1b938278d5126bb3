"""What TensorFlow trains on here: precision, number of devices, and whether sums repeat to the last bit."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf


def sees_gpu() -> bool:
    """Whether TensorFlow can train on a GPU here."""
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
    """Mixed precision inside the block when TensorFlow sees a GPU; a CPU has no fast float16."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16" if sees_gpu() else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def training_strategy() -> tf.distribute.Strategy:
    """All GPUs, each with a copy of the model and a part of every batch; without any, all logical CPUs.

    One device needs no copies. A CPU is one logical device unless someone asked TensorFlow for more.
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
