"""For whom a challenger is better or worse.

In   labels 0 or 1, probabilities of challenger and champion, user ids      (examples,)
Out  SliceDifference("sequence length 1-10", users=1203, bad_rate=0.11, auc=Difference(-0.021, -0.034, -0.008, …))
"""

from dataclasses import dataclass

from jobs.evaluation.intervals import RESAMPLES, Difference, paired_difference
from jobs.evaluation.ranking import Floats
from jobs.evaluation.slices import FEWEST_USERS, cut_slices
from jobs.training_set.examples import Examples


@dataclass(frozen=True)
class SliceDifference:
    """Challenger minus champion in AUC among users of one kind."""

    name: str  # "sequence length 1-10"
    users: int
    bad_rate: float  # share of label 1
    auc: Difference


def compare_slices(
    examples: Examples,
    challenger: Floats,
    champion: Floats,
    unknown_shares: Floats,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[SliceDifference]:
    """Difference in AUC by sequence length, share of unknown apps and month of the label.

    Slices of fewer than 30 users, or of one label, are left out: they say nothing.
    """
    found_slices = []
    for slicing, name, members in cut_slices(examples.installs.lengths, unknown_shares, examples.as_of):
        part = examples.take(members)
        if part.users < FEWEST_USERS or set(part.labels) != {0, 1}:
            continue
        found = paired_difference(
            part.labels, challenger[members], champion[members], part.user_ids, resamples=resamples, seed=seed
        )["auc"]
        found_slices.append(
            SliceDifference(f"{slicing} {name}", part.users, float(part.labels.mean()), found)
        )
    return found_slices
