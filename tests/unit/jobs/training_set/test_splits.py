"""Splitting examples by user and by time."""

from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from jobs.sequences.app_sequences import AppSequences
from jobs.training_set.examples import Examples
from jobs.training_set.splits import (
    NoSharedAppError,
    SplitError,
    assign_users,
    have_an_app_in_common,
    split_by_time,
    split_by_user,
)
from tests.made_up.examples import labelled_users, made_up_examples


def users_of(part: Examples) -> set[str]:
    return set(part.user_ids)


def test_users_are_split_80_20_with_the_same_share_of_each_label():
    users = [(f"u{i}", int(i % 10 == 0)) for i in range(1000)]
    split = split_by_user(labelled_users(*users))
    assert [(len(part), int(part.labels.sum())) for part in (split.train, split.test)] == [
        (800, 80),
        (200, 20),
    ]


def test_all_examples_of_a_user_are_in_one_part():
    users = [(f"u{i % 50}", int(i % 7 == 0)) for i in range(200)]  # four examples each, of both labels
    split = split_by_user(labelled_users(*users))
    parts = [users_of(split.train), users_of(split.test)]
    assert len(set.union(*parts)) == sum(len(part) for part in parts) == 50


def test_the_order_of_rows_does_not_change_the_split():
    examples = made_up_examples(200)
    turned = examples.take(np.arange(200)[::-1])
    for part in ("train", "test"):
        assert users_of(getattr(split_by_user(examples), part)) == users_of(
            getattr(split_by_user(turned), part)
        )


def test_users_are_assigned_to_as_many_parts_as_there_are_shares():
    examples = labelled_users(*[(f"u{i}", i % 2) for i in range(40)])
    part = assign_users(examples, [0.25] * 4)
    assert np.bincount(part).tolist() == [10, 10, 10, 10]
    assert [int(examples.labels[part == number].sum()) for number in range(4)] == [5] * 4


def by_month(*rows: tuple[str, int, str]) -> Examples:
    """One example for each user, label and day."""
    examples = labelled_users(*[(user, label) for user, label, _ in rows])
    return replace(examples, as_of=np.array([day for _, _, day in rows], "datetime64[us]"))


def test_an_out_of_time_split_trains_on_labels_before_the_day_and_tests_on_the_others():
    examples = by_month(
        ("u1", 0, "2026-01-31"), ("u2", 1, "2026-01-01"), ("u3", 0, "2026-02-01"), ("u4", 1, "2026-03-01")
    )
    split = split_by_time(examples, date(2026, 2, 1))
    assert (users_of(split.train), users_of(split.test)) == ({"u1", "u2"}, {"u3", "u4"})
    assert "2026-02-01" in split.method


def test_a_user_with_labels_on_both_sides_is_not_trained_on():
    examples = by_month(
        ("u1", 0, "2026-01-01"),
        ("u2", 1, "2026-01-01"),
        ("u3", 0, "2026-01-01"),
        ("u3", 1, "2026-03-01"),
        ("u4", 0, "2026-03-01"),
    )
    split = split_by_time(examples, date(2026, 2, 1))
    assert (users_of(split.train), users_of(split.test)) == ({"u1", "u2"}, {"u3", "u4"})


def test_a_day_after_all_labels_leaves_nothing_to_test_on():
    with pytest.raises(SplitError, match="the test part of the split needs users of both labels"):
        split_by_time(made_up_examples(20), date(2027, 1, 1))


@pytest.mark.parametrize("positives", [0, 1, 100])
def test_a_part_of_one_label_only_is_refused_with_what_was_found(positives):
    users = [(f"u{i}", int(i < positives)) for i in range(100)]
    message = f"has 100 users with {positives} examples of label 1 and {100 - positives} of label 0"
    with pytest.raises(SplitError, match=message):
        split_by_user(labelled_users(*users))


def test_a_training_set_without_examples_is_refused():
    with pytest.raises(SplitError, match="no example with an install"):
        split_by_user(labelled_users())


def users_with(*app_ids):
    """Ten users u0, u1, …, with label 0 and 1 in turns and these lists of apps, again and again."""
    examples = labelled_users(*[(f"u{number}", number % 2) for number in range(10)])
    lists = [app_ids[number % len(app_ids)] for number in range(10)]
    return replace(examples, installs=AppSequences.of_lists(pa.array(lists, pa.list_(pa.string()))))


def test_users_without_an_app_in_common_are_refused():
    own_apps = [[f"install {user}-{n}" for n in (0, 1, 0)] for user in range(10)]
    with pytest.raises(
        NoSharedAppError, match=r"none of 20 apps, such as 'install 0-0', .* of the 8 training"
    ):
        split_by_user(users_with(*own_apps))


def test_one_app_in_common_is_enough():
    own_apps = [[f"install {user}", "maps"] for user in range(10)]
    assert have_an_app_in_common(users_with(*own_apps))


def test_apps_that_one_user_has_at_two_times_are_not_in_common():
    examples = users_with(["a"], ["b"])
    alone = replace(examples, user_ids=np.array(["even", "odd"] * 5, dtype=object))
    assert not have_an_app_in_common(alone)
    assert have_an_app_in_common(examples)


@pytest.mark.parametrize("chunk_tokens", [1, 3])
def test_an_app_in_common_is_found_across_chunks(monkeypatch, chunk_tokens):
    monkeypatch.setattr("jobs.sequences.token_sequences.CHUNK_TOKENS", chunk_tokens)
    lists = [[f"install {user}"] for user in range(9)] + [["install 0"]]
    assert have_an_app_in_common(users_with(*lists))
    assert not have_an_app_in_common(users_with(*[[f"install {user}"] for user in range(10)]))
