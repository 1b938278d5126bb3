"""A training survives outages of MLflow, and what was killed goes on in the same MLflow run."""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import mlflow
import pytest
import requests

from jobs.train_encoder import Arguments, main
from jobs.training import mlflow_run
from jobs.training.fit.checkpoint import CHECKPOINT_FILE
from jobs.training.mlflow_run import EpochMetrics, insist, training_run
from model_registry.errors import MlflowDownError
from tests.made_up.examples import made_up_examples, write_training_set

pytestmark = pytest.mark.slow

SMALL = {
    "encoder": {"hidden_dim": 8, "num_layers": 1, "num_heads": 2, "intermediate_dim": 16},
    "training": {"max_epochs": 2, "batch_size": 32},
    "recipe": {"enough_held_out": 80},  # two folds of four
}
EXPERIMENT = "outages"


@pytest.fixture(autouse=True)
def tracking_uri_of_before() -> Iterator[None]:
    before = mlflow.get_tracking_uri()
    yield
    mlflow.set_tracking_uri(before)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """One try for each call, of seconds instead of a minute; not fewer, since the tests share the machine."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")


@pytest.fixture
def training_set(tmp_path: Path) -> Path:
    write_training_set(made_up_examples(200), tmp_path / "set")
    return tmp_path / "set"


@pytest.fixture
def file_store(tmp_path: Path) -> str:
    """MLflow on a file, with the experiment."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    mlflow.create_experiment(EXPERIMENT, artifact_location=(tmp_path / "artifacts").as_uri())
    return uri


class Server:
    """An MLflow server that can be frozen."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "mlflow", "server", "--port", port, "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{folder}/server.db"]
        command += ["--artifacts-destination", str(folder / "artifacts")]
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self.log = folder / "server.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def wait(self) -> None:
        for _ in range(240):
            try:
                requests.get(f"{self.url}/health", timeout=5).raise_for_status()
                return
            except requests.RequestException:
                time.sleep(0.5)
        pytest.fail(self.log.read_text()[-2000:])

    def freeze(self) -> None:
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.wait()
    yield server
    server.kill()


class Printed(StringIO):
    """What the job prints; `words` in it have a consequence."""

    def __init__(self, words: str, consequence: Callable[[], None]) -> None:
        super().__init__()
        self.words = words
        self.consequence = consequence

    def write(self, text: str) -> int:
        if self.words in text:
            self.consequence()
        return super().write(text)


class Warned(logging.Handler):
    """The job's warnings about MLflow; `words` in one have a consequence."""

    def __init__(self, words: str, consequence: Callable[[], object]) -> None:
        super().__init__()
        self.words = words
        self.consequence = consequence
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        if self.words in record.getMessage():
            self.consequence()

    def __enter__(self) -> "Warned":
        mlflow_run.log.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        mlflow_run.log.removeHandler(self)


def steps_of(metric: str, run_id: str) -> list[int]:
    return sorted({point.step for point in mlflow.MlflowClient().get_metric_history(run_id, metric)})


@pytest.mark.usefixtures("impatient")
def test_an_outage_from_the_first_epoch_to_the_end_of_the_training_loses_nothing(server, training_set):
    arguments = Arguments(
        training_set=str(training_set), tracking_uri=server.url, experiment=EXPERIMENT, **SMALL
    )
    frozen_early = redirect_stdout(Printed("fold 1 of 2, epoch 1:", server.freeze))
    with frozen_early, Warned("the next attempt is in", server.thaw) as warned:
        main(arguments)
    assert [line.split(":")[0] for line in warned.said] == [
        "metrics are sent later, the training goes on",
        "the next attempt is in 1 s",
    ]
    (run,) = mlflow.search_runs(experiment_names=[EXPERIMENT], output_format="list")
    assert run.info.status == "FINISHED"
    for part in ("fold_1_of_2", "fold_2_of_2"):
        assert steps_of(f"{part}_training_loss", run.info.run_id) == [1, 2]
    assert "# Model card" in mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/model_card.md")


