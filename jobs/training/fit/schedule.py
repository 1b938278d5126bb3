"""Learning-rate schedules over the steps of one training.

In   options, steps in an epoch, steps of the whole training
Out  a schedule: 0-based step -> learning rate

    inverse_square_root   linear warm-up, then falls with the square root of the step; has no end
    one_cycle             linear rise over 30% of the steps from a 25th of the rate, then a half cosine to 0
    linear                linear warm-up, then linear to 0
    cosine                linear warm-up, then a half cosine to 0
"""

from typing import Any

import keras
from keras import ops
from keras.optimizers.schedules import CosineDecay, LearningRateSchedule

from jobs.encoder.tensor import Tensor
from jobs.training.fit.options import TrainingOptions

# Defaults of fast.ai and PyTorch for one cycle.
ONE_CYCLE_RISING_SHARE = 0.3
ONE_CYCLE_START = 1 / 25  # of the highest rate


@keras.saving.register_keras_serializable(package="risk_encoder")
class WarmUpInverseSquareRoot(LearningRateSchedule):
    """`peak * min(step / warmup_steps, sqrt(warmup_steps / step))` (Vaswani et al., 2017, §5.3, eq. 3).

    The paper derives the highest rate from the model's width; here it is an argument.

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
        return {"peak": self.peak, "warmup_steps": self.warmup_steps}


@keras.saving.register_keras_serializable(package="risk_encoder")
class WarmUpLinearDecay(LearningRateSchedule):
    """Linear growth, then linear decay to 0 (Devlin et al., 2019, §A.2).

    Args:
        peak: highest learning rate, reached after `warmup_steps`.
        warmup_steps: steps of linear growth, at least 1.
        total_steps: steps of the training; the rate is 0 from the next step on.

    Reference:
        https://arxiv.org/abs/1810.04805
    """

    def __init__(self, peak: float, warmup_steps: int, total_steps: int) -> None:
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps

    def __call__(self, step: Tensor) -> Tensor:
        """Learning rate of the 0-based `step`."""
        step = ops.cast(step, "float32")
        rising = (step + 1.0) / self.warmup_steps
        falling = (self.total_steps - step) / max(self.total_steps - self.warmup_steps + 1, 1)
        return self.peak * ops.maximum(ops.minimum(rising, falling), 0.0)

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "warmup_steps": self.warmup_steps, "total_steps": self.total_steps}


@keras.saving.register_keras_serializable(package="risk_encoder")
class ScaledSchedule(LearningRateSchedule):
    """Another schedule times `scale`, a variable that starts at 1."""

    def __init__(self, schedule: LearningRateSchedule) -> None:
        self.schedule = schedule
        self.scale = keras.Variable(1.0, trainable=False, name="scale", aggregation="only_first_replica")

    def __call__(self, step: Tensor) -> Tensor:
        """Learning rate of the 0-based `step`."""
        return self.schedule(step) * self.scale

    def get_config(self) -> dict[str, Any]:
        """Config without the scale, which belongs to one training."""
        return {"schedule": keras.saving.serialize_keras_object(self.schedule)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ScaledSchedule":
        return cls(keras.saving.deserialize_keras_object(config["schedule"]))


class HalveOnPlateau(keras.callbacks.Callback):
    """Halves the scale of a schedule after `patience` evaluations without a better validation AUC.

    Keras' ReduceLROnPlateau assigns the optimizer's rate, which is not possible with a schedule.
    """

    def __init__(self, schedule: ScaledSchedule, patience: int) -> None:
        super().__init__()
        self.schedule = schedule
        self.patience = patience
        self.best = float("-inf")
        self.wait = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        del epoch
        self.wait += 1
        if logs["validation_auc"] > self.best:
            self.best, self.wait = logs["validation_auc"], 0
        elif self.wait >= self.patience:
            self.schedule.scale.assign(self.schedule.scale * 0.5)
            self.wait = 0


def make_schedule(options: TrainingOptions, steps_per_epoch: int, total_steps: int) -> LearningRateSchedule:
    """Build the schedule that the options name, for a training of `total_steps`."""
    peak = options.learning_rate
    warmup_steps = max(1, round(options.warmup_epochs * steps_per_epoch))
    if options.schedule == "inverse_square_root":
        return WarmUpInverseSquareRoot(peak, warmup_steps)
    if options.schedule == "linear":
        return WarmUpLinearDecay(peak, min(warmup_steps, total_steps), total_steps)
    if options.schedule == "one_cycle":
        return _rise_then_cosine(
            peak, peak * ONE_CYCLE_START, ONE_CYCLE_RISING_SHARE * total_steps, total_steps
        )
    # Keras uses the starting rate itself in the first step: 0 would waste that step.
    return _rise_then_cosine(peak, peak / warmup_steps, warmup_steps, total_steps)


def _rise_then_cosine(peak: float, start: float, rising_steps: float, total_steps: int) -> CosineDecay:
    """Keras' cosine decay with warm-up; with a long warm-up it is one cycle (Smith, 2018, §4.1).

    Smith lowers the momentum while the rate rises. Ours is constant, since it matters less in Adam.

    Reference:
        https://arxiv.org/abs/1803.09820
    """
    rising = max(1, min(round(rising_steps), total_steps - 1))
    return CosineDecay(
        start, decay_steps=max(1, total_steps - rising), warmup_target=peak, warmup_steps=rising
    )
