"""The holdout of a comparison: test users of one training set that no compared version was trained on.

In   a training set, its split, and the versions with their recorded training users
Out  Holdout(examples, sha256="9a1c…", left_out=12, notes=["version 3 was trained with training_date …"])

The split orders users by a hash of the user id and cuts by rank: the test gets a fifth of the users of each
label. So other users in a training set move the cut by a few places, and a user whose label has changed moves
to the other group. Test users of one training set near the cut can thus be training users of another. With a
split by time (`--test-from`), most test users are training users of versions that were trained by user. A
version would rank such users too well, hence they are left out.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from jobs.comparison.versions import Contestant
from jobs.errors import DataError
from jobs.training_set.examples import Examples, TrainingSet
from jobs.training_set.splits import Split

FACTS_TO_COMPARE = ("table", "training_date")


class HoldoutError(DataError):
    """No users, or users of one label only, are left to compare versions on."""


@dataclass(frozen=True)
class Holdout:
    """Examples that no version was trained on, as far as the versions' runs recorded their training users."""

    examples: Examples
    sha256: str
    left_out: int  # test users that some version was trained on
    notes: list[str]  # for readers of the comparison


@dataclass(frozen=True)
class Source:
    """The training set whose test users are compared on."""

    training_set: TrainingSet
    location: str


def freeze_holdout(split: Split, source: Source, contestants: Sequence[Contestant]) -> Holdout:
    """Leave out users that a version was trained on, and note versions for which they are unknown.

    Raises:
        HoldoutError: too few users are left.
    """
    test = split.test
    is_seen = np.zeros(len(test), dtype=bool)
    notes = []
    for contestant in contestants:
        notes += note_differences(contestant, source.training_set.facts)
        if contestant.trained_on is None:
            notes.append(
                f"{contestant.name} may have been trained on some of these users: "
                f"its run {contestant.run_id} did not record its training users"
            )
            continue
        seen_by_this = contestant.trained_on.holds(test)
        if seen_by_this.any():
            users = test.take(np.flatnonzero(seen_by_this)).users
            notes.append(
                f"{users:,} test users are left out: {contestant.name}, or a version that it started from, was "
                "trained on them"
            )
        is_seen |= seen_by_this
    examples = test.take(np.flatnonzero(~is_seen))
    if set(examples.labels) != {0, 1}:
        raise HoldoutError(
            f"of {test.users} test users {examples.users} were in no version's training, and comparing needs "
            "users of both labels: take a training set with later labels, or leave out --test-from"
        )
    return Holdout(examples, hash_rows(examples), test.users - examples.users, notes)


def note_differences(contestant: Contestant, facts: dict[str, object]) -> list[str]:
    """List the differences in table and date between the version's training set and this one."""
    return [
        f"{contestant.name} was trained with {name} {contestant.facts.get(name, 'unknown')}, "
        f"these users are of {facts.get(name, 'unknown')}"
        for name in FACTS_TO_COMPARE
        if contestant.facts.get(name, "unknown") != str(facts.get(name, "unknown"))
    ]


def hash_rows(examples: Examples) -> str:
    """SHA-256 of the model's input and the label of every row: one JSON list a line, ordered by bytes.

    `["u1", 0, ["maps", "chat"], [true, false]]`: user id, label, app ids, and whether each begins a session.
    """
    rows: Iterable[tuple[object, ...]] = zip(
        examples.user_ids.tolist(),
        examples.labels.tolist(),
        examples.installs.to_lists().to_pylist(),
        examples.installs.session_starts().to_pylist(),
        strict=True,
    )
    digest = hashlib.sha256()
    for line in sorted(json.dumps(row).encode() for row in rows):
        digest.update(line + b"\n")
    return digest.hexdigest()
