"""Nights in the real Airflow while a service is away, or while Airflow itself is killed."""

import time
from collections.abc import Iterator
from datetime import date

import pytest

from tests.faults.conftest import FULL, Promise
from tests.faults.nights import Night
from tests.faults.services import Services
from tests.real_cluster import Cluster

pytestmark = pytest.mark.usefixtures("patient_airflow")

SECONDS_AWAY = 600 if FULL else 0  # from the first try's failure on


@pytest.mark.fault(16)
def test_a_night_that_begins_without_mlflow_is_published_once_it_is_back(
    cluster: Cluster, services: Services, day: date, version: int, promise: Promise, attempts: Iterator[str]
) -> None:
    run_id = next(attempts)
    with promise(day, run_id):
        with services.stopped("mlflow"):
            night = Night.start(cluster, day, run_id, version)
            night.await_task("pin_model", "up_for_retry")
            time.sleep(SECONDS_AWAY)
        night.await_success()
    assert "MlflowDownError" in night.log("pin_model", 1)
    assert night.task("pin_model")["try_number"] > 1
    assert night.task("score_users")["try_number"] == 1
