"""The users that the quality bench trains on and measures."""

import numpy as np

from bench.made_up_users import order_only_users
from bench.quality import hold_out
from jobs.training_set.splits import split_by_user


def test_users_beyond_the_set_are_held_out_and_do_not_change_the_training_users():
    many = order_only_users(300, seed=1).examples
    split = hold_out(many, users=200)
    trained_alone = split_by_user(many.take(np.arange(200))).train
    assert split.train.user_ids.tolist() == trained_alone.user_ids.tolist()
    assert sorted([*split.train.user_ids, *split.test.user_ids]) == sorted(many.user_ids)
