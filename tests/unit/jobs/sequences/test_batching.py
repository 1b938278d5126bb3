"""Micro-batches against plain Python: every user once, in order, within the budget, with little padding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.sequences.batching import TokenBudgetError, cut_batches, predict_in_batches
from tests.made_up.ragged import sequences_of

SEQUENCES = st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=12), min_size=1, max_size=60)
BUDGET = st.integers(12, 200)


def plain_score(sequence) -> float:
    """Depends on every token and on its position, so that a shifted or a shortened row is noticed."""
    return float(sum(position * token for position, token in enumerate(sequence, start=1)))


def padded_score(token_ids):
    scores = np.array([plain_score(row) for row in token_ids.tolist()])
    return scores, -scores


@given(sequences=SEQUENCES, budget=BUDGET)
def test_scores_come_back_in_the_order_of_the_users(sequences, budget):
    risk_scores, logits = predict_in_batches(sequences_of(sequences), padded_score, budget)
    assert risk_scores.tolist() == [plain_score(sequence) for sequence in sequences]
    assert logits.tolist() == [-plain_score(sequence) for sequence in sequences]


@given(sequences=SEQUENCES, budget=BUDGET)
def test_batches_hold_every_user_once_within_the_budget(sequences, budget):
    lengths = sequences_of(sequences).lengths
    batches = list(cut_batches(lengths, budget))
    assert sorted(np.concatenate(batches)) == list(range(len(sequences)))
    assert all(len(users) * lengths[users].max() <= budget for users in batches)


@given(sequences=SEQUENCES, budget=BUDGET)
def test_no_arrangement_into_batches_of_these_sizes_needs_less_padding(sequences, budget):
    lengths = sequences_of(sequences).lengths
    batches = list(cut_batches(lengths, budget))
    # Padding is least with the longest together: the plain reference sorts, and cuts at the same sizes.
    longest_first = sorted(lengths.tolist(), reverse=True)
    least, start = 0, 0
    for users in batches:
        group = longest_first[start : start + len(users)]
        least += max(group) * len(group)
        start += len(users)
    assert sum(sequences_of(sequences).padded(users).size for users in batches) == least


@given(sequences=SEQUENCES, budget=BUDGET)
def test_a_batch_is_full_before_the_next_begins(sequences, budget):
    lengths = sequences_of(sequences).lengths
    for users in list(cut_batches(lengths, budget))[:-1]:
        assert (len(users) + 1) * lengths[users].max() > budget


def test_the_model_sees_the_longest_users_first_and_each_batch_only_as_wide_as_needed():
    seen = []

    def predict(token_ids):
        seen.append(token_ids.tolist())
        return padded_score(token_ids)

    predict_in_batches(sequences_of([[7, 8], [5], [1, 2, 3, 4]]), predict, max_tokens=4)
    assert seen == [[[1, 2, 3, 4]], [[7, 8], [5, 0]]]


def test_the_error_for_a_sequence_above_the_budget_names_both():
    with pytest.raises(TokenBudgetError, match=r"5 tokens does not fit a budget of 4"):
        list(cut_batches(np.array([2, 5]), max_tokens=4))
