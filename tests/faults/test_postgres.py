"""PostgreSQL killed: it holds the catalog, Airflow's state and MLflow's."""

from collections.abc import Iterator
from datetime import date
from functools import partial
from typing import Any

import pytest

from jobs.lake.branches import LakeTable
from local_cluster.demo.watch import follow
from local_cluster.supervision import wait_until
from model_registry.versions import PinnedModel
from tests.faults.conftest import Promise
from tests.faults.harness.hold import holding
from tests.faults.harness.nights import DAG
from tests.faults.harness.services import Services
from tests.faults.harness.watch import State
from tests.night import audit, score
from tests.real_cluster import Cluster

pytestmark = pytest.mark.fault(18)


def score_anew(model: PinnedModel, day: date, attempts: Iterator[str]) -> None:
    score(model, day, next(attempts))


@pytest.mark.parametrize("point", ["write", "head"])
def test_a_postgres_killed_while_scores_are_staged_costs_a_retry(
    services: Services, day: date, model: PinnedModel, promise: Promise, attempts: Iterator[str], point: str
) -> None:
    with promise(day, None, outage=True):
        services.kill_during("postgres", holding(LakeTable, point), partial(score_anew, model, day, attempts))


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_postgres_killed_while_scores_are_published_costs_a_retry(
    services: Services, day: date, model: PinnedModel, promise: Promise, attempts: Iterator[str], when: str
) -> None:
    attempt = next(attempts)
    score(model, day, attempt)
    publish = partial(audit, model, day, attempt)
    with promise(day, attempt, outage=True):
        services.kill_during("postgres", holding(LakeTable, "_move", when), publish)


@pytest.mark.usefixtures("patient_airflow")
def test_a_postgres_killed_in_the_middle_of_a_backfill_costs_retries(
    cluster: Cluster,
    services: Services,
    landed: list[date],
    undisturbed: dict[date, State],
    version: int,
    promise: Promise,
) -> None:
    """Airflow keeps its own state there, too."""
    first, last = landed[1:3]
    assert first in undisturbed  # and so watched; the first day must stay as it is
    airflow, runs = cluster.airflow, set[str]()
    earlier = {run["dag_run_id"] for run in airflow.runs(DAG)}
    airflow.unpause(DAG)

    def is_new(run: dict[str, Any]) -> bool:
        return run["run_type"] == "backfill" and run["dag_run_id"] not in earlier

    def scores_are_computed() -> bool:
        tasks = [
            task for run in airflow.runs(DAG) if is_new(run) for task in airflow.tasks(DAG, run["dag_run_id"])
        ]
        return any(task["task_id"] == "score_users" and task["state"] == "running" for task in tasks)

    with promise(first, runs, outage=True):
        airflow.backfill(
            DAG, str(first), str(last), max_active_runs=2, dag_run_conf={"model_version": version}
        )
        wait_until(scores_are_computed, "no run of the backfill computes scores", 600)
        services.kill("postgres")
        services.await_all_ready()
        finished = follow(airflow, cluster.layout, DAG, is_new, expected_runs=2, timeout_seconds=1800)
        runs |= {run["dag_run_id"] for run in finished}
