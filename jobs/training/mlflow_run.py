"""One MLflow run for one training, through outages of MLflow and restarts of the training.

In   tags, parameters and the checkpoint folder of a training; metrics by epoch
Out  a run that ends as FINISHED or FAILED. After `kill -9`, and where MLflow is down at the end, it stays
     RUNNING until the training is started again with its checkpoint folder, which continues this run.
"""

import fcntl
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import mlflow
import tenacity
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from model_registry.errors import MlflowDownError
from model_registry.tracking.mlflow_errors import fail_within_a_minute, named_mlflow_errors

CHECKPOINT_FOLDER_TAG = "checkpoint_folder"
LONGEST_OUTAGE_SECONDS = 60 * 60
# During an outage, one attempt to send metrics takes up to a minute: the training loses a tenth of its time.
SECONDS_BETWEEN_ATTEMPTS = 600
MOST_METRICS_OF_A_CALL = 1000  # MLflow's limit

log = logging.getLogger(__name__)


class EpochMetrics:
    """Metrics by epoch, kept until MLflow takes them: an outage does not end the training."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._unsent: list[Metric] = []
        self._next_attempt = time.monotonic()

    def add(self, metrics: Mapping[str, float], step: int) -> None:
        """Record metrics of an epoch, and send all that MLflow does not have yet."""
        now_ms = int(time.time() * 1000)
        self._unsent += [Metric(name, value, now_ms, step) for name, value in metrics.items()]
        if time.monotonic() < self._next_attempt:
            return
        try:
            self.send()
        except MlflowDownError as error:
            self._next_attempt = time.monotonic() + SECONDS_BETWEEN_ATTEMPTS
            log.warning("metrics are sent later, the training goes on: %s", error)

    def send(self) -> None:
        """Send what MLflow does not have yet.

        Raises:
            MlflowDownError: it stays here for the next call.
        """
        client = mlflow.MlflowClient()
        with named_mlflow_errors("log metrics", mlflow.get_tracking_uri()):
            while self._unsent:
                client.log_batch(self._run_id, metrics=self._unsent[:MOST_METRICS_OF_A_CALL])
                del self._unsent[:MOST_METRICS_OF_A_CALL]


@contextmanager
def training_run(
    experiment: str, tags: Mapping[str, str], parameters: Mapping[str, object], checkpoints: Path | None
) -> Iterator[str]:
    """Yield the id of the active run. With a checkpoint folder, continue the run of an earlier attempt.

    Args:
        tags, parameters: of the run; they are also what an earlier attempt is recognised by.
        checkpoints: folder from which the training resumes. Another training that uses it is waited for: it
            may have outlived the scheduler that started this one.

    Raises:
        MlflowDownError: MLflow does not answer for a minute at the start, or for an hour at the end.
    """
    fail_within_a_minute()
    uri = mlflow.get_tracking_uri()
    with _lock(checkpoints), _ended_by_sigterm(), named_mlflow_errors("log a training", uri):
        if checkpoints is not None:
            tags = {**tags, CHECKPOINT_FOLDER_TAG: str(checkpoints.resolve())}
        experiment_id = mlflow.set_experiment(experiment).experiment_id
        earlier = _find_earlier_attempt(experiment_id, tags, parameters) if checkpoints else None
        run_id = mlflow.start_run(run_id=earlier, tags=dict(tags)).info.run_id
        status = "FAILED"
        try:
            mlflow.log_params(dict(parameters))
            yield run_id
            insist("end the run", lambda: mlflow.MlflowClient().set_terminated(run_id))
            status = "FINISHED"
        finally:
            # Where MLflow is down, the run stays RUNNING; the next attempt finds it so.
            with suppress(MlflowException):
                mlflow.end_run(status)


def insist(doing: str, call: Callable[[], None]) -> None:
    """Repeat `call`, which may be repeated, until MLflow takes it; give up after an hour.

    Raises:
        MlflowDownError: MLflow was down for that long.
    """
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(MlflowDownError),
        wait=tenacity.wait_exponential(multiplier=1, max=60),  # seconds
        stop=tenacity.stop_after_delay(LONGEST_OUTAGE_SECONDS),
        before_sleep=_say_that_mlflow_is_down,
        reraise=True,
    )
    for attempt in attempts:
        with attempt, named_mlflow_errors(doing, mlflow.get_tracking_uri()):
            call()


def _say_that_mlflow_is_down(state: tenacity.RetryCallState) -> None:
    if state.outcome is not None and state.next_action is not None:
        log.warning("the next attempt is in %.0f s: %s", state.next_action.sleep, state.outcome.exception())


def _find_earlier_attempt(
    experiment_id: str, tags: Mapping[str, str], parameters: Mapping[str, object]
) -> str | None:
    """Find the run of an earlier attempt; runs that other trainings left in this folder end as FAILED."""
    client = mlflow.MlflowClient()
    wanted = {name: str(value) for name, value in parameters.items()}
    earlier = None
    for run in client.search_runs([experiment_id], "attributes.status != 'FINISHED'"):  # newest first
        if run.data.tags.get(CHECKPOINT_FOLDER_TAG) != tags[CHECKPOINT_FOLDER_TAG]:
            continue
        is_same = run.data.tags.items() >= tags.items() and run.data.params.items() >= wanted.items()
        if is_same and earlier is None:
            earlier = run.info.run_id
        elif run.info.status == "RUNNING":
            client.set_terminated(run.info.run_id, "FAILED")
    return earlier


@contextmanager
def _lock(checkpoints: Path | None) -> Iterator[None]:
    """Hold the folder, so that two trainings never write one checkpoint."""
    if checkpoints is None:
        yield
        return
    checkpoints.mkdir(parents=True, exist_ok=True)
    folder = os.open(checkpoints, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.warning("another training uses %s: waiting until it ends", checkpoints)
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, by which a scheduler ends a task, run what has to be done at the end."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
