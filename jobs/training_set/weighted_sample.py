"""Whom a regression is fitted on, where users are very many.

In   labels of all training users
Out  indices of at most 50,000 of them, and what each of these counts
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LARGEST_SAMPLE = 50_000  # more would take memory by the gigabyte and teach a regression little


@dataclass(frozen=True)
class WeightedSample:
    """A sample whose weighted bad rate is that of all users."""

    indices: NDArray[np.int64]  # (fitted,), rising
    weights: NDArray[np.float64]  # (fitted,), 1 on average


def draw_weighted_sample(labels: NDArray[np.int8]) -> WeightedSample:
    """All users; of very many those of the rarer label first, up to half, evenly spaced, and as many others.

    Of 1,000,000 users with 1% bad ones an even sample would hold 500 of 10,000 bad ones, and a regression learns from its
    rarer label. Weights undo the choice (King and Zeng, 2001, "Logistic Regression in Rare Events Data", §4.2).
    """
    if len(labels) <= LARGEST_SAMPLE:
        return WeightedSample(np.arange(len(labels)), np.ones(len(labels)))
    rarer, other = sorted((np.flatnonzero(labels == label) for label in (0, 1)), key=len)
    chosen_rarer = _spread(rarer, min(len(rarer), LARGEST_SAMPLE // 2))
    chosen_other = _spread(other, LARGEST_SAMPLE - len(chosen_rarer))
    weights = np.zeros(len(labels))
    for chosen, group in ((chosen_rarer, rarer), (chosen_other, other)):
        weights[chosen] = len(group) / len(labels) * LARGEST_SAMPLE / max(len(chosen), 1)
    indices = np.sort(np.concatenate([chosen_rarer, chosen_other]))
    return WeightedSample(indices, weights[indices])


def _spread(group: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    return group[np.linspace(0, len(group), number, endpoint=False).astype(np.int64)]
