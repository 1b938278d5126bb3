"""MLflow killed while a version is registered or pushed, and during an epoch of a training."""

import io
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

import mlflow
import pytest
from mlflow.store.artifact import http_artifact_repo

from model_registry.connect import connect_store, connect_tracking
from model_registry.publishing import push_version
from model_registry.tracking.model_tracking import CHALLENGER, HDFS_URI_TAG, READY, ModelTracking
from settings import Settings
from tests.faults.conftest import FULL
from tests.faults.harness.hold import Hold, holding
from tests.faults.harness.scored_days import log_run
from tests.faults.harness.services import Services
from tests.made_up.examples import made_up_examples, write_training_set
from tests.made_up.lost_answer import losing_one_answer
from tests.made_up.tiny_model import save_tiny_model
from tests.real_cluster import Cluster

pytestmark = pytest.mark.fault(11)

SECONDS_AWAY = 360 if FULL else 0  # once the training has noticed


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_tiny_model(tmp_path_factory.mktemp("model") / "saved_model")
    (folder / "assets.extra" / "large.bin").write_bytes(b"x" * 1_000_000)
    return folder


@pytest.fixture
def settings(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """With a registered model for this test alone."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", cluster.mlflow_uri)
    mlflow.set_tracking_uri(cluster.mlflow_uri)
    return cluster.settings.model_copy(update={"model_name": f"away_{uuid4().hex}"})


def register(settings: Settings, run_id: str) -> None:
    connect_tracking(settings).register(run_id)


def check_one_version(settings: Settings, run_id: str) -> int:
    """Check that the run has one version, which is whole; return its number."""
    (version,) = mlflow.MlflowClient().search_model_versions(f"name='{settings.model_name}'")
    assert (version.run_id, version.status) == (run_id, READY)
    assert connect_tracking(settings).register(run_id).version == int(version.version)
    return int(version.version)


@contextmanager
def holding_mid_artifact() -> Iterator[Hold]:
    """Hold the upload of the first large artifact after some of its bytes."""
    hold = Hold()

    class HeldFile(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 100_000:
                hold.stand()
            return super().read(-1 if size is None else size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_artifact_repo, "open", HeldFile, raising=False)
        try:
            yield hold
        finally:
            hold.release()


POINTS = {
    "before the version is made": lambda: holding(mlflow, "register_model"),
    "in the middle of an artifact": holding_mid_artifact,
    "after the version is made": lambda: holding(mlflow, "register_model", "after"),
}


@pytest.mark.parametrize("point", POINTS if FULL else [*POINTS][1:])
def test_a_registration_in_which_mlflow_was_killed_leaves_one_version(
    services: Services, settings: Settings, saved_model: Path, point: str
) -> None:
    run_id = log_run(saved_model)
    services.kill_during("mlflow", POINTS[point](), partial(register, settings, run_id))
    check_one_version(settings, run_id)


@pytest.mark.quick
def test_a_registration_whose_answer_was_lost_leaves_one_version(
    cluster: Cluster, settings: Settings, saved_model: Path
) -> None:
    run_id = log_run(saved_model)
    with losing_one_answer(cluster.settings.ports.mlflow, rb"POST \S*/model-versions/create ") as proxy:
        proxy.armed.set()
        through = settings.model_copy(update={"mlflow_uri": f"http://127.0.0.1:{proxy.port}"})
        register(through, run_id)
        assert proxy.lost.is_set()
    connect_tracking(settings)  # the process's MLflow is the real one again
    check_one_version(settings, run_id)


@pytest.mark.parametrize("point", ["download_saved_model", "mark_pushed"] if FULL else ["mark_pushed"])
def test_a_push_in_which_mlflow_was_killed_is_completed_by_the_next(
    services: Services, settings: Settings, saved_model: Path, point: str
) -> None:
    run_id = log_run(saved_model)
    register(settings, run_id)
    number = check_one_version(settings, run_id)
    store = connect_store(settings)

    def push() -> None:
        push_version(connect_tracking(settings), store, number)

    services.kill_during("mlflow", holding(ModelTracking, point), push)
    store.verify(connect_tracking(settings).pushed(number))
    version = mlflow.MlflowClient().get_model_version_by_alias(settings.model_name, CHALLENGER)
    assert (int(version.version), HDFS_URI_TAG in version.tags) == (number, True)


SMALL = {
    "encoder": {"hidden_dim": 8, "num_layers": 1, "num_heads": 2, "intermediate_dim": 16},
    "training": {"max_epochs": 3, "batch_size": 32},
    "recipe": {"enough_held_out": 80},  # two folds of four
}


def training_command(training_set: Path, tracking_uri: str, experiment: str) -> list[str]:
    options = {
        f"--{group}.{name}".replace("_", "-"): value
        for group, values in SMALL.items()
        for name, value in values.items()
    }
    options |= {"--training-set": training_set, "--tracking-uri": tracking_uri, "--experiment": experiment}
    words = [str(word) for option in options.items() for word in option]
    return [sys.executable, "-m", "jobs.train_encoder", *words]


def test_a_training_ends_with_all_metrics_when_mlflow_is_killed_during_an_epoch(
    cluster: Cluster, services: Services, settings: Settings, tmp_path: Path
) -> None:
    write_training_set(made_up_examples(200), tmp_path / "set")
    experiment = settings.model_name

    def await_line(words: str) -> None:
        assert training.stdout is not None
        assert any(words in line for line in training.stdout), f"the training ended without {words!r}"

    with subprocess.Popen(
        training_command(tmp_path / "set", cluster.mlflow_uri, experiment),
        env=cluster.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as training:
        await_line("fold 1 of 2, epoch 1:")
        training.send_signal(signal.SIGSTOP)
        with services.killed("mlflow"):
            training.send_signal(signal.SIGCONT)
            await_line("metrics are sent later, the training goes on")
            time.sleep(SECONDS_AWAY)
        printed, _ = training.communicate()
    assert training.returncode == 0, printed
    (run,) = mlflow.search_runs(experiment_names=[experiment], output_format="list")
    assert run.info.status == "FINISHED"
    client = mlflow.MlflowClient()
    for part in ("fold_1_of_2", "fold_2_of_2"):
        history = client.get_metric_history(run.info.run_id, f"{part}_training_loss")
        assert sorted(point.step for point in history) == [1, 2, 3]
    assert "# Model card" in mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/model_card.md")
