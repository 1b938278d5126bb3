"""Steps and batches of a training."""

import numpy as np
import pytest

from jobs.sequences.token_sequences import TokenSequences
from jobs.training.fit.batches import (
    LabelledSequences,
    TooShortError,
    class_weights,
    drop_installs,
    measure_length,
    training_batches,
)
from jobs.training.fit.options import TrainingOptions
from tests.made_up.labelled_sequences import OPTIONS


def test_max_steps_ends_training_and_the_schedule():
    options = TrainingOptions(batch_size=32, max_epochs=4, max_steps=13)
    length = measure_length(180, options)
    assert (length.epoch_steps, length.total_steps, length.evaluations) == (6, 13, 3)


def test_training_batches_are_as_long_as_their_own_longest_sequence(parts):
    _, train, _ = parts
    widths = set()
    for token_ids, labels in training_batches(train, OPTIONS).take(6):
        assert (token_ids.numpy()[:, -1] != 0).any()
        assert len(labels) <= OPTIONS.batch_size
        widths.add(token_ids.shape[1])
    assert len(widths) > 1


def test_batches_from_a_later_step_are_those_of_an_undisturbed_training(parts):
    options = OPTIONS.model_copy(update={"install_dropout": 0.3})
    undisturbed = [batch[0].numpy() for batch in training_batches(parts[1], options).take(15)]
    later = [batch[0].numpy() for batch in training_batches(parts[1], options, first_step=8).take(7)]
    for expected, batch in zip(undisturbed[8:], later, strict=True):
        np.testing.assert_array_equal(expected, batch)


def test_each_epoch_sees_each_user_once_and_in_another_order():
    tokens = TokenSequences.join(
        np.arange(3, 103, dtype=np.int32), np.ones(100, np.int64)
    )  # a user for each token
    users = LabelledSequences(tokens, np.zeros(100, np.int8))
    seen = [batch[0].numpy().ravel() for batch in training_batches(users, OPTIONS).take(8)]
    first, second = np.concatenate(seen[:4]), np.concatenate(seen[4:])
    assert sorted(first) == sorted(second) == list(range(3, 103))
    assert list(first) != list(second)


def test_install_dropout_makes_that_share_of_installs_unknown_and_leaves_padding():
    token_ids = np.full((100, 50), 7, np.int32)
    token_ids[:, 40:] = 0
    dropped = drop_installs(token_ids, 0.2, np.random.default_rng(0))
    assert set(np.unique(dropped[:, :40])) == {1, 7}
    assert (dropped[:, :40] == 1).mean() == pytest.approx(0.2, abs=0.02)
    assert (dropped[:, 40:] == 0).all()


def test_a_dropped_install_still_begins_its_session():
    token_ids = np.full((50, 20), -7, np.int32)
    assert set(np.unique(drop_installs(token_ids, 0.5, np.random.default_rng(0)))) == {-1, -7}


def test_balanced_class_weights_give_both_labels_the_same_sum():
    labels = np.array([0] * 9 + [1] * 3, np.int8)
    weights = class_weights(labels, TrainingOptions(class_weights="balanced"))
    assert weights == pytest.approx({0: 12 / 18, 1: 12 / 6})
    assert class_weights(labels, TrainingOptions()) is None


def test_a_training_too_short_for_one_update_is_refused():
    with pytest.raises(
        TooShortError, match="accumulation_steps is 9, the whole training on 100 examples has 8"
    ):
        measure_length(100, TrainingOptions(batch_size=32, max_epochs=2, accumulation_steps=9))
