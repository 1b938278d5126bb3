"""Feature numbers of n-grams: single installs keep their token, longer n-grams are hashed into buckets.

In   tokens 7, 9, 4 of three installs in a row
Out  order 1   7                              below vocabulary_size
     order 2   vocabulary_size + bucket
     order 3   vocabulary_size + 262,139 + bucket

A polynomial rolling hash (Karp and Rabin, 1987). The same few lines run in numpy while a model is fitted, and
inside the SavedModel when it scores. Hashing needs no table of n-grams (Weinberger et al., 2009,
https://arxiv.org/abs/0902.2206).
"""

from typing import Any

BUCKETS = 262_139  # prime, so that the hash uses all of them
MULTIPLIER = 8_179  # prime; a bucket times it stays below 2**31, so int32 is enough on every backend


def count_features(vocabulary_size: int, max_order: int) -> int:
    """Number of features for n-grams of order 1 to `max_order`."""
    return vocabulary_size + (max_order - 1) * BUCKETS


def hash_ngrams(installs: list[Any], vocabulary_size: int) -> Any:
    """Feature numbers of n-grams, given as one int32 array for each of their installs, first install first.

    Works element by element, on numpy arrays and on tensors.
    """
    order = len(installs)
    if order == 1:
        return installs[0]
    bucket = installs[0] % BUCKETS
    for install in installs[1:]:
        bucket = (bucket * MULTIPLIER + install) % BUCKETS
    return bucket + vocabulary_size + (order - 2) * BUCKETS
