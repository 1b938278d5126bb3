"""The training users of a version."""

import numpy as np
import pytest

from jobs.training_set.examples import Examples
from jobs.training_set.folds import Fold, make_folds
from jobs.training_set.trained_on import TRAINED_ON_FILE, TrainedOn
from tests.made_up.examples import made_up_examples

EXAMPLES = made_up_examples(100)
TRAIN = EXAMPLES.take(np.arange(80))
FOLDS = make_folds(TRAIN, folds=4, enough=30)  # two of four: half of the users are in no fold


def some(*users: int) -> Examples:
    return EXAMPLES.take(np.array(users, np.int64))


@pytest.fixture
def trained_on() -> TrainedOn:
    return TrainedOn.of_folds(TRAIN, FOLDS)


def test_it_holds_the_training_users_and_no_others(trained_on):
    np.testing.assert_array_equal(trained_on.holds(EXAMPLES), np.arange(100) < 80)


def test_later_installs_and_repeated_examples_do_not_hide_a_user(trained_on):
    later = made_up_examples(100, seed=5).take(np.array([3, 3, 90]))
    assert trained_on.holds(later).tolist() == [True, True, False]


def test_a_folds_encoder_has_seen_all_but_those_it_held_out(trained_on):
    for number, fold in enumerate(FOLDS, start=1):
        assert trained_on.fold_has_seen(number, TRAIN.take(fold.fitted)).all()
        assert not trained_on.fold_has_seen(number, TRAIN.take(fold.held_out)).any()
        assert not trained_on.fold_has_seen(number, EXAMPLES.take(np.arange(80, 100))).any()


def test_a_file_gives_back_what_was_written_without_any_id(trained_on, tmp_path):
    trained_on.write(tmp_path)
    read = TrainedOn.read(tmp_path / TRAINED_ON_FILE)
    np.testing.assert_array_equal(read.user_hashes, trained_on.user_hashes)
    np.testing.assert_array_equal(read.held_out_in, trained_on.held_out_in)
    assert b"u79" not in (tmp_path / TRAINED_ON_FILE).read_bytes()


def test_a_version_has_seen_the_users_of_the_version_it_started_from():
    earlier = TrainedOn.of_folds(some(0, 1, 2, 3), [Fold(np.array([2, 3]), np.array([0, 1]))])
    later = TrainedOn.of_folds(some(1, 2, 4, 5), [Fold(np.array([1, 3]), np.array([0, 2]))])
    both = later.after(earlier)
    assert both.holds(some(0, 1, 2, 3, 4, 5, 6)).tolist() == [True] * 6 + [False]
    # 0 was held out then, 1 both times, 2 and 3 were fitted then; 4 is held out now, 5 is fitted now.
    assert both.fold_has_seen(1, some(0, 1, 2, 3, 4, 5)).tolist() == [False, False, True, True, False, True]


def test_a_version_without_training_users_holds_no_example():
    nobody = TrainedOn.of_folds(EXAMPLES.take(np.array([], np.int64)), [])
    assert not nobody.holds(EXAMPLES).any()
