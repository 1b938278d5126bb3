"""Cut ragged sequences into dense micro-batches with little padding, and put the answers back in order.

In   token ids, ragged                     lengths [2, 5, 3]
Out  one (risk_score, logit) per user, in the users' order; the model saw (1, 5) and (2, 3) tokens

Users are ordered by length, so neighbours need little padding, and each micro-batch is padded only to its
own longest sequence: the cost of attention grows with the square of the width.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from jobs.sequences.token_sequences import TokenSequences

# Batches are cut from pools of this many batches' users, ordered by length: enough to fill most
# batches with one length, few enough that a batch's users still change from epoch to epoch.
BATCHES_PER_POOL = 50

FloatArray = NDArray[np.float64]
Predict = Callable[[NDArray[np.int32]], tuple[FloatArray, FloatArray]]


class TokenBudgetError(ValueError):
    """The token budget of a micro-batch is below the longest sequence."""


def cut_batches(lengths: NDArray[np.int64], max_tokens: int) -> Iterator[NDArray[np.intp]]:
    """Yield the users of each micro-batch, longest first, of at most `max_tokens` tokens with their padding.

    Raises:
        TokenBudgetError: a single sequence is longer than `max_tokens`.
    """
    longest_first = np.argsort(-lengths, kind="stable")  # stable: a rerun makes the same batches
    start = 0
    while start < len(lengths):
        longest = int(lengths[longest_first[start]])
        if longest > max_tokens:
            raise TokenBudgetError(
                f"a sequence of {longest} tokens does not fit a budget of {max_tokens} tokens per batch; "
                "raise --max-tokens-per-batch or train with a shorter recipe.max_history"
            )
        end = start + max_tokens // longest
        yield longest_first[start:end]
        start = end


def predict_in_batches(
    sequences: TokenSequences, predict: Predict, max_tokens: int
) -> tuple[FloatArray, FloatArray]:
    """Call `predict` on micro-batches and return risk scores and logits, `(users,)` each, in order."""
    risk_scores = np.empty(len(sequences))
    logits = np.empty(len(sequences))
    for users in cut_batches(sequences.lengths, max_tokens):
        risk_scores[users], logits[users] = predict(sequences.padded(users))
    return risk_scores, logits


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
