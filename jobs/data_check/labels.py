"""What a training would do with every label.

In   installs: ds, user_id, app_id, event_time; labels of `read_labels`; the training date
Out  LabelFindings(counts=LabelCounts(examples=3900, …), unknown_users=20, no_install_before=15, …)
"""

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.lake.labelled_sequences import had_happened, had_landed
from jobs.landing.label_counts import LabelCounts, NothingToLearnError, count_labels
from jobs.landing.labels import keep_last_observed, keep_observed
from jobs.training_set.folds import FOLDS
from jobs.training_set.splits import NoSharedAppError, SplitError

# A fifth of the users of each label is for the test, and each fold of the others needs one.
FEWEST_USERS = FOLDS + 1


class LabelDays(NamedTuple):
    """Days of one label's times, UTC."""

    label: int
    labels: int
    first_as_of: date
    last_as_of: date
    soonest: int  # days from as_of until the first label was observed
    median: int  # days until half of them were


@dataclass(frozen=True)
class LabelFindings:
    """What became of the labels, and why some have no install: the three last add up to those."""

    counts: LabelCounts
    users: int  # users with an example
    positive_users: int  # users who have an example of label 1
    has_shared_app: bool  # an app that two of these users installed
    unknown_users: int  # no install names the user
    no_install_before: int  # all of the user's installs happened at as_of or later
    not_landed: int  # some happened before, but landed after as_of's day or before the look-back

    def check(self, training_date: date) -> None:
        """Check that a training can start.

        Raises:
            NothingToLearnError, SplitError, NoSharedAppError: it would refuse these labels and installs.
        """
        counts = self.counts
        if not 0 < counts.positives < counts.examples:
            raise NothingToLearnError(
                f"expected examples of label 0 and of label 1 on training date {training_date}, found "
                f"{counts.examples} examples, {counts.positives} of label 1"
            )
        if min(self.positive_users, self.users - self.positive_users) < FEWEST_USERS:
            raise SplitError(
                f"expected at least {FEWEST_USERS} users with label 1 and as many without it, found "
                f"{self.positive_users} and {self.users - self.positive_users}: deliver more labels"
            )
        if not self.has_shared_app:
            raise NoSharedAppError(
                "no app was installed by two users with an example: expected app ids that name an app, such "
                "as com.example.maps, and not a single install"
            )


def choose_training_date(labels: DataFrame, history_days: list[date], today: date) -> date:
    """Choose the first date on which the histories and all labels observed by `today` (UTC) are known.

    Raises:
        NothingToLearnError: no label is observed by today.
    """
    observed = keep_observed(labels, today)
    last: date | None = observed.agg(F.max(F.to_date("observed_at")).alias("day")).collect()[0].day
    if last is None:
        raise NothingToLearnError(
            f"none of {labels.count()} labels was observed by today, {today} UTC: expected the time at which "
            "each label became known in observed_at"
        )
    return max([last, *history_days])


def examine_labels(
    installs: DataFrame, labels: DataFrame, training_date: date, lookback_days: int, history_days: list[date]
) -> LabelFindings:
    """Join the labels to the installs that were known at their time, and count.

    Raises:
        ConflictingLabelsError: two labels contradict each other.
    """
    observed = keep_observed(labels, training_date)
    usable = keep_last_observed(observed).persist()
    was_known = had_landed(lookback_days, history_days) & had_happened("event_time")
    known = installs.join(usable, "user_id").where(was_known).persist()
    examples = known.select("user_id", "as_of", "label").distinct().persist()

    by_user = examples.groupBy("user_id").agg(F.max("label").alias("label"))
    users = by_user.agg(
        F.count("*").alias("users"), F.count_if(F.col("label") == 1).alias("positive")
    ).collect()[0]
    installed_by = known.groupBy("app_id").agg(F.min("user_id").alias("one"), F.max("user_id").alias("other"))
    shared = installed_by.where(F.col("one") != F.col("other")).limit(1).count()

    first = installs.groupBy("user_id").agg(F.min("event_time").alias("first_install"))
    unused = usable.join(examples, ["user_id", "as_of"], "left_anti").join(first, "user_id", "left")
    is_unknown, is_later = F.col("first_install").isNull(), ~had_happened("first_install")
    why = unused.agg(
        F.count_if(is_unknown).alias("unknown"),
        F.count_if(~is_unknown & is_later).alias("later"),
        F.count_if(~is_unknown & ~is_later).alias("not_landed"),
    ).collect()[0]
    return LabelFindings(
        counts=count_labels(labels, observed, usable, examples),
        users=users.users,
        positive_users=users.positive,
        has_shared_app=shared > 0,
        unknown_users=why.unknown,
        no_install_before=why.later,
        not_landed=why.not_landed,
    )


def find_label_days(labels: DataFrame) -> list[LabelDays]:
    """Find the days of each label's times, label 0 first."""
    age = F.datediff("observed_at", "as_of")
    days = labels.groupBy("label").agg(
        F.count("*").alias("labels"),
        F.to_date(F.min("as_of")).alias("first_as_of"),
        F.to_date(F.max("as_of")).alias("last_as_of"),
        F.min(age).alias("soonest"),
        F.median(age).cast("int").alias("median"),
    )
    return [LabelDays(*(row[name] for name in LabelDays._fields)) for row in days.orderBy("label").collect()]
