"""Nights in the real Airflow while a service is away, or while Airflow itself is killed."""

import json
import time
from collections.abc import Iterator
from datetime import date

import pytest

from local_cluster.environment import spark_connection
from local_cluster.layout import Layout
from local_cluster.supervision import wait_until
from tests.faults.conftest import FULL, Promise
from tests.faults.harness.nights import Night
from tests.faults.harness.services import Services
from tests.real_cluster import Cluster

pytestmark = pytest.mark.usefixtures("patient_airflow")

SECONDS_AWAY = 600 if FULL else 0  # from the first try's failure on


@pytest.mark.fault(16)
def test_a_night_that_begins_without_mlflow_is_published_once_it_is_back(
    cluster: Cluster, services: Services, day: date, version: int, promise: Promise, attempts: Iterator[str]
) -> None:
    run_id = next(attempts)
    with promise(day, run_id):
        with services.killed("mlflow"):
            night = Night.start(cluster, day, run_id, version)
            night.await_task("pin_model", "up_for_retry")
            time.sleep(SECONDS_AWAY)
        night.await_success()
    assert "MlflowDownError" in night.log("pin_model", 1)
    assert night.task("pin_model")["try_number"] > 1
    assert night.task("score_users")["try_number"] == 1


@pytest.mark.fault(15)
def test_a_night_is_published_once_when_airflow_is_killed_and_later_a_worker(
    cluster: Cluster, services: Services, day: date, version: int, promise: Promise, attempts: Iterator[str]
) -> None:
    run_id = next(attempts)

    def await_application(job: str) -> None:
        wait_until(
            lambda: any(app["state"] == "RUNNING" for app in night.applications(job)), f"{job} runs", 600
        )

    with promise(day, run_id):
        night = Night.start(cluster, day, run_id, version)
        await_application("extract_sessions")
        services.kill("airflow-scheduler")  # with its workers, their tasks and drivers
        await_application("score_users")
        services.kill_worker(f"score_users {run_id}")
        night.await_success()
    assert night.task("extract_sessions")["try_number"] == 2
    assert night.task("score_users")["try_number"] == 2


CLEARED = ["extract_sessions", "score_users", "audit_scores"]


@pytest.mark.fault(19)
def test_a_cleared_task_runs_again_in_cluster_mode(
    cluster: Cluster, services: Services, day: date, version: int, promise: Promise, attempts: Iterator[str]
) -> None:
    run_id = next(attempts)
    in_cluster_mode = cluster.settings.model_copy(update={"spark_deploy_mode": "cluster"})
    connection = json.dumps(spark_connection(Layout(in_cluster_mode)))
    with (
        services.airflow_with(RISK_SPARK_DEPLOY_MODE="cluster", AIRFLOW_CONN_SPARK_DEFAULT=connection),
        promise(day, run_id),
    ):
        night = Night.start(cluster, day, run_id, version)
        night.await_success()
        assert {job: len(night.applications(job)) for job in CLEARED} == dict.fromkeys(CLEARED, 1)
        for tasks in [[task] for task in CLEARED] if FULL else [CLEARED]:
            night.clear(*tasks)
            night.await_success()
        applications = {job: night.applications(job) for job in CLEARED}
    for job, tries in applications.items():
        assert [app["finalStatus"] for app in tries] == ["SUCCEEDED"] * 2, job
