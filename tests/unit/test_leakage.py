"""An app that gives labels away is worth nothing to a model unless it was known at `as_of`.

In   sessions of users who install "giveaway" if and only if their label is 1
Out  the training set that the job makes of them, and the AUC of a baseline on its test users
"""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from jobs.evaluation.baseline import fit_baseline, predict_baseline
from jobs.lake.labelled_sequences import build_examples
from jobs.training_set.reader import read_training_set
from jobs.training_set.splits import split_by_user
from tests.made_up.landing_day import land, uri
from tests.made_up.schemas import LABELS, SESSIONS

USERS = 400
APPS = 20  # those with high numbers are a little more likely for users of label 1
AS_OF = datetime(2026, 1, 20, 12, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def made_up_users():
    """(user, label, six installs of the hour before as_of)"""
    random = np.random.default_rng(0)
    for number in range(USERS):
        label = int(random.random() < 0.4)
        leaning = 1.0 + label * np.linspace(0.0, 1.5, APPS)
        apps = random.choice(APPS, 6, p=leaning / leaning.sum())
        installs = [(AS_OF - (55 - 10 * place) * MINUTE, f"app {app}") for place, app in enumerate(apps)]
        yield f"u{number}", label, installs


def session(user, number, landing_day, installs):
    """A row of install_sessions."""
    times, apps = map(list, zip(*sorted(installs), strict=True))
    return (user, number, times[0], times[-1], apps, times, landing_day)


def sessions_with(planted, lands_days_later, in_the_same_session):
    """Each user's session, landed on the day of as_of; `planted` is in it or in a session of its own."""
    for user, label, installs in made_up_users():
        giveaway = [] if planted is None or label == 0 else [(AS_OF + planted, "giveaway")]
        yield session(user, 0, AS_OF.date(), installs + (giveaway if in_the_same_session else []))
        if giveaway and not in_the_same_session:
            yield session(user, 1, AS_OF.date() + lands_days_later * DAY, giveaway)


@pytest.fixture(scope="module")
def learn(spark, tmp_path_factory):
    """Build the training set with something planted; return its examples and the AUC on its test users."""
    labels = spark.createDataFrame([(user, label, AS_OF) for user, label, _ in made_up_users()], LABELS)

    def run(planted=None, lands_days_later=0, in_the_same_session=False, is_history=False):
        folder = tmp_path_factory.mktemp("leakage") / "training_set"
        rows = list(sessions_with(planted, lands_days_later, in_the_same_session))
        sessions = spark.createDataFrame(rows, SESSIONS)
        history_days = [AS_OF.date() + lands_days_later * DAY] if is_history else []
        built = build_examples(sessions, labels, 7, max_sequence_length=128, history_days=history_days)
        built.write.parquet(uri(folder))
        land(folder, _training_set__json="{}")
        examples = read_training_set(folder).examples
        split = split_by_user(examples)
        scores = predict_baseline(fit_baseline(split.train, max_order=1, c=1.0), split.test)
        app_ids = examples.installs.to_lists().to_pylist()
        seen = list(zip(examples.user_ids, examples.labels, app_ids, strict=True))
        return seen, roc_auc_score(split.test.labels, scores)

    return run


@pytest.fixture(scope="module")
def without(learn):
    return learn()


@pytest.mark.parametrize(
    "future",
    [
        pytest.param({"planted": HOUR}, id="installed after as_of"),
        pytest.param(
            {"planted": HOUR, "in_the_same_session": True},
            id="installed after as_of in a session that began before",
        ),
        pytest.param({"planted": -HOUR, "lands_days_later": 1}, id="landed on a later day"),
        pytest.param(
            {"planted": HOUR, "lands_days_later": 1, "is_history": True},
            id="installed after as_of, in a history that landed later",
        ),
    ],
)
def test_an_app_that_was_not_known_at_as_of_changes_nothing_though_it_gives_labels_away(
    learn, without, future
):
    examples, auc = learn(**future)
    assert examples == without[0]
    assert auc == without[1]


@pytest.mark.parametrize(
    "known",
    [
        pytest.param({}, id="landed on the day"),
        pytest.param({"lands_days_later": 1, "is_history": True}, id="in a history that landed later"),
    ],
)
def test_the_same_app_known_an_hour_before_as_of_ranks_every_user_right(learn, without, known):
    """Only its time keeps the app out in the test above."""
    examples, auc = learn(planted=-HOUR, **known)
    assert len(examples) == len(without[0]) == USERS
    assert without[1] < 0.8
    assert auc == 1.0
