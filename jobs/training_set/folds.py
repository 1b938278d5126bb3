"""Folds of the training users, to score users by models that have not seen them.

In   training examples
Out  Fold(fitted, held_out): indices of examples
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.training_set.examples import Examples
from jobs.training_set.splits import SplitError, assign_users

FOLDS = 4
# Held-out users choose only a few numbers, which need no more examples. With many users, one fold has this
# many, and the trainings of the other folds are saved.
ENOUGH_HELD_OUT = 1_200


@dataclass(frozen=True)
class Fold:
    """Indices of training examples; no user is in both."""

    fitted: NDArray[np.int64]
    held_out: NDArray[np.int64]


def make_folds(train: Examples, folds: int = FOLDS, enough: int = ENOUGH_HELD_OUT) -> list[Fold]:
    """Cut equal folds until they hold out `enough` examples together: at least one, at most `folds`.

    Raises:
        SplitError: a fold would lack one of the labels.
    """
    part = assign_users(train, [1.0 / folds] * folds)
    chosen: list[Fold] = []
    for number in range(folds - 1, -1, -1):
        fold = Fold(np.flatnonzero(part != number), np.flatnonzero(part == number))
        for indices in (fold.fitted, fold.held_out):
            if set(train.labels[indices]) != {0, 1}:
                raise SplitError(
                    f"training needs users of both labels in each of {folds} folds, found {len(train)} training "
                    f"examples of which {int(train.labels.sum())} have label 1: at least {folds} of each are needed"
                )
        chosen.append(fold)
        if sum(len(fold.held_out) for fold in chosen) >= enough:
            break
    return chosen
