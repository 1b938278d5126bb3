"""One user scored and explained, with a tiny real SavedModel."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.errors import WrongArgumentsError
from jobs.explain_user import (
    ExplainedInstall,
    NoSuchUserError,
    UnreadableSequencesError,
    explain_user,
    main,
    read_installs_of,
)
from jobs.scoring.engine import load
from tests.made_up.tiny_model import plain_contributions, plain_logit, save_tiny_model, sigmoid

NOON, HOUR = datetime(2026, 1, 31, 12, tzinfo=UTC), timedelta(hours=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def sequences(tmp_path):
    """Two files of one day, as Spark writes them; u1 has two rows."""
    day = tmp_path / "sequences" / "ds=2026-01-31"
    day.mkdir(parents=True)
    rows = [[("u1", ["chat"]), ("u2", ["bank"])], [("u1", ["maps", "chat"])]]
    for number, part in enumerate(rows):
        columns = {
            "user_id": [user for user, _ in part],
            "app_ids": [apps for _, apps in part],
            "event_times": [[NOON, NOON + HOUR][: len(apps)] for _, apps in part],
        }
        pq.write_table(pa.table(columns), day / f"part-{number}.parquet")
    return tmp_path / "sequences"


def test_installs_come_with_their_contributions_largest_first(folder):
    explained = explain_user(load(folder), ["chat", "bank", "qzx"])
    tokens = [3, 5, 1]
    chat, bank, unknown = map(pytest.approx, plain_contributions(tokens))
    assert explained.logit == pytest.approx(plain_logit(tokens))
    assert explained.risk_score == pytest.approx(sigmoid(plain_logit(tokens)))
    assert explained.baseline_logit == -2.0
    assert explained.installs == [
        ExplainedInstall(2, "bank", bank, unknown=False),
        ExplainedInstall(1, "chat", chat, unknown=False),
        ExplainedInstall(3, "qzx", unknown, unknown=True),
    ]


def test_installs_that_the_model_does_not_read_are_listed_with_0(folder):
    explained = explain_user(load(folder), ["qzx", "maps", "chat", "chat", "bank", "bank"])
    assert explained.installs[-2:] == [
        ExplainedInstall(1, "qzx", 0.0, unknown=True),
        ExplainedInstall(2, "maps", 0.0, unknown=False),
    ]


def test_a_users_longest_row_is_read(sequences):
    assert read_installs_of("u1", sequences) == (["maps", "chat"], [NOON, NOON + HOUR])


def test_files_without_times_are_read(tmp_path):
    pq.write_table(pa.table({"user_id": ["u1"], "app_ids": [["maps"]]}), tmp_path / "own.parquet")
    assert read_installs_of("u1", tmp_path / "own.parquet") == (["maps"], None)


def test_times_reach_the_model(folder):
    model = load(folder)
    seen = []
    model.predict = lambda token_ids: seen.append(token_ids.tolist()) or (np.zeros(1), np.zeros(1))
    explain_user(model, ["maps", "chat"], [NOON, NOON + HOUR])
    explain_user(model, ["maps", "chat"])
    assert seen == [[[-4, -3]], [[4, 3]]]


def test_a_single_file_is_read(sequences):
    assert read_installs_of("u2", sequences / "ds=2026-01-31" / "part-0.parquet") == (["bank"], [NOON])


def test_an_unknown_user_is_an_error_that_says_how_many_there_are(sequences):
    with pytest.raises(
        NoSuchUserError, match=r"no user 'u9' with app_ids in .*sequences, which holds 2 users"
    ):
        read_installs_of("u9", sequences)


def test_a_row_without_app_ids_is_skipped(tmp_path):
    rows = {"user_id": ["u1", "u1", "u2"], "app_ids": [None, ["maps"], None]}
    pq.write_table(pa.table(rows), tmp_path / "own.parquet")
    assert read_installs_of("u1", tmp_path / "own.parquet") == (["maps"], None)
    with pytest.raises(NoSuchUserError, match="no user 'u2' with app_ids"):
        read_installs_of("u2", tmp_path / "own.parquet")


def test_files_without_the_columns_are_refused(tmp_path):
    pq.write_table(pa.table({"user": ["u1"]}), tmp_path / "other.parquet")
    with pytest.raises(UnreadableSequencesError, match="user_id and app_ids"):
        read_installs_of("u1", tmp_path / "other.parquet")
    with pytest.raises(UnreadableSequencesError, match="nowhere"):
        read_installs_of("u1", tmp_path / "nowhere")


def test_the_command_prints_a_table(folder, sequences, capsys):
    main(model=folder, user="u1", sequences=sequences)
    assert capsys.readouterr().out.splitlines() == [
        "user u1: risk score 0.4378, logit -0.2500",
        "baseline -2.0000, and what each install adds:",
        "  position  app_id  contribution",
        "         1  maps         +1.0000",
        "         2  chat         +0.7500",
    ]


def test_apps_can_be_given_on_the_command_line_and_unknown_ones_are_marked(folder, capsys):
    main(model=folder, apps="maps, qzx")
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "         1  maps                +1.0000",
        "         2  qzx (unknown)       +0.2500",
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "--model or --model-version"),
        ({"model": "m", "model_version": 1}, "--model or --model-version"),
        ({"model": "m"}, "--apps, or --user and --sequences"),
        ({"model": "m", "user": "u1"}, "--apps, or --user and --sequences"),
        ({"model": "m", "sequences": "s"}, "--apps, or --user and --sequences"),
        ({"model": "m", "apps": "maps", "sequences": "s", "user": "u1"}, "--apps, or --user and --sequences"),
        ({"model": Path("m"), "apps": " , "}, "at least one app"),
        ({"model": Path("nowhere"), "apps": "maps"}, "none at nowhere"),
    ],
)
def test_missing_or_contradictory_options_are_refused(arguments, expected):
    with pytest.raises(WrongArgumentsError, match=expected):
        main(**arguments)
