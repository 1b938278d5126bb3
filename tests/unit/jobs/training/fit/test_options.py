"""What a recipe may be."""

import math

import pytest
from pydantic import ValidationError

from jobs.training.fit.options import TrainingOptions


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("seed", -1),
        ("batch_size", 0),
        ("batch_size", 10**9),  # of no use, and more than memory holds
        ("schedule", "sawtooth"),
        ("learning_rate", 0),
        ("warmup_epochs", 0),
        ("max_epochs", 0),
        ("max_steps", 0),
        ("patience", 0),
        ("evaluate_every_steps", 0),
        ("weight_decay", -0.1),
        ("clip_norm", 0),
        ("accumulation_steps", 0),
        ("reduce_on_plateau_patience", 0),
        ("class_weights", "fair"),
        ("install_dropout", 1.0),
        ("pretraining_epochs", -1),
        ("mask_share", 0),
    ],
)
def test_an_option_that_cannot_work_is_named(setting, value):
    with pytest.raises(ValueError, match=rf"(?s)1 validation error.*\n{setting}\n"):
        TrainingOptions(**{setting: value})


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(
    "setting",
    [name for name, field in TrainingOptions.model_fields.items() if "float" in str(field.annotation)],
)
def test_no_option_is_infinite_or_no_number(setting, value):
    with pytest.raises(ValueError, match=rf"(?s)1 validation error.*\n{setting}\n"):
        TrainingOptions(**{setting: value})


def test_a_plateau_patience_that_is_not_below_the_stopping_patience_is_refused():
    with pytest.raises(ValidationError, match="must be below patience, which ends training, got 3 and 3"):
        TrainingOptions(patience=3, reduce_on_plateau_patience=3)
    assert TrainingOptions(patience=3, reduce_on_plateau_patience=2).reduce_on_plateau_patience == 2


def test_a_setting_that_does_not_exist_is_refused():
    with pytest.raises(ValidationError, match=r"learning_rat\n.*Extra inputs are not permitted"):
        TrainingOptions(learning_rat=0.1)


def test_options_do_not_change_after_they_were_checked():
    with pytest.raises(ValidationError, match="frozen"):
        TrainingOptions().batch_size = 0


def test_each_setting_has_a_description():
    assert all(field.description for field in TrainingOptions.model_fields.values())


@pytest.mark.parametrize(("examples", "epochs"), [(1_000, 20), (4_000, 12), (16_000, 3), (1_000_000, 2)])
def test_many_users_are_passed_over_twice_and_few_up_to_twenty_times(examples, epochs):
    assert TrainingOptions().epochs(examples) == epochs
    assert TrainingOptions(max_epochs=5).epochs(examples) == 5