@pytest.mark.usefixtures("impatient")
def test_a_silent_mlflow_delays_the_metrics_of_an_epoch_and_raises_nothing(caplog, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mlflow.set_tracking_uri(f"http://127.0.0.1:{silent.getsockname()[1]}")
        metrics = EpochMetrics("0" * 32)
        metrics.add({"training_loss": 0.5}, 1)
        assert "the training goes on" in caplog.text
        with pytest.raises(MlflowDownError):
            metrics.send()


@pytest.mark.usefixtures("impatient")
def test_an_mlflow_that_stays_away_is_given_up_in_the_end(monkeypatch):
    monkeypatch.setattr(mlflow_run, "LONGEST_OUTAGE_SECONDS", 0)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        mlflow.set_tracking_uri(f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(MlflowDownError, match="log the results"):
            insist("log the results", lambda: mlflow.MlflowClient().set_terminated("0" * 32))


def start_training(
    training_set: Path, tracking_uri: str, checkpoints: Path, last_line: str
) -> subprocess.Popen:
    """The job as a process, after it has printed `last_line`."""
    options = {
        f"--{group}.{name}".replace("_", "-"): value
        for group, values in SMALL.items()
        for name, value in values.items()
    }
    options |= {"--training-set": training_set, "--tracking-uri": tracking_uri}
    options |= {"--experiment": EXPERIMENT, "--checkpoint-folder": checkpoints}
    words = [str(word) for option in options.items() for word in option]
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs.train_encoder", *words], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert any(line.startswith(last_line) for line in process.stdout)
    return process


def test_a_training_that_was_killed_goes_on_and_is_one_finished_mlflow_run(
    training_set, file_store, tmp_path
):
    checkpoints = tmp_path / "checkpoints"

    killed = start_training(training_set, file_store, checkpoints, "fold 1 of 2, epoch 2")
    killed.kill()
    killed.communicate()
    (first,) = mlflow.search_runs(experiment_names=[EXPERIMENT], output_format="list")
    assert first.info.status == "RUNNING"
    assert (checkpoints / "fold_1_of_2" / CHECKPOINT_FILE).exists()

    with redirect_stdout(StringIO()) as printed:
        main(
            Arguments(
                training_set=str(training_set),
                tracking_uri=file_store,
                experiment=EXPERIMENT,
                checkpoint_folder=checkpoints,
                **SMALL,
            )
        )
    assert "fold 1 of 2, epoch 1:" not in printed.getvalue()
    (last,) = mlflow.search_runs(experiment_names=[EXPERIMENT], output_format="list")
    assert (last.info.run_id, last.info.status) == (first.info.run_id, "FINISHED")
    assert steps_of("fold_1_of_2_training_loss", last.info.run_id) == [1, 2]
    assert not checkpoints.exists()


def run_of(checkpoints: Path, parameters: dict[str, object]) -> str:
    with training_run(EXPERIMENT, {"model_name": "small"}, parameters, checkpoints) as run_id:
        return run_id


def test_a_training_that_a_scheduler_ends_is_a_failed_run(file_store):
    program = f"""if True:
        import mlflow, signal
        from jobs.training.mlflow_run import training_run
        mlflow.set_tracking_uri({file_store!r})
        with training_run({EXPERIMENT!r}, {{}}, {{}}, None):
            print("begun", flush=True)
            signal.pause()
    """
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.terminate()
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    (run,) = mlflow.search_runs(experiment_names=[EXPERIMENT], output_format="list")
    assert run.info.status == "FAILED"


@pytest.mark.usefixtures("file_store")
def test_only_an_unfinished_run_of_the_same_folder_and_parameters_is_continued(tmp_path):
    client = mlflow.MlflowClient()
    folder = tmp_path / "a"
    first = run_of(folder, {"seed": 7})
    assert run_of(folder, {"seed": 7}) != first  # it has finished
    client.update_run(first, status="RUNNING")
    assert run_of(folder, {"seed": 7}) == first
    client.update_run(first, status="RUNNING")
    assert run_of(tmp_path / "b", {"seed": 7}) != first
    assert client.get_run(first).info.status == "RUNNING"  # perhaps it does run, elsewhere
    assert run_of(folder, {"seed": 8}) != first
    assert client.get_run(first).info.status == "FAILED"


@pytest.mark.usefixtures("file_store")
def test_a_training_that_still_runs_is_waited_for(tmp_path):
    """It may have outlived the worker that started it."""
    tmp_path.joinpath("state").mkdir()
    other = subprocess.Popen(
        ["flock", tmp_path / "state", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert other.stdin is not None
    assert other.stdout is not None
    other.stdin.write(b"x")
    assert other.stdout.read(1) == b"x"  # it has the lock

    waiting = f"another training uses {tmp_path / 'state'}: waiting until it ends"
    with Warned(waiting, other.communicate) as warned:
        run_of(tmp_path / "state", {"seed": 7})
    assert warned.said == [waiting]
