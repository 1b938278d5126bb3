"""Each label is an example, or is counted by the reason why it is none."""

from datetime import date

import pytest

from jobs.lake.receipts import DayRange
from jobs.landing.label_counts import LabelCounts, NothingToLearnError, find_as_of_days
from tests.made_up.schemas import LABELS
from tests.made_up.sessions import at


def test_as_of_days_are_in_utc_and_none_without_labels(spark):
    labels = spark.createDataFrame([("u1", 1, at("20 23:59")), ("u2", 1, at("18 00:00"))], LABELS)
    assert find_as_of_days(labels) == DayRange(date(2026, 1, 18), date(2026, 1, 20))
    assert find_as_of_days(labels.limit(0)) is None


@pytest.mark.parametrize(
    ("examples", "positives", "says"),
    [
        (0, 0, "but there are none: of 9 labels 2"),
        (4, 4, "but all 4 have label 1"),
        (4, 0, "but all 4 have label 0"),
    ],
)
def test_examples_of_one_label_or_none_are_refused_with_what_became_of_the_labels(examples, positives, says):
    counts = LabelCounts(
        examples=examples,
        positives=positives,
        labels=9,
        labels_not_yet_observed=2,
        labels_superseded=1,
        labels_without_installs=6 - examples,
    )
    with pytest.raises(NothingToLearnError, match=says) as error:
        counts.check("as_of 2026-01-18 to 2026-01-20")
    assert "; as_of 2026-01-18 to 2026-01-20. If a landing day" in str(error.value)
