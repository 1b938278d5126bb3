"""The whole job, against MLflow on a file."""

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import keras
import mlflow
import pytest
import tensorflow as tf
from mlflow.entities import Run

from jobs.train_encoder import SettingError, main
from jobs.training.dataset import Examples, SplitError
from tests.unit.training.synthetic import FACTS, made_up_examples, write_training_set

SMALL = {"hidden_dim": 8, "num_layers": 1, "num_heads": 2, "intermediate_dim": 16}


@pytest.fixture(scope="module")
def tracking_uri(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment("unit", artifact_location=(folder / "artifacts").as_uri())
    yield mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(before)


def run_main(examples: Examples, folder: Path, tracking_uri: str, **settings: int) -> None:
    write_training_set(examples, folder)
    main(str(folder), tracking_uri, experiment="unit", model_name="small", **{**SMALL, **settings})


@pytest.fixture(scope="module")
def printed(tracking_uri, tmp_path_factory) -> list[str]:
    """Lines that one training on a hundred users prints."""
    with redirect_stdout(StringIO()) as output:
        run_main(made_up_examples(100), tmp_path_factory.mktemp("set"), tracking_uri, max_epochs=2)
    return output.getvalue().splitlines()


@pytest.fixture(scope="module")
def result(printed) -> dict[str, Any]:
    return json.loads(printed[-1])


@pytest.fixture(scope="module")
def run(result) -> Run:
    return mlflow.get_run(result["run_id"])


def test_each_epoch_prints_one_line(printed):
    assert sum(line.startswith("epoch ") for line in printed) == 2


def test_the_last_line_holds_the_runs_metrics_on_held_out_users(result, run):
    assert run.info.status == "FINISHED"
    assert result["held_out_users"] == 20
    assert run.data.metrics["test_auc"] == result["auc"]
    assert run.data.metrics["baseline_test_auc"] == result["baseline_auc"]
    others = {"test_pr_auc", "test_log_loss", "test_brier", "baseline_test_brier", "best_epoch"}
    assert others <= set(run.data.metrics)


def test_the_run_holds_settings_and_each_epoch(result, run):
    assert run.data.params.items() >= {"hidden_dim": "8", "seed": "7", "train_users": "60"}.items()
    history = mlflow.MlflowClient().get_metric_history(result["run_id"], "validation_auc")
    assert [metric.step for metric in history] == [1, 2]


def test_the_run_says_which_data_it_is_from(run):
    (logged,) = run.inputs.dataset_inputs
    assert logged.dataset.name == "risk.install_sessions"
    assert json.loads(logged.dataset.source)["tags"].items() >= FACTS.items()
    assert run.data.tags["training_set.snapshot_id"] == FACTS["snapshot_id"]
    assert run.data.tags["model_name"] == "small"


def test_the_run_holds_models_and_curves(result, tmp_path):
    mlflow.artifacts.download_artifacts(run_id=result["run_id"], dst_path=str(tmp_path))
    pictures = {path.name for path in (tmp_path / "curves").iterdir()}
    assert pictures == {"roc.png", "precision_recall.png", "calibration.png", "learning_curve.png"}
    assert keras.models.load_model(tmp_path / "encoder.keras").output_shape == (None,)
    assert "score_token_ids" in tf.saved_model.load(str(tmp_path / "saved_model")).signatures


def test_labels_of_one_kind_fail_the_run_with_the_reason(tracking_uri, tmp_path):
    examples = made_up_examples(100)
    examples.labels[:] = 0
    with pytest.raises(SplitError, match="0 examples of label 1"):
        run_main(examples, tmp_path, tracking_uri)


def test_a_size_that_cannot_work_is_refused_before_any_data_is_read(tracking_uri):
    with pytest.raises(SettingError, match="num_heads must divide hidden_dim"):
        main("hdfs://nowhere/training_set", tracking_uri, num_heads=5)
