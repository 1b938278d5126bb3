"""Findings of a comparison.

In   figures of challenger and champions on one holdout
Out  the verdict, and the slices in which the challenger is worse
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.comparison.slice_differences import SliceDifference
from jobs.evaluation.intervals import Difference, Interval

BETTER, WORSE, UNDECIDED = "better", "worse", "undecided"


@dataclass(frozen=True)
class Findings:
    """Figures of every model on the holdout, and the verdict."""

    challenger: str  # its name on the page: "version 4"
    champion: str  # or the baseline if there is no champion
    title: str  # of the champion in a sentence: "the champion, version 3"
    probabilities: dict[str, NDArray[np.float64]]  # by model, challenger first, champion second
    metrics: dict[str, dict[str, Interval]]  # by model, then metric
    # Challenger minus each other model, by metric; the champion first.
    differences: dict[str, dict[str, Difference]]
    slices: list[SliceDifference]  # challenger minus champion
    ece_by_chance: float  # of the challenger
    resamples: int

    @property
    def difference(self) -> Difference:
        """Difference in AUC to the champion."""
        return self.differences[self.champion]["auc"]

    @property
    def verdict(self) -> str:
        """Better or worse; undecided if the interval holds 0."""
        if not self.difference.is_sure:
            return UNDECIDED
        return BETTER if self.difference.value > 0.0 else WORSE

    @property
    def worse_slices(self) -> list[SliceDifference]:
        """Slices in which the challenger ranks worse than the champion, the worst first."""
        worse = [each for each in self.slices if each.auc.value < 0.0]
        return sorted(worse, key=lambda each: each.auc.value)

    @property
    def surely_worse_slices(self) -> list[str]:
        """Names of the worse slices whose interval excludes 0."""
        return [worse.name for worse in self.worse_slices if worse.auc.is_sure]
