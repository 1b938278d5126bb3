"""What a comparison found.

In   figures of challenger and champions on one holdout
Out  the verdict, and for whom the challenger is worse
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.comparison.slice_differences import SliceDifference
from jobs.evaluation.intervals import Difference, Interval

BETTER, WORSE, UNDECIDED = "better", "worse", "undecided"


@dataclass(frozen=True)
class Findings:
    """What the holdout says."""

    challenger: str  # as pages call it: "version 4"
    champion: str  # or the baseline, where there is none
    title: str  # of the champion in a sentence: "the champion, version 3"
    probabilities: dict[str, NDArray[np.float64]]  # by model, challenger first, champion second
    metrics: dict[str, dict[str, Interval]]  # by model, then metric
    differences: dict[str, dict[str, Difference]]  # challenger minus each other, by metric; champion first
    slices: list[SliceDifference]  # challenger minus champion
    ece_by_chance: float  # of the challenger
    resamples: int

    @property
    def difference(self) -> Difference:
        """In AUC, to the champion."""
        return self.differences[self.champion]["auc"]

    @property
    def verdict(self) -> str:
        """better, worse, or undecided where the interval holds 0."""
        if not self.difference.is_sure:
            return UNDECIDED
        return BETTER if self.difference.value > 0.0 else WORSE

    @property
    def worse_slices(self) -> list[SliceDifference]:
        """Slices in which the challenger ranks worse than the champion, the worst first."""
        return sorted((one for one in self.slices if one.auc.value < 0.0), key=lambda one: one.auc.value)

    @property
    def surely_worse_slices(self) -> list[str]:
        """Names of those whose interval leaves out 0."""
        return [one.name for one in self.worse_slices if one.auc.is_sure]
