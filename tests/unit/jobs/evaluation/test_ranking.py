"""Tenths of ranked users."""

import numpy as np
import pytest

from jobs.evaluation.ranking import decile_table


def test_deciles_count_users_bads_and_lift_from_the_riskiest_on():
    labels = np.array([1, 1, 1, 0, *[0] * 15, 1], np.int8)  # 4 of 20 are bad
    scores = np.linspace(0.95, 0.0, 20)
    deciles = decile_table(labels, scores)
    assert deciles["decile"].tolist() == list(range(1, 11))
    assert deciles["users"].tolist() == [2] * 10
    assert deciles["mean_score"].iloc[0] == pytest.approx((0.95 + 0.90) / 2)
    assert deciles["bad_rate"].tolist() == pytest.approx([1.0, 0.5, *[0.0] * 7, 0.5])
    assert deciles["lift"].tolist() == pytest.approx([5.0, 2.5, *[0.0] * 7, 2.5])
    assert deciles["cumulative_bad_share"].tolist() == pytest.approx([0.5, *[0.75] * 8, 1.0])


def test_decile_sizes_differ_by_one_user_at_most_and_few_users_make_fewer_groups():
    labels = np.tile([0, 1], 20).astype(np.int8)
    scores = np.linspace(0, 1, 40)
    assert sorted(decile_table(labels[:17], scores[:17])["users"]) == [1, 1, 1, *[2] * 7]
    assert decile_table(labels[:3], scores[:3])["users"].tolist() == [1, 1, 1]
