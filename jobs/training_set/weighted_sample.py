"""A weighted sample of at most 50,000 users for fitting regressions.

In   labels of all training users
Out  WeightedSample(indices, weights) of at most 50,000 of them
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LARGEST_SAMPLE = 50_000  # more would take gigabytes and hardly improve a regression


@dataclass(frozen=True)
class WeightedSample:
    """A sample whose weighted bad rate is that of all users."""

    indices: NDArray[np.int64]  # (fitted,), rising
    weights: NDArray[np.float64]  # (fitted,), 1 on average


def draw_weighted_sample(labels: NDArray[np.int8]) -> WeightedSample:
    """All users, or 50,000: up to half from the rarer label, the rest from the other, evenly spaced.

    A uniform sample of 1,000,000 users, 1% of them bad, would hold only 500 of the 10,000 bad ones, and a
    regression learns most from the rarer label. Weights restore the shares of both labels (King and Zeng,
    2001, "Logistic Regression in Rare Events Data", §4.2).
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
