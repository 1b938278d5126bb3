"""Split examples into training and test, with no user in both.

In   examples
Out  Split(train, test, "by a hash of the user id"), or split by time
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.errors import DataError
from jobs.training_set.examples import Examples

TEST_SHARE = 0.2


class SplitError(DataError):
    """Too few users, or users of one label only, for training or for the test."""


class NoSharedAppError(DataError):
    """No app was installed by two training users, so nothing learned from one holds for another."""


@dataclass(frozen=True)
class Split:
    """Examples by use; no user is in two parts."""

    train: Examples
    test: Examples
    method: str


def split_examples(examples: Examples, test_from: date | None) -> Split:
    """Split by user, or by time if a UTC day is given."""
    return split_by_user(examples) if test_from is None else split_by_time(examples, test_from)


def split_by_user(examples: Examples) -> Split:
    """Give 80% of the users to training and 20% to the test.

    Raises:
        SplitError: a part would lack one of the labels.
        NoSharedAppError: no two training users have an app in common.
    """
    part = assign_users(examples, (1.0 - TEST_SHARE, TEST_SHARE))
    return _checked(
        examples,
        Split(
            examples.take(np.flatnonzero(part == 0)),
            examples.take(np.flatnonzero(part == 1)),
            "by a hash of the user id",
        ),
    )


def split_by_time(examples: Examples, test_from: date) -> Split:
    """Train on labels with `as_of` before `test_from` (UTC), test on the later ones.

    A user with labels on both sides of that day is in the test only, so that no user is in both parts.

    Raises:
        SplitError: a part would lack one of the labels.
        NoSharedAppError: no two training users have an app in common.
    """
    is_test = examples.as_of >= np.datetime64(test_from)
    is_tested_user = np.isin(examples.user_ids.astype(str), examples.user_ids[is_test].astype(str))
    return _checked(
        examples,
        Split(
            examples.take(np.flatnonzero(~is_tested_user)),
            examples.take(np.flatnonzero(is_test)),
            f"by time: tested on labels as of {test_from} or later, and not trained on their users",
        ),
    )


def assign_users(examples: Examples, shares: Sequence[float]) -> NDArray[np.int64]:
    """Assign each example to a part, `(examples,)`, so that all examples of a user are in one.

    Users are divided into those who ever had label 1 and the others. Each group is ordered by a hash of the
    user id and cut. So the assignment depends on users and labels alone: runs with other seeds or sizes are
    measured on the same users, and even a small set has both labels in each part.

    Args:
        shares: of the users that each part gets, adding up to 1.

    Raises:
        SplitError: there are no examples.
    """
    if len(examples) == 0:
        raise SplitError("the training set has no example with an install: nothing to train on")
    encoded = pa.array(examples.user_ids, pa.string()).dictionary_encode()
    user_ids, user = encoded.dictionary, encoded.indices.to_numpy()
    was_positive = np.zeros(len(user_ids), bool)
    was_positive[user[examples.labels == 1]] = True
    part = np.zeros(len(user_ids), np.int64)
    for group in (np.flatnonzero(~was_positive), np.flatnonzero(was_positive)):
        part[group] = _cut(user_ids.take(pa.array(group)), shares)
    assigned: NDArray[np.int64] = part[user]
    return assigned


def hash_users(user_ids: pa.StringArray) -> NDArray[np.uint64]:
    """First eight bytes of the SHA-256 of each user id, `(users,)`: distinct for millions of users."""
    hashes = (hashlib.sha256(user_id.as_buffer()).digest()[:8] for user_id in user_ids)
    return np.fromiter(hashes, "S8", len(user_ids)).view(">u8").astype(np.uint64)


def have_an_app_in_common(examples: Examples) -> bool:
    """Return whether any app was installed by two users."""
    user = pa.array(examples.user_ids, pa.string()).dictionary_encode().indices.to_numpy()  # (examples,)
    installed_by = np.full(1 + len(examples.installs.apps), -1)  # a user of each app; -1: not yet seen
    first = 0
    for part in examples.installs.codes.chunks():
        apps = part.tokens
        users = np.repeat(user[first : first + len(part)], part.lengths)
        earlier = installed_by[apps]
        installed_by[apps] = users
        if ((earlier != -1) & (earlier != users)).any() or (installed_by[apps] != users).any():
            return True
        first += len(part)
    return False


def leave_out_of_test(split: Split, is_left_out: NDArray[np.bool_], why: str) -> Split:
    """Drop test examples, marked by `(test examples,)`; `why` becomes part of the split's description.

    Raises:
        SplitError: the rest of the test lacks one of the labels.
    """
    if not is_left_out.any():
        return split
    test = split.test.take(np.flatnonzero(~is_left_out))
    left_out = split.test.users - test.users
    if set(test.labels) != {0, 1}:
        raise SplitError(
            f"of {split.test.users} test users {test.users} are left without those that {why}, and a test "
            "needs users of both labels: take a training set with other users, or later labels"
        )
    return Split(split.train, test, f"{split.method}; {left_out:,} test users are left out that {why}")


def _cut(user_ids: pa.StringArray, shares: Sequence[float]) -> NDArray[np.int64]:
    """Part of each user; every part but the first gets at least one user while users remain."""
    rank = np.empty(len(user_ids), np.int64)
    rank[np.argsort(hash_users(user_ids), kind="stable")] = np.arange(len(rank))
    sizes = [max(1, round(len(user_ids) * share)) for share in shares[1:]]
    later = np.repeat(np.arange(1, len(shares)), sizes)[: len(user_ids)]
    by_rank = np.concatenate([later, np.zeros(len(user_ids) - len(later), np.int64)])
    return by_rank[rank]


def _checked(examples: Examples, split: Split) -> Split:
    for name, part in (("training", split.train), ("test", split.test)):
        if set(part.labels) != {0, 1}:
            raise SplitError(
                f"the {name} part of the split needs users of both labels, but {_describe(part)}; the whole "
                f"training set {_describe(examples)}: more users of both labels are needed"
            )
    if not have_an_app_in_common(split.train):
        apps = split.train.installs.apps
        raise NoSharedAppError(
            f"none of {len(apps)} apps, such as {apps[0].as_py()!r}, was installed by two of the "
            f"{split.train.users} training users: expected app ids that name an app, such as "
            "com.example.maps, and not a single install"
        )
    return split


def _describe(examples: Examples) -> str:
    positives = int(examples.labels.sum())
    return (
        f"has {examples.users} users with {positives} examples of label 1 "
        f"and {len(examples) - positives} of label 0"
    )
