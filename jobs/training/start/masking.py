"""Mask installs for the encoder to predict (Devlin et al., 2019, §3.1).

In   token ids int32 (batch, sequence), padded with zeros        [[-5, 9, -7, 4]]
Out  the same with some hidden, where those are, what they were  [[-5, 2, -7, 4]], [[1]], [[9]], [[1.0]]

A masked install still begins a session if it did before.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.encoder.tokens import (
    FIRST_APP_TOKEN_ID,
    MASK_TOKEN_ID,
    PAD_TOKEN_ID,
    apps_of,
    begins_session,
    mark_session_starts,
)

MASKED = 0.8  # of the hidden installs; of the others one half becomes a random app, one half stays
RANDOM = 0.1


class MaskedTokens(NamedTuple):
    """One batch; rows with fewer hidden installs than others end in entries of weight 0."""

    token_ids: NDArray[np.int32]  # (batch, sequence)
    positions: NDArray[np.int32]  # (batch, hidden), 0 where the weight is 0
    targets: NDArray[np.int32]  # (batch, hidden), token ids
    weights: NDArray[np.float32]  # (batch, hidden), 1 or 0


def mask_tokens(
    token_ids: NDArray[np.int32], mask_share: float, vocabulary_size: int, random: np.random.Generator
) -> MaskedTokens:
    """Hide a share of each user's installs, at least one; padding is never hidden."""
    is_real = token_ids != PAD_TOKEN_ID
    lengths = is_real.sum(axis=1)
    counts = np.minimum(np.maximum(np.round(mask_share * lengths), 1), lengths).astype(np.int64)
    # Each row's real tokens in random order, padding after them.
    order = np.argsort(np.where(is_real, random.random(token_ids.shape), 2.0), axis=1)
    positions = order[:, : max(counts.max(initial=0), 1)].astype(np.int32)
    is_hidden = np.arange(positions.shape[1]) < counts[:, None]  # (batch, hidden)
    positions = np.where(is_hidden, positions, 0).astype(np.int32)
    targets = np.take_along_axis(apps_of(token_ids), positions, axis=1)

    dice = random.random(positions.shape)
    random_apps = random.integers(FIRST_APP_TOKEN_ID, vocabulary_size, positions.shape)
    shown = np.where(dice < MASKED, MASK_TOKEN_ID, np.where(dice < MASKED + RANDOM, random_apps, targets))
    masked = token_ids.copy()
    rows, places = np.nonzero(is_hidden)
    places_in_row = positions[rows, places]
    hidden = token_ids[rows, places_in_row]
    masked[rows, places_in_row] = mark_session_starts(shown[rows, places], begins_session(hidden))
    return MaskedTokens(masked, positions, targets, is_hidden.astype(np.float32))
