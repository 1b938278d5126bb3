"""Tokens of installs, and the starts of sessions."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.sequences.app_sequences import AppSequences
from jobs.sequences.sessions import begins_session
from jobs.sequences.tokenizer import Tokenizer
from jobs.sequences.vocabulary import Vocabulary
from jobs.training.prepared import prepare
from jobs.training.settings import TrainingSettings
from jobs.training_set.examples import Examples
from tests.made_up.ragged import rows_of

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
APPS = ("chat", "maps", "bank")  # tokens 3, 4, 5
# One user: app, and minutes since the install before.
INSTALLS = st.lists(st.tuples(st.sampled_from([*APPS, "never seen"]), st.integers(0, 60)), max_size=8)


def lists(*rows: list[str]) -> pa.ListArray:
    return pa.array(rows, pa.list_(pa.string()))


def times(*rows: list[float], unit: str = "us", zone: str | None = "UTC") -> pa.ListArray:
    """Minutes after noon."""
    found = [[NOON + timedelta(minutes=minutes) for minutes in row] for row in rows]
    return pa.array(found, pa.list_(pa.timestamp(unit, zone)))


def tokenizer(max_history: int = 128, reads_sessions: bool = True) -> Tokenizer:
    return Tokenizer(Vocabulary(APPS), max_history, reads_sessions)


def test_the_first_install_of_a_session_has_a_negative_token():
    tokens = tokenizer().encode(lists(["maps", "chat", "maps"], ["new one"]), times([0, 4, 40], [0]))
    assert rows_of(tokens) == [[-4, 3, -4], [-1]]
    assert tokens.values.dtype == np.int32


@pytest.mark.parametrize(("idle", "begins"), [(30.0, True), (29.99, False), (0.0, False)])
def test_a_session_ends_after_30_idle_minutes(idle, begins):
    assert begins_session(times([0, idle])).tolist() == [True, begins]


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Kolkata"])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_times_of_any_unit_and_zone_give_the_same_sessions(unit, zone):
    assert begins_session(times([0, 40], [], [1, 2], unit=unit, zone=zone)).tolist() == [
        True,
        True,
        True,
        False,
    ]


def test_an_app_without_a_time_is_an_error():
    with pytest.raises(ValueError, match="a time for each app, got 2 apps and 1 times"):
        tokenizer().encode(lists(["maps", "chat"]), times([0]))


def test_without_times_a_user_is_one_session():
    assert rows_of(tokenizer().encode(lists(["maps", "chat"], [], ["new one"]))) == [[4, 3], [], [1]]


def test_a_model_trained_without_times_reads_no_session():
    blind = tokenizer(reads_sessions=False)
    rows, moments = lists(["maps", "chat"]), times([0, 40])
    assert rows_of(blind.encode(rows, moments)) == [[4, 3]]
    installs = AppSequences.of_lists(rows, begins_session(moments))
    assert rows_of(blind.translate(installs)) == [[4, 3]]


def test_the_last_installs_of_a_long_sequence_are_kept_with_their_sessions():
    rows = lists(["chat", "maps", "bank"], ["maps"], ["bank", "bank", "chat", "maps"])
    tokens = tokenizer(2).encode(rows, times([0, 40, 41], [0], [0, 1, 2, 50]))
    assert rows_of(tokens) == [[-4, 5], [-4], [3, -4]]
    assert tokens.values.tolist() == [-4, 5, -4, 3, -4]  # and nothing else stays in memory


def test_a_slice_of_longer_columns_is_encoded_alone():
    rows, moments = lists(["chat"], ["maps", "chat"], ["maps"]), times([0], [0, 40], [0])
    assert rows_of(tokenizer().encode(rows[1:2], moments[1:2])) == [[-4, -3]]


@pytest.mark.parametrize(
    ("starts", "reads_sessions"),
    [
        ([True, False, True, False], True),
        ([True, True, True, False], False),  # most sessions are of a single install
        (None, False),  # not known
    ],
)
def test_a_recipe_reads_sessions_only_if_they_group_installs(starts, reads_sessions):
    installs = AppSequences.of_lists(lists(["maps"] * 4), None if starts is None else np.array(starts))
    examples = Examples(
        user_ids=np.array(["u1"], dtype=object),
        labels=np.array([1], np.int8),
        as_of=np.array(["2026-02-01"], "datetime64[us]"),
        installs=installs,
    )
    prepared = prepare(examples, TrainingSettings())
    found, data = prepared.tokenizer, prepared.users
    assert found.reads_sessions == reads_sessions
    assert data.tokens.begins_session.any() == reads_sessions


@given(st.lists(INSTALLS, max_size=6), st.integers(1, 5))
def test_lists_and_coded_sequences_give_the_tokens_of_a_plain_loop(users, max_history):
    rows = lists(*([app for app, _ in user] for user in users))
    moments = times(*(np.cumsum([minutes for _, minutes in user]).tolist() for user in users))
    expected = []
    for user in users:
        tokens = []
        for place, (app, idle) in enumerate(user):
            token = 3 + APPS.index(app) if app in APPS else 1
            tokens.append(-token if place == 0 or idle >= 30 else token)
        expected.append(tokens[-max_history:])
    assert rows_of(tokenizer(max_history).encode(rows, moments)) == expected
    coded = AppSequences.of_lists(rows, begins_session(moments))
    assert rows_of(tokenizer(max_history).translate(coded)) == expected
    assert coded.to_lists().to_pylist() == rows.to_pylist()
