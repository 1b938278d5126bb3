"""Metrics by kind of user."""

import numpy as np
import pytest

from jobs.evaluation.intervals import Bootstrap
from jobs.evaluation.slices import slice_metrics

JANUARY, FEBRUARY = np.datetime64("2026-01-31T23:59:59"), np.datetime64("2026-02-01T00:00:00")


def slices_of(labels, scores=None, lengths=5, unknown_shares=0.0, as_of=JANUARY, user_ids=None):
    """The table by slicing and slice; one value stands for all users."""
    labels = np.array(labels, np.int8)
    scores = np.linspace(0.1, 0.9, len(labels)) if scores is None else np.array(scores)
    lengths, shares, times = (
        np.broadcast_to(each, len(labels)) for each in (lengths, unknown_shares, np.array(as_of))
    )
    bootstrap = Bootstrap(labels, user_ids, resamples=20)
    table = slice_metrics(bootstrap, scores, lengths, shares, times)
    return table.set_index(["slicing", "slice"])


def test_bounds_of_length_belong_to_the_lower_slice():
    users = slices_of([0, 1] * 4, lengths=[1, 10, 11, 30, 31, 100, 101, 4000])["users"]
    assert users["sequence length"].to_dict() == {"1-10": 2, "11-30": 2, "31-100": 2, "101+": 2}


def test_shares_of_unknown_apps_are_none_or_up_to_a_bound():
    users = slices_of([0, 1] * 3 + [0], unknown_shares=[0.0, 0.001, 0.1, 0.11, 0.5, 0.51, 1.0])["users"]
    assert users["unknown apps"].to_dict() == {"none": 1, "up to 10%": 2, "up to 50%": 2, "above 50%": 2}


def test_months_are_those_of_the_label_in_utc():
    table = slices_of([0, 1, 1], as_of=[JANUARY, FEBRUARY, FEBRUARY])
    assert table["users"]["label month"].to_dict() == {"2026-01": 1, "2026-02": 2}
    assert table["bad_rate"]["label month"].to_dict() == {"2026-01": 0.0, "2026-02": 1.0}


def test_a_slice_is_measured_on_its_own_users():
    labels = [0, 1] * 40
    scores = [0.2, 0.8] * 20 + [0.8, 0.2] * 20  # right in January, upside down in February
    table = slices_of(labels, scores, as_of=[JANUARY] * 40 + [FEBRUARY] * 40)
    january, february = (table.loc[("label month", month)] for month in ("2026-01", "2026-02"))
    assert january[["auc", "auc_low", "auc_high"]].tolist() == [1.0, 1.0, 1.0]
    assert february[["auc", "auc_low", "auc_high"]].tolist() == [0.0, 0.0, 0.0]
    assert january["bad_rate"] == february["mean_score"] == 0.5
    whole = table.loc[("sequence length", "1-10")]
    assert whole["auc_low"] < whole["auc"] == 0.5 < whole["auc_high"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("labels", [[0, 1] * 14 + [0], [0] * 40, [1] * 40, [1]])
def test_few_users_or_one_label_have_no_auc(labels):
    # A whole set has both labels: two more users, in another slice.
    table = slices_of([*labels, 0, 1], lengths=[5] * len(labels) + [200, 200])
    short = table.loc[("sequence length", "1-10")]
    assert short["users"] == len(labels)
    assert short["bad_rate"] == np.mean(labels)
    assert short[["auc", "auc_low", "auc_high"]].isna().all()


def test_thirty_users_have_an_auc():
    assert slices_of([0, 1] * 15).loc[("sequence length", "1-10"), "auc"] > 0.5


def test_examples_of_one_user_count_once():
    user_ids = np.repeat(np.array([f"u{i}" for i in range(29)], object), 2)
    table = slices_of([0, 1] * 29, user_ids=user_ids)
    assert table.loc[("sequence length", "1-10"), "users"] == 29
    assert table["auc"].isna().all()


def test_a_slice_without_users_has_a_row_with_zero_users():
    empty = slices_of([0, 1]).loc[("sequence length", "101+")]
    assert empty["users"] == 0
    assert empty[["bad_rate", "mean_score", "auc"]].isna().all()


def test_impossible_lengths_and_shares_are_refused():
    with pytest.raises(ValueError, match="found a length of 0"):
        slices_of([0, 1], lengths=[0, 3])
    for share in (np.nan, 1.1, -0.1):
        with pytest.raises(ValueError, match="shares of unknown apps from 0 to 1"):
            slices_of([0, 1], unknown_shares=[0.5, share])
