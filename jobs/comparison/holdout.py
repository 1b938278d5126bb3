"""The users that versions are compared on: test users of one training set that no version was trained on.

In   a training set, its split, and the versions with what their training runs say about their own training sets
Out  Holdout(examples, sha256="9a1c…", left_out=12, notes=["version 3 was trained on labels up to …"])

The split is by a hash of the user id, but cut by rank: a fifth of the users of each label. So a training set with
other users moves the cut by a few places, and a user whose label has changed moves to the other group: test users of
one training set near the cut can be training users of another. By time (`--test-from`) most test users are training
users of versions that were trained by user. A version would rank such users too well, hence they are left out.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import hdfs
import numpy as np
import requests
from numpy.typing import NDArray

from jobs.command import DataError
from jobs.comparison.versions import Contestant
from jobs.training.dataset import (
    Examples,
    Split,
    SplitError,
    TrainingSet,
    TrainingSetError,
    read_training_set,
    split_by_time,
    split_by_user,
)
from jobs.training.download import local_folder

FACTS_TO_COMPARE = ("table", "training_date")


class HoldoutError(DataError):
    """No users, or of one label only, are left to compare versions on."""


@dataclass(frozen=True)
class Holdout:
    """Examples that every version sees for the first time."""

    examples: Examples
    sha256: str
    left_out: int  # test users that some version was trained on
    notes: list[str]  # what a reader of the comparison should know about it


@dataclass(frozen=True)
class Source:
    """The training set whose test users are compared on, and how it is read."""

    training_set: TrainingSet
    location: str
    webhdfs_url: str
    test_from: date | None


def split_examples(examples: Examples, test_from: date | None) -> Split:
    """By user, or by time where a day is given."""
    return split_by_user(examples) if test_from is None else split_by_time(examples, test_from)


def freeze_holdout(split: Split, source: Source, contestants: Sequence[Contestant]) -> Holdout:
    """Leave out users that a version was trained on, and note where that cannot be known.

    Raises:
        HoldoutError: too few users are left.
    """
    test = split.test
    test_ids = test.user_ids.astype(str)
    is_seen = np.zeros(len(test), dtype=bool)
    notes = []
    for contestant in contestants:
        notes += note_differences(contestant, source.training_set.facts)
        trained_on = find_training_users(contestant, source)
        if trained_on is None:
            notes.append(
                f"{contestant.name} may have been trained on some of these users: its training set, "
                f"{contestant.facts.get('location', 'of unknown place')}, cannot be read or split again"
            )
            continue
        seen_by_this = np.isin(test_ids, trained_on)
        if seen_by_this.any():
            notes.append(
                f"{len(np.unique(test_ids[seen_by_this])):,} test users are left out, since {contestant.name} "
                "was trained on them"
            )
        is_seen |= seen_by_this
    examples = test.take(np.flatnonzero(~is_seen))
    if set(examples.labels) != {0, 1}:
        raise HoldoutError(
            f"of {test.users} test users {examples.users} were in no version's training, and comparing needs "
            "users of both labels; take a training set with later labels, or leave out --test-from"
        )
    return Holdout(examples, hash_rows(examples), test.users - examples.users, notes)


def note_differences(contestant: Contestant, facts: dict[str, object]) -> list[str]:
    """Say where the version's training set is of another table or date."""
    return [
        f"{contestant.name} was trained with {name} {contestant.facts.get(name, 'unknown')}, "
        f"these users are of {facts.get(name, 'unknown')}"
        for name in FACTS_TO_COMPARE
        if contestant.facts.get(name, "unknown") != str(facts.get(name, "unknown"))
    ]


def find_training_users(contestant: Contestant, source: Source) -> NDArray[np.str_] | None:
    """Ids of the users that the version was trained on; None where its training set or its split is unknown.

    The split is known when it is one of the two that this job makes, by the numbers that the run has logged.
    """
    examples = read_training_examples(contestant, source)
    if examples is None:
        return None
    for test_from in (None, source.test_from):
        try:
            split = split_examples(examples, test_from)
        except SplitError:
            continue
        counts = {
            "train_users": split.train.users,
            "train_examples": len(split.train),
            "test_examples": len(split.test),
        }
        if all(contestant.params.get(name) == str(count) for name, count in counts.items()):
            return split.train.user_ids.astype(str)
    return None


def read_training_examples(contestant: Contestant, source: Source) -> Examples | None:
    """Examples that the version's training run read, if they are still there."""
    location = contestant.facts.get("location")
    if location is None:
        return None
    if location == source.location:
        return source.training_set.examples
    try:
        with local_folder(location, source.webhdfs_url) as folder:
            return read_training_set(folder).examples
    except (TrainingSetError, hdfs.HdfsError, requests.RequestException):
        return None


def hash_rows(examples: Examples) -> str:
    """SHA-256 of all that a version sees of every row, and of its label, one JSON list a line, ordered by bytes.

    `["u1", 0, ["maps", "chat"], [true, false]]`: user id, label, app ids, and which of them begin a session.
    """
    rows: Iterable[tuple[object, ...]] = zip(
        examples.user_ids.tolist(),
        examples.labels.tolist(),
        examples.app_ids.to_lists().to_pylist(),
        examples.app_ids.session_starts().to_pylist(),
        strict=True,
    )
    digest = hashlib.sha256()
    for line in sorted(json.dumps(row).encode() for row in rows):
        digest.update(line + b"\n")
    return digest.hexdigest()
