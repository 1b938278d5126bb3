"""Sequences of different lengths in one flat array, and batches cut from them.

In   values    int32, token ids of all sequences, memory or a file    [5 9 7 -4 8 6]
     starts    int64, where each sequence begins                      [0 3 4]
     lengths   int64, tokens in each                                  [3 1 2]
Out  batches   int32 (batch, sequence), padded with zeros to the batch's own longest

Negative tokens begin a session (`jobs/encoder/tokens.py`). Choosing sequences, or the last tokens of each,
copies no token, so values may be a file larger than memory.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray

from jobs.encoder.tokens import apps_of, begins_session, mark_session_starts

CHUNK_TOKENS = 2**20  # 4 MiB; a walk through all sequences holds this many tokens at once, or one sequence


@dataclass(frozen=True)
class TokenSequences:
    """Ragged token ids; sequence `i` is `values[starts[i]:starts[i] + lengths[i]]`."""

    values: NDArray[np.int32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @classmethod
    def join(cls, values: NDArray[np.int32], lengths: NDArray[np.int64]) -> "TokenSequences":
        """Build sequences that follow each other without a gap."""
        return cls(values, np.cumsum(lengths) - lengths, lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, indices: NDArray[np.int64]) -> "TokenSequences":
        return TokenSequences(self.values, self.starts[indices], self.lengths[indices])

    def last(self, count: int) -> "TokenSequences":
        """Keep the last `count` tokens of each sequence."""
        kept = np.minimum(self.lengths, count)
        return TokenSequences(self.values, self.starts + self.lengths - kept, kept)

    def flatten(self) -> NDArray[np.int32]:
        """Tokens of all sequences one after another, in memory."""
        ends = np.cumsum(self.lengths)
        # Where each token lies: its sequence's start, and its place from there.
        places = np.repeat(self.starts - (ends - self.lengths), self.lengths) + np.arange(self.lengths.sum())
        tokens: NDArray[np.int32] = self.values[places]
        return tokens

    @property
    def tokens(self) -> NDArray[np.int32]:
        """Tokens of all sequences one after another, without sessions, in memory."""
        apps: NDArray[np.int32] = apps_of(self.flatten())
        return apps

    @property
    def begins_session(self) -> NDArray[np.bool_]:
        """Which of `tokens` begin a session."""
        starts: NDArray[np.bool_] = begins_session(self.flatten())
        return starts

    def compact(self) -> "TokenSequences":
        """Copy these sequences alone into memory, without gaps."""
        return TokenSequences.join(self.flatten(), self.lengths)

    def chunks(self) -> Iterator["TokenSequences"]:
        """Yield all sequences in order, in gapless chunks of about CHUNK_TOKENS tokens."""
        chunk = np.cumsum(self.lengths) // CHUNK_TOKENS
        for rows in np.split(np.arange(len(self)), np.flatnonzero(np.diff(chunk)) + 1):
            yield self.take(rows).compact()

    def count(self, size: int) -> NDArray[np.int64]:
        """Count each token below `size` in all sequences, whether or not it begins a session: `(size,)`."""
        total = np.zeros(size, np.int64)
        for part in self.chunks():
            total += np.bincount(apps_of(part.values), minlength=size)
        return total

    def translate(self, table: NDArray[np.int32]) -> "TokenSequences":
        """Replace each token by `table[token]`, with the same sessions, in a new file."""
        return self._rewrite(
            lambda values: mark_session_starts(table[apps_of(values)], begins_session(values))
        )

    def as_one_session(self) -> "TokenSequences":
        """Keep the apps and drop the session starts, in a new file."""
        return self._rewrite(apps_of)

    def _rewrite(self, change: Callable[[NDArray[np.int32]], NDArray[np.int32]]) -> "TokenSequences":
        values = write_values(change(part.values) for part in self.chunks())
        return TokenSequences.join(values, self.lengths.copy())

    def padded(self, indices: NDArray[np.int64]) -> NDArray[np.int32]:
        """Sequences `indices` as int32 `(len(indices), longest)`, zeros at the end."""
        starts, lengths = self.starts[indices], self.lengths[indices]
        steps = np.arange(max(lengths.max(initial=0), 1))  # (longest,)
        is_real = steps < lengths[:, None]  # (batch, longest)
        tokens = np.zeros(is_real.shape, dtype=np.int32)
        tokens[is_real] = self.values[(starts[:, None] + steps)[is_real]]
        return tokens


def write_values(parts: Iterable[NDArray[np.int32]]) -> NDArray[np.int32]:
    """Write the parts to a temporary file and map it; the file is gone when no array uses it any more."""
    with TemporaryFile(prefix="tokens_") as file:
        size = sum(file.write(part.astype(np.int32).tobytes()) for part in parts)
        file.flush()
        if size == 0:
            return np.array([], np.int32)  # an empty file cannot be mapped
        return np.asarray(np.memmap(file, np.int32, mode="r"))


def count_token(sequences: TokenSequences, token: int) -> NDArray[np.int32]:
    """Count one token in each sequence, whether or not it begins a session: `(users,)`."""
    found = [np.empty(0, np.int32)]
    for part in sequences.chunks():
        seen = np.concatenate([[0], np.cumsum(apps_of(part.values) == token)])
        found.append((seen[part.starts + part.lengths] - seen[part.starts]).astype(np.int32))
    return np.concatenate(found)


def concatenate(parts: Sequence[TokenSequences]) -> TokenSequences:
    """Join the users of several parts, in order."""
    lengths = np.concatenate([part.lengths for part in parts])
    return TokenSequences.join(np.concatenate([part.flatten() for part in parts]), lengths)
