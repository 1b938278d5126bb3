"""Differences in AUC between challenger and champion by slice.

In   labels 0 or 1, probabilities of challenger and champion, user ids      (examples,)
Out  SliceDifference("sequence length 1-10", users=1203, bad_rate=0.11, auc=Difference(-0.021, -0.034, …))
"""

from dataclasses import dataclass

from jobs.evaluation.intervals import Bootstrap, Difference
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
    bootstrap: Bootstrap, examples: Examples, challenger: Floats, champion: Floats, unknown_shares: Floats
) -> list[SliceDifference]:
    """Differences in AUC by sequence length, share of unknown apps and month of the label.

    Slices of fewer than 30 users, or of one label, are left out: their AUC says nothing.
    """
    differences = []
    for slicing, name, members in cut_slices(examples.installs.lengths, unknown_shares, examples.as_of):
        users, labels = bootstrap.count_users(members), examples.labels[members]
        if users < FEWEST_USERS or set(labels) != {0, 1}:
            continue
        auc = bootstrap.of(members).difference(challenger[members], champion[members])["auc"]
        differences.append(SliceDifference(f"{slicing} {name}", users, float(labels.mean()), auc))
    return differences
