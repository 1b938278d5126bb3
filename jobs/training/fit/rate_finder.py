"""Learning-rate range test, to choose the highest rate of a training (Smith, 2017, §3.3).

In   sizes, recipe, token sequences and labels of training users
Out  loss by learning rate, and the rate at which it falls fastest

Reference:
    https://arxiv.org/abs/1506.01186
"""

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from jobs.encoder.classifier import EncoderConfig
from jobs.training.fit.batches import LabelledSequences, class_weights, training_batches
from jobs.training.fit.classifier import FROM_SCRATCH, StartingPoint
from jobs.training.fit.devices import repeat_to_the_last_bit, training_precision
from jobs.training.fit.named_weights import set_initial_weights
from jobs.training.fit.optimizer import compile_classifier
from jobs.training.fit.options import TrainingOptions

SMOOTHING = 0.9  # share of the earlier losses in each smoothed one: about the last ten batches count
EXPLODED = 4.0  # times the lowest smoothed loss


@dataclass(frozen=True)
class RateRange:
    """Rates that grow by a constant factor from step to step."""

    lowest: float = 1e-6
    highest: float = 1.0
    steps: int = 100

    def at(self, step: NDArray[np.int64]) -> NDArray[np.float64]:
        """Rate of each step, counted from 0."""
        return self.lowest * (self.highest / self.lowest) ** (step / max(self.steps - 1, 1))

    def schedule(self) -> keras.optimizers.schedules.LearningRateSchedule:
        """The same rates for Keras, as an exponential decay with a factor above 1."""
        return keras.optimizers.schedules.ExponentialDecay(
            self.lowest, max(self.steps - 1, 1), self.highest / self.lowest
        )


USUAL_RATES = RateRange()


@dataclass(frozen=True)
class RateSearch:
    """Loss by rate, and the suggested rate."""

    rates: NDArray[np.float64]  # (steps,) rising
    losses: NDArray[np.float64]  # (steps,) smoothed; shorter if the loss exploded
    suggestion: float  # where the loss falls fastest over the logarithm of the rate


def find_learning_rate(
    config: EncoderConfig,
    options: TrainingOptions,
    train: LabelledSequences,
    start: StartingPoint = FROM_SCRATCH,
    rates: RateRange = USUAL_RATES,
) -> RateSearch:
    """Train one model for some steps, each at a higher rate, until the loss explodes.

    `options.learning_rate` and the schedule are not read. Optimizer, batches, class weights and starting
    weights are those of the training.
    """
    repeat_to_the_last_bit(options.seed)
    with training_precision():
        model = start.build(config)
        set_initial_weights(model, start.weights)
        compile_classifier(model, options, rates.schedule(), train.tokens.count(config.vocabulary_size))
        losses = _SmoothedLosses()
        model.fit(
            training_batches(train, options),
            steps_per_epoch=rates.steps,
            class_weight=class_weights(train.labels, options),
            callbacks=[losses],
            shuffle=False,  # training_batches shuffles
            verbose=0,
        )
    smoothed = np.array(losses.smoothed)
    tried = rates.at(np.arange(len(smoothed)))
    return RateSearch(tried, smoothed, suggest_rate(tried, smoothed))


def suggest_rate(rates: NDArray[np.float64], losses: NDArray[np.float64]) -> float:
    """Rate of the steepest descent; the lowest rate if the loss only rises.

    Raises:
        ValueError: there are fewer than 2 losses, which have no slope.
    """
    if len(losses) < 2:
        raise ValueError(
            f"the loss exploded after {len(losses)} steps, start at a lower rate than {rates[0]}"
        )
    return float(rates[np.argmin(np.gradient(losses, np.log(rates)))])


class _SmoothedLosses(keras.callbacks.Callback):
    """Running mean of the batches' losses, corrected for its start at 0; stops at an explosion."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = 0.0
        self.smoothed: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        del batch, logs
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()  # else the step would not see the reset
        self.model.reset_metrics()  # Keras' own loss is a mean over all batches so far

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        self.mean = SMOOTHING * self.mean + (1.0 - SMOOTHING) * float(logs["loss"])
        smoothed = self.mean / (1.0 - SMOOTHING ** (batch + 1))
        if not math.isfinite(smoothed) or smoothed > EXPLODED * min(self.smoothed, default=math.inf):
            self.model.stop_training = True
        else:
            self.smoothed.append(smoothed)
