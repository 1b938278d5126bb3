"""Token sequences from plain lists, and back."""

from collections.abc import Sequence

import numpy as np

from jobs.sequences.token_sequences import TokenSequences


def sequences_of(rows: Sequence[Sequence[int]]) -> TokenSequences:
    values = np.array([token for row in rows for token in row], np.int32)
    return TokenSequences.join(values, np.array([len(row) for row in rows], np.int64))


def rows_of(tokens: TokenSequences) -> list[list[int]]:
    return [tokens.take(np.array([row])).flatten().tolist() for row in range(len(tokens))]
