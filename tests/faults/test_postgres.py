"""PostgreSQL killed: it holds the catalog, Airflow's state and MLflow's."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest

from jobs.lake.branches import LakeTable
from model_registry.versions import PinnedModel
from tests.faults.conftest import Promise
from tests.faults.hold import holding
from tests.faults.services import Services
from tests.night import as_airflow_retries, audit, score

pytestmark = pytest.mark.fault(18)


@as_airflow_retries
def score_anew(model: PinnedModel, day: date, attempts: Iterator[str]) -> str:
    attempt = next(attempts)
    score(model, day, attempt)
    return attempt


@pytest.mark.parametrize("point", ["write", "head"])
def test_a_postgres_killed_while_scores_are_staged_costs_a_retry(
    services: Services, day: date, model: PinnedModel, promise: Promise, attempts: Iterator[str], point: str
) -> None:
    with promise(day, None, outage=True), ThreadPoolExecutor(1) as pool:
        with holding(LakeTable, point) as hold:
            scoring = pool.submit(score_anew, model, day, attempts)
            hold.wait()
            services.kill("postgres")
        scoring.result()
        services.await_all_ready()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_postgres_killed_while_scores_are_published_costs_a_retry(
    services: Services, day: date, model: PinnedModel, promise: Promise, attempts: Iterator[str], when: str
) -> None:
    attempt = next(attempts)
    score(model, day, attempt)
    with promise(day, attempt, outage=True), ThreadPoolExecutor(1) as pool:
        with holding(LakeTable, "_move", when) as hold:
            publishing = pool.submit(as_airflow_retries(audit), model, day, attempt)
            hold.wait()
            services.kill("postgres")
        publishing.result()
        services.await_all_ready()
