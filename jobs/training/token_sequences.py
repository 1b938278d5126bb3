"""Sequences of different lengths in two flat arrays, and batches cut from them.

In   values   int32, token ids of all sequences one after another     [5 9 7 | 4 | 8 6]
     offsets  int64, where each sequence starts, and the end          [0 3 4 6]
Out  batches  int32 (batch, sequence), padded with zeros to the batch's own longest
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Batches are cut from pools of this many batches' users, ordered by length: enough to fill most
# batches with one length, few enough that a batch's users still change from epoch to epoch.
BATCHES_PER_POOL = 50


@dataclass(frozen=True)
class TokenSequences:
    """Ragged token ids; sequence `i` is `values[offsets[i]:offsets[i + 1]]`."""

    values: NDArray[np.int32]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens in each sequence."""
        return np.diff(self.offsets)

    def take(self, indices: NDArray[np.int64]) -> "TokenSequences":
        """The sequences at `indices`."""
        starts, lengths = self.offsets[indices], self.lengths[indices]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        # Where each kept token lies: its sequence's start, and its place from there.
        places = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        return TokenSequences(self.values[places], offsets)

    def last(self, count: int) -> "TokenSequences":
        """Of each sequence the last `count` tokens."""
        lengths = self.lengths
        from_end = np.repeat(self.offsets[1:], lengths) - np.arange(self.offsets[-1])
        return TokenSequences(
            self.values[from_end <= count], np.concatenate([[0], np.cumsum(np.minimum(lengths, count))])
        )

    def padded(self, indices: NDArray[np.int64]) -> NDArray[np.int32]:
        """Sequences `indices` as int32 `(len(indices), longest)`, zeros at the end."""
        starts, lengths = self.offsets[indices], self.lengths[indices]
        steps = np.arange(max(lengths.max(initial=0), 1))  # (longest,)
        is_real = steps < lengths[:, None]  # (batch, longest)
        tokens = np.zeros(is_real.shape, dtype=np.int32)
        tokens[is_real] = self.values[(starts[:, None] + steps)[is_real]]
        return tokens


def cut_batches_by_length(lengths: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Yield indices of sequences of similar length, shortest first; for prediction."""
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def shuffle_into_batches(
    lengths: NDArray[np.int64], batch_size: int, random: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Shuffle sequences and cut batches of similar length, in random order; for training."""
    shuffled = random.permutation(len(lengths))
    pool_size = batch_size * BATCHES_PER_POOL
    batches: list[NDArray[np.int64]] = []
    for start in range(0, len(shuffled), pool_size):
        pool = shuffled[start : start + pool_size]
        batches.extend(pool[batch] for batch in cut_batches_by_length(lengths[pool], batch_size))
    return [batches[i] for i in random.permutation(len(batches))]
