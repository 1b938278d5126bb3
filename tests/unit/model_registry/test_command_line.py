"""The command line's verbs, its table, and how it ends."""

from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from model_registry import __main__ as command_line
from model_registry.errors import AliasMissingError, MlflowDownError
from model_registry.table import render
from model_registry.tracking.model_tracking import VersionRow

ROW = VersionRow(
    version=12,
    aliases=("challenger", "champion"),
    sha256="0123456789ab" + "c" * 52,
    hdfs_uri="hdfs://127.0.0.1:8020/models/risk_encoder/risk_encoder-v12-0123456789ab",
    auc=0.87312,
    baseline_auc=0.861,
    run_id="5e1f",
    created_at=datetime(2026, 1, 31, 2, 10, 5, tzinfo=UTC),
)
BARE_ROW = VersionRow(3, (), None, None, None, None, "77aa", datetime(2026, 1, 30, tzinfo=UTC))


@pytest.mark.parametrize("verb", ["register", "push", "promote", "list", "verify", "pull", "pin"])
def test_every_verb_explains_itself(verb):
    shown = CliRunner().invoke(command_line.app, [verb, "--help"])
    assert shown.exit_code == 0
    assert verb in shown.output


@pytest.mark.parametrize(
    "arguments", [["push"], ["push", "--version", "0"], ["pin", "--version", "x"], ["nod"]]
)
def test_wrong_options_exit_with_2(arguments):
    assert CliRunner().invoke(command_line.app, arguments).exit_code == 2


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AliasMissingError("alias champion", "none", "promote\none"), 65),
        (MlflowDownError("a server", "nothing", "start it"), 1),
    ],
)
def test_a_failure_ends_in_one_line_and_says_whether_a_retry_helps(monkeypatch, capsys, error, status):
    def fail(**_):
        raise error

    monkeypatch.setattr(command_line, "app", fail)
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == status
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"model_registry failed: {type(error).__name__}: expected a")


def test_the_table_aligns_versions_and_marks_what_is_missing():
    heading, full, bare = render([ROW, BARE_ROW]).splitlines()
    assert full.split() == [
        "12",
        "challenger,champion",
        "0123456789ab",
        "0.8731",
        "0.8610",
        "2026-01-31",
        "02:10:05",
        "5e1f",
        "hdfs://127.0.0.1:8020/models/risk_encoder/risk_encoder-v12-0123456789ab",
    ]
    assert bare.split() == ["3", "-", "-", "-", "-", "2026-01-30", "00:00:00", "77aa", "-"]
    assert heading.index("run_id") == full.index("5e1f") == bare.index("77aa")


def test_an_empty_registry_says_what_to_do():
    assert "register --run-id" in render([])
