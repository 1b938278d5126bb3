"""What became of the labels of a training date.

In   all labels, those observed by the training date, the last one of each user and as_of, and the examples
Out  LabelCounts(examples=3900, positives=780, labels=4100, labels_not_yet_observed=120, …)
"""

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.errors import DataError
from jobs.lake.receipts import DayRange


class NothingToLearnError(DataError):
    """No label can be used, or all usable labels are the same."""


@dataclass(frozen=True)
class LabelCounts:
    """Counts of labels: each label is an example or in one of the last three counts."""

    examples: int
    positives: int  # examples of label 1
    labels: int
    labels_not_yet_observed: int
    labels_superseded: int  # by one observed later, for the same user and as_of
    labels_without_installs: int  # no install was known at as_of

    def check(self, days: str) -> None:
        """Raise NothingToLearnError, with `days` in it, unless there are examples of label 0 and label 1."""
        if 0 < self.positives < self.examples:
            return
        found = (
            f"all {self.examples} have label {int(self.positives > 0)}" if self.examples else "there are none"
        )
        raise NothingToLearnError(
            f"expected examples of label 0 and of label 1, but {found}: of {self.labels} labels "
            f"{self.labels_not_yet_observed} were observed after the training date, "
            f"{self.labels_superseded} were superseded by a later observation, "
            f"{self.labels_without_installs} have no install that happened before as_of and had landed "
            f"by the end of that day; {days}. If a landing day brought a history at once, put an empty file "
            "_HISTORY into its folder: its installs then count as known once they have happened"
        )


def find_as_of_days(labels: DataFrame) -> DayRange | None:
    """Find the first and the last day of any `as_of`, UTC; None if there are no labels."""
    as_of_day = F.to_date("as_of")
    days = labels.agg(F.min(as_of_day).alias("first"), F.max(as_of_day).alias("last")).collect()[0]
    return DayRange(days.first, days.last) if days.first else None


def count_labels(
    labels: DataFrame, observed: DataFrame, usable: DataFrame, examples: DataFrame
) -> LabelCounts:
    """Count labels by what became of them; each frame was made from the one before it."""
    landed, known, current, used = (frame.count() for frame in (labels, observed, usable, examples))
    return LabelCounts(
        examples=used,
        positives=examples.where(F.col("label") == 1).count(),
        labels=landed,
        labels_not_yet_observed=landed - known,
        labels_superseded=known - current,
        labels_without_installs=current - used,
    )
