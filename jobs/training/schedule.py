"""Learning-rate schedule: linear warm-up, then decay with the inverse square root of the step."""
# mypy: allow-subclassing-any
# Keras ships no types.

from typing import Any

import keras
from keras import ops

from jobs.encoder.tensor import Tensor


@keras.saving.register_keras_serializable(package="risk_encoder")
class WarmUpInverseSquareRoot(keras.optimizers.schedules.LearningRateSchedule):
    """`peak * min(step / warmup_steps, sqrt(warmup_steps / step))` (Vaswani et al., 2017, §5.3, eq. 3).

    The paper's schedule with its highest rate given directly instead of through the model's width.

    Args:
        peak: highest learning rate, reached after `warmup_steps`.
        warmup_steps: steps of linear growth, at least 1.

    Reference:
        https://arxiv.org/abs/1706.03762
    """

    def __init__(self, peak: float, warmup_steps: int) -> None:
        self.peak = peak
        self.warmup_steps = warmup_steps

    def __call__(self, step: Tensor) -> Tensor:
        """Learning rate of the 0-based `step`."""
        warmups = (ops.cast(step, "float32") + 1.0) / self.warmup_steps
        return self.peak * ops.minimum(warmups, ops.rsqrt(warmups))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {"peak": self.peak, "warmup_steps": self.warmup_steps}
