"""Batches of sequences of different lengths."""

from unittest.mock import patch

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jobs.sequences.batching import BATCHES_PER_POOL, cut_batches_by_length, shuffle_into_batches
from tests.made_up.ragged import rows_of, sequences_of

TOKENS = st.integers(-9, 9).filter(bool)  # 0 is padding; a negative token begins a session
ROWS = st.lists(st.lists(TOKENS, max_size=12), max_size=30)
THREE = sequences_of([[5, 9, 7], [4], [8, 6]])


def test_a_batch_is_padded_at_the_end_to_its_own_longest():
    np.testing.assert_array_equal(THREE.padded(np.array([2, 1])), [[8, 6], [4, 0]])
    np.testing.assert_array_equal(THREE.padded(np.array([1])), [[4]])


def test_taken_sequences_come_in_the_order_of_their_indices():
    assert rows_of(THREE.take(np.array([2, 0]))) == [[8, 6], [5, 9, 7]]


def test_the_last_tokens_of_each_sequence_are_kept():
    assert rows_of(THREE.last(2)) == [[9, 7], [4], [8, 6]]


def test_choosing_and_cutting_sequences_copies_no_token():
    chosen = THREE.take(np.array([2, 0])).last(2)
    assert chosen.values is THREE.values
    np.testing.assert_array_equal(chosen.flatten(), [8, 6, 9, 7])


@given(ROWS, st.integers(1, 20))
def test_chunks_hold_all_sequences_in_order_and_few_tokens_each(rows, chunk_tokens):
    with patch("jobs.sequences.token_sequences.CHUNK_TOKENS", chunk_tokens):
        chunks = list(sequences_of(rows).chunks())
    assert [row for chunk in chunks for row in rows_of(chunk)] == rows
    assert all(len(chunk.values) < chunk_tokens + max(map(len, rows), default=0) + 1 for chunk in chunks)


@given(ROWS)
def test_tokens_are_counted_over_all_sequences(rows):
    flat = [abs(token) for row in rows for token in row]
    assert sequences_of(rows).count(10).tolist() == [flat.count(token) for token in range(10)]


@given(ROWS)
def test_translated_tokens_keep_their_places_and_sessions(rows):
    table = np.arange(10, dtype=np.int32)[::-1]
    translated = [[9 - token if token > 0 else -9 - token for token in row] for row in rows]
    assert rows_of(sequences_of(rows).translate(table)) == translated


def test_sequences_as_one_session_keep_their_apps():
    assert rows_of(sequences_of([[-5, 9, -7], [4]]).as_one_session()) == [[5, 9, 7], [4]]


def test_a_batch_of_empty_sequences_is_one_column_of_padding():
    empty = sequences_of([[], []])
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


def test_a_batch_holds_other_sequences_in_the_next_epoch():
    lengths = np.full(64, 5)
    random = np.random.default_rng(0)
    first, second = (shuffle_into_batches(lengths, 32, random) for _ in range(2))
    assert set(first[0]) not in (set(second[0]), set(second[1]))
