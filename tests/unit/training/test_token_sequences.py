"""Batches of sequences of different lengths."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jobs.training.token_sequences import (
    BATCHES_PER_POOL,
    TokenSequences,
    cut_batches_by_length,
    shuffle_into_batches,
)

THREE = TokenSequences(
    values=np.array([5, 9, 7, 4, 8, 6], dtype=np.int32), offsets=np.array([0, 3, 4, 6], dtype=np.int64)
)


def test_a_batch_is_padded_at_the_end_to_its_own_longest():
    np.testing.assert_array_equal(THREE.padded(np.array([2, 1])), [[8, 6], [4, 0]])
    np.testing.assert_array_equal(THREE.padded(np.array([1])), [[4]])


def test_taken_sequences_come_in_the_order_asked_for():
    taken = THREE.take(np.array([2, 0]))
    np.testing.assert_array_equal(taken.values, [8, 6, 5, 9, 7])
    np.testing.assert_array_equal(taken.offsets, [0, 2, 5])


def test_of_each_sequence_the_last_tokens_are_kept():
    last = THREE.last(2)
    np.testing.assert_array_equal(last.values, [9, 7, 4, 8, 6])
    np.testing.assert_array_equal(last.offsets, [0, 2, 3, 5])


def test_a_batch_of_empty_sequences_is_one_column_of_padding():
    empty = TokenSequences(np.array([], dtype=np.int32), np.array([0, 0, 0], dtype=np.int64))
    np.testing.assert_array_equal(empty.padded(np.array([0, 1])), [[0], [0]])


@given(st.lists(st.integers(1, 20), min_size=1, max_size=400), st.integers(1, 7), st.integers(0, 5))
def test_every_sequence_is_in_exactly_one_batch_of_either_kind(lengths, batch_size, seed):
    lengths = np.array(lengths)
    shuffled = shuffle_into_batches(lengths, batch_size, np.random.default_rng(seed))
    for batches in (list(cut_batches_by_length(lengths, batch_size)), shuffled):
        assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
        assert len(batches) == -(-len(lengths) // batch_size)
        assert max(len(batch) for batch in batches) <= batch_size


def test_batches_for_training_hold_sequences_of_similar_length():
    lengths = np.random.default_rng(0).integers(1, 129, 3200)
    batches = shuffle_into_batches(lengths, 32, np.random.default_rng(0))
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.05 * lengths.sum()  # padding all to 128 would be twice as much
    assert len(batches) == 2 * BATCHES_PER_POOL


def test_a_batch_has_other_members_in_the_next_epoch():
    lengths = np.full(64, 5)
    random = np.random.default_rng(0)
    first, second = (shuffle_into_batches(lengths, 32, random) for _ in range(2))
    assert set(first[0]) not in (set(second[0]), set(second[1]))
