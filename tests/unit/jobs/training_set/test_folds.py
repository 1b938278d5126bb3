"""Folds: no user is scored by a model that was trained on them."""

import numpy as np
import pytest

from jobs.training_set.folds import make_folds
from jobs.training_set.splits import SplitError
from tests.made_up.examples import made_up_examples


def test_no_user_is_both_fitted_and_held_out():
    examples = made_up_examples(80)
    for fold in make_folds(examples, folds=4, enough=1_000):
        assert not set(examples.user_ids[fold.fitted]) & set(examples.user_ids[fold.held_out])
        assert len(fold.fitted) + len(fold.held_out) == 80


def test_all_folds_together_hold_out_every_user_once():
    folds = make_folds(made_up_examples(80), folds=4, enough=1_000)
    assert len(folds) == 4
    np.testing.assert_array_equal(np.sort(np.concatenate([fold.held_out for fold in folds])), np.arange(80))


def test_no_more_folds_are_made_than_hold_out_enough():
    folds = make_folds(made_up_examples(80), folds=4, enough=30)
    assert len(folds) == 2
    assert sum(len(fold.held_out) for fold in folds) >= 30


def test_too_few_of_a_label_for_every_fold_are_refused_with_their_number():
    examples = made_up_examples(40)
    examples.labels[:] = 0
    examples.labels[:2] = 1
    with pytest.raises(SplitError, match="40 training examples of which 2 have label 1: at least 4"):
        make_folds(examples, folds=4, enough=1_000)
