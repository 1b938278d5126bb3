"""The gate before a version becomes champion; comparisons are MLflow runs in a file."""

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient

from model_registry import __main__ as command_line
from model_registry.errors import AliasMissingError, PromotionRefusedError
from model_registry.gate import Limits, check_promotion
from model_registry.tracking.model_tracking import ModelTracking

MODEL = "risk_encoder"
EQUAL = {
    "challenger_auc": 0.8731,
    "champion_auc": 0.8731,
    "auc_difference": 0.0,
    "auc_difference_low": -0.004,
    "auc_difference_high": 0.004,
    "challenger_ece": 0.02,
    "challenger_ece_by_chance": 0.031,
    "challenger_users_known": 1.0,
}
WORSE = {
    "challenger_auc": 0.8512,
    "auc_difference": -0.0219,
    "auc_difference_low": -0.0301,
    "auc_difference_high": -0.0137,
}


@pytest.fixture(scope="module")
def tracking_uri(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment("comparisons", artifact_location=(folder / "artifacts").as_uri())
    mlflow.set_experiment("comparisons")
    yield mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(before)


@pytest.fixture
def tracking(tracking_uri):
    """Versions 1 (the champion) and 2 of a registered model for this test alone."""
    tracking = ModelTracking(tracking_uri, MODEL)
    client = MlflowClient()
    client.create_registered_model(MODEL)
    for number in (1, 2):
        add_version(number)
    tracking.mark_champion(1)
    yield tracking
    client.delete_registered_model(MODEL)


def add_version(number: int) -> None:
    tags = {
        "sha256": sha256(number),
        "hdfs_uri": f"hdfs://127.0.0.1:8020/models/{MODEL}/{MODEL}-v{number}-{sha256(number)[:12]}",
    }
    MlflowClient().create_model_version(MODEL, source="file:///nowhere", tags=tags)


def sha256(number: int) -> str:
    """A hash that no earlier test used, since the comparisons of earlier tests are still there."""
    return f"{number}{MlflowClient().get_registered_model(MODEL).creation_timestamp}".ljust(64, "0")


def log_comparison(
    challenger: int = 2, champion: int = 1, status: str = "FINISHED", tags: Any = None, **figures: float
) -> str:
    """A run as far as the gate reads it."""
    with mlflow.start_run() as run:
        mlflow.set_tags(
            {
                "purpose": "comparison",
                "model_name": MODEL,
                "challenger": challenger,
                "challenger_sha256": sha256(challenger),
                "champion": champion,
                "champion_sha256": sha256(champion),
                **(tags or {}),
            }
        )
        mlflow.log_metrics({**EQUAL, **figures})
    MlflowClient().set_terminated(run.info.run_id, status)
    return run.info.run_id


def test_the_first_champion_needs_no_comparison(tracking):
    MlflowClient().delete_registered_model_alias(MODEL, "champion")
    with pytest.raises(AliasMissingError):
        tracking.champion()
    assert check_promotion(tracking, 2) == []


def test_the_champion_may_be_promoted_again(tracking):
    assert check_promotion(tracking, 1) == []


def test_a_version_that_was_not_compared_with_the_champion_is_refused(tracking):
    with pytest.raises(PromotionRefusedError, match=r"compare_models --challenger 2.*--force"):
        check_promotion(tracking, 2)


@pytest.mark.parametrize(
    "unlike",
    [
        {"challenger": 1, "champion": 2},  # the other way round
        {"status": "FAILED"},
        {"status": "RUNNING"},
        {"tags": {"purpose": "training"}},
        {"tags": {"model_name": "another_model"}},
        {"tags": {"challenger_sha256": "f" * 64}},  # version 2 of a model of this name that was deleted
        {"tags": {"champion_sha256": "f" * 64}},
    ],
)
def test_a_comparison_of_anything_else_does_not_count(tracking, unlike):
    log_comparison(**unlike)
    assert tracking.latest_comparison(2, 1) is None


def test_an_equal_challenger_passes(tracking):
    log_comparison()
    assert check_promotion(tracking, 2) == []


def test_a_worse_challenger_is_refused_with_the_figures_and_not_retried(tracking):
    run_id = log_comparison(**WORSE)
    with pytest.raises(PromotionRefusedError) as refused:
        check_promotion(tracking, 2)
    message = str(refused.value)
    assert "AUC 0.8512 against the champion's 0.8731: -0.0219 (95% -0.0301 to -0.0137)" in message
    assert "allowed is -0.0050" in message
    assert run_id in message
    assert refused.value.retryable is False


@pytest.mark.parametrize(
    ("figures", "refused"),
    [
        ({"auc_difference": -0.005}, False),
        ({"auc_difference": -0.0051}, True),
        ({"auc_difference": float("nan")}, True),
        ({"challenger_ece": 0.05}, False),
        ({"challenger_ece": 0.0501}, True),
        ({"challenger_ece": float("nan")}, True),
        # So few users that even true probabilities have this error by chance.
        ({"challenger_ece": 0.08, "challenger_ece_by_chance": 0.09}, False),
        ({"challenger_ece": 0.1, "challenger_ece_by_chance": 0.09}, True),
        ({"challenger_users_known": 0.0}, True),
    ],
)
def test_a_figure_at_its_limit_passes_and_nan_does_not(tracking, figures, refused):
    log_comparison(**figures)
    assert bool(check_promotion(tracking, 2, force=True)) is refused


def test_limits_are_settings(tracking):
    log_comparison(**WORSE, challenger_ece=0.04)
    assert check_promotion(tracking, 2, Limits(auc_margin=0.03)) == []
    with pytest.raises(PromotionRefusedError, match=r"calibration error 0\.0400, allowed is 0\.0100"):
        check_promotion(tracking, 2, Limits(auc_margin=0.03, max_ece=0.01))


def test_the_latest_comparison_counts(tracking):
    log_comparison(**WORSE)
    later = log_comparison()
    assert tracking.latest_comparison(2, 1).run_id == later
    assert check_promotion(tracking, 2) == []


def test_force_overrules_and_is_recorded_with_the_figures(tracking):
    log_comparison(**WORSE)
    tracking.mark_promoted(2, "ana", check_promotion(tracking, 2, force=True))
    tags = MlflowClient().get_model_version(MODEL, "2").tags
    assert tags["promoted_by"] == "ana"
    assert "-0.0219 (95% -0.0301 to -0.0137)" in tags["forced_over"]
    age = datetime.now(UTC) - datetime.fromisoformat(tags["promoted_at"])
    assert timedelta(0) <= age < timedelta(hours=1)


@pytest.fixture
def promote(tracking_uri, monkeypatch, capsys):
    """Run the command, check its exit status and return its last line."""

    def run(*options: str, status: int) -> str:
        monkeypatch.setenv("RISK_MLFLOW_URI", tracking_uri)
        monkeypatch.setenv("RISK_MODEL_NAME", MODEL)
        monkeypatch.setenv("RISK_MODELS_ROOT", "/models")
        monkeypatch.setenv("RISK_WEBHDFS_URI", "http://127.0.0.1:9")  # discard: nothing answers
        monkeypatch.setattr(sys, "argv", ["model_registry", "promote", "--version", "2", *options])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        assert ended.value.code == status
        return capsys.readouterr().err.splitlines()[-1]

    return run


def test_the_command_refuses_in_one_line_before_it_touches_hdfs(tracking, promote):
    log_comparison(**WORSE)
    assert "model_registry failed: PromotionRefusedError: expected" in promote(status=65)
    assert tracking.champion() == 1


@pytest.mark.usefixtures("tracking")
def test_the_commands_limits_are_settings(promote, monkeypatch):
    log_comparison(**WORSE, challenger_ece=0.04)
    monkeypatch.setenv("RISK_PROMOTION_AUC_MARGIN", "0.1")
    assert "WebHdfsDownError" in promote(status=1)  # past the gate
    monkeypatch.setenv("RISK_PROMOTION_MAX_ECE", "0.001")
    assert "PromotionRefusedError" in promote(status=65)


def test_force_passes_the_gate_and_records_nothing_while_the_version_cannot_be_read(tracking, promote):
    log_comparison(**WORSE)
    assert "WebHdfsDownError" in promote("--force", status=1)
    assert "promoted_by" not in MlflowClient().get_model_version(MODEL, "2").tags
    assert tracking.champion() == 1
