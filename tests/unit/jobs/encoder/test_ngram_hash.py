"""Feature numbers of n-grams."""

import numpy as np

from jobs.encoder.ngram_hash import BUCKETS, count_features, hash_ngrams


def test_ngrams_of_different_orders_share_no_number():
    pairs = [np.repeat(np.arange(1, 9, dtype=np.int32), 8), np.tile(np.arange(1, 9, dtype=np.int32), 8)]
    singles, doubles = hash_ngrams(pairs[:1], 9), hash_ngrams(pairs, 9)
    triples = hash_ngrams([*pairs, pairs[0]], 9)
    assert singles.max() < 9 <= doubles.min()
    assert doubles.max() < 9 + BUCKETS <= triples.min()
    assert len(set(doubles)) == 64  # no collision among so few
    assert triples.max() < count_features(9, 3)


def test_the_largest_tokens_do_not_overflow_int32():
    largest = [np.array([BUCKETS + 20_000], np.int32)] * 6
    assert 0 <= hash_ngrams(largest, 20_000)[0] < count_features(20_000, 6)
