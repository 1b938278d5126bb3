"""The learning rate over a training."""

import keras
import numpy as np
import pytest

from jobs.training.fit.options import TrainingOptions
from jobs.training.fit.schedule import (
    HalveOnPlateau,
    ScaledSchedule,
    WarmUpInverseSquareRoot,
    WarmUpLinearDecay,
    make_schedule,
)


def rates_of(name: str, total_steps: int = 100) -> np.ndarray:
    options = TrainingOptions(schedule=name, learning_rate=0.4, warmup_epochs=1)
    schedule = make_schedule(options, steps_per_epoch=10, total_steps=total_steps)
    return np.array([float(schedule(step)) for step in range(total_steps)])


def test_the_inverse_square_root_falls_with_the_root_of_the_step():
    np.testing.assert_allclose(
        rates_of("inverse_square_root")[[0, 4, 9, 39]], [0.04, 0.2, 0.4, 0.2], rtol=1e-6
    )


def test_linear_decay_rises_in_the_warm_up_and_would_reach_0_in_the_next_step():
    rates = rates_of("linear")
    np.testing.assert_allclose(rates[[0, 4, 9]], [0.04, 0.2, 0.4], rtol=1e-6)
    np.testing.assert_allclose(np.diff(rates[9:]), -0.4 / 91, rtol=1e-3)
    assert float(WarmUpLinearDecay(0.4, 10, 100)(100)) == 0.0


def test_cosine_decay_rises_in_the_warm_up_and_is_at_half_in_the_middle_of_the_rest():
    rates = rates_of("cosine")
    np.testing.assert_allclose(rates[[0, 5, 10, 55]], [0.04, 0.22, 0.4, 0.2], rtol=1e-5)
    assert 0 < rates[-1] < 0.001


def test_one_cycle_rises_for_three_tenths_of_the_steps_and_falls_to_nearly_nothing():
    rates = rates_of("one_cycle")
    assert rates[0] == pytest.approx(0.4 / 25)
    assert rates.argmax() == 30
    assert rates.max() == pytest.approx(0.4)
    assert rates[-1] < 0.001


@pytest.mark.parametrize("name", ["inverse_square_root", "one_cycle", "linear", "cosine"])
@pytest.mark.parametrize("total_steps", [1, 5])
def test_a_training_shorter_than_the_warm_up_still_has_rates(name, total_steps):
    rates = rates_of(name, total_steps)
    assert (rates > 0).all()
    assert (rates <= 0.4 + 1e-6).all()


@pytest.mark.parametrize(
    "schedule",
    [
        WarmUpInverseSquareRoot(0.4, 10),
        WarmUpLinearDecay(0.4, 10, 100),
        ScaledSchedule(WarmUpLinearDecay(0.4, 10, 100)),
    ],
)
def test_a_schedule_survives_its_configuration(schedule):
    config = keras.saving.serialize_keras_object(schedule)
    assert float(keras.saving.deserialize_keras_object(config)(20)) == float(schedule(20))


def test_the_rate_is_halved_after_each_patience_without_a_better_auc():
    schedule = ScaledSchedule(WarmUpInverseSquareRoot(0.4, 10))
    plateau = HalveOnPlateau(schedule, patience=2)
    rates = []
    for auc in (0.6, 0.7, 0.7, 0.6, 0.5, 0.6, 0.8, 0.7):
        plateau.on_epoch_end(0, {"validation_auc": auc})
        rates.append(float(schedule(9)))
    np.testing.assert_allclose(rates, [0.4, 0.4, 0.4, 0.2, 0.2, 0.1, 0.1, 0.1], rtol=1e-6)
