"""Faults on a real cluster, and the promise that is kept under them.

readers of a date see all of its old scores or all of the new, one row per user, and nothing else; afterwards
the scores are those of an undisturbed run, other dates' files are untouched, and HDFS is healthy
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from itertools import count
from uuid import uuid4

import pytest
import requests
from pyspark.sql import SparkSession

from jobs.lake.branches import MAIN, LakeTable
from jobs.lake.tables import ensure_tables
from local_cluster.supervision import wait_until
from model_registry.connect import connect_store, connect_tracking
from model_registry.publishing import push_version
from model_registry.versions import PinnedModel
from tests.faults.harness.scored_days import (
    DAYS,
    USERS,
    land,
    landed_rows,
    log_run,
    publish_undisturbed,
    push_tiny_model,
    scores_of,
)
from tests.faults.harness.services import Services
from tests.faults.harness.watch import Oracle, State, Watch
from tests.night import as_airflow_retries
from tests.real_cluster import Cluster

# All points, races and minutes: `make test-faults FULL=1`.
FULL = bool(os.environ.get("FULL"))
Promise = Callable[..., AbstractContextManager[Watch]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(3600 if FULL else 900))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line for each fault."""
    lines = {}
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.getreports(outcome):
            for name, number in getattr(report, "user_properties", ()):
                if name == "fault":
                    test = report.nodeid.split("::")[-1].removeprefix("test_").replace("_", " ")
                    lines[number, report.nodeid] = f"fault {number:2}  {outcome:6}  {test}"
    if lines:
        terminalreporter.section("faults")
    for _, line in sorted(lines.items()):
        terminalreporter.line(line)


@pytest.fixture(autouse=True)
def fault_number(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    """Keep the fault's number for the summary."""
    for mark in request.node.iter_markers("fault"):
        record_property("fault", mark.args[0])


@pytest.fixture(scope="session")
def spark(spark_on_yarn: SparkSession) -> SparkSession:
    """The session on YARN in place of the local one."""
    return spark_on_yarn


@pytest.fixture(scope="session")
def services(cluster: Cluster) -> Services:
    return Services(cluster.layout)


@pytest.fixture(scope="session")
def oracle(cluster: Cluster) -> Iterator[Oracle]:
    reader = Oracle(cluster.layout)
    yield reader
    reader.stop()


@pytest.fixture(scope="session")
def landed(cluster: Cluster) -> list[date]:
    """Eight days on HDFS."""
    for ds in DAYS:
        land(cluster, ds, landed_rows(ds))
    return DAYS


@pytest.fixture(scope="session")
def model(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> PinnedModel:
    return push_tiny_model(cluster, tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def version(cluster: Cluster, model: PinnedModel, tmp_path_factory: pytest.TempPathFactory) -> int:
    """The same model's number in MLflow, for nights in Airflow; signed, but not the champion."""
    store, tracking = connect_store(cluster.settings), connect_tracking(cluster.settings)
    saved_model = store.pull(model, tmp_path_factory.mktemp("pulled"))
    number = tracking.register(log_run(saved_model)).version
    cluster.sign(push_version(tracking, store, number), tmp_path_factory.mktemp("signed"))
    return number


@pytest.fixture(scope="session")
def patient_airflow(services: Services) -> Iterator[None]:
    """Airflow whose waits outlast an outage."""
    with services.airflow_with(RISK_LANDING_TIMEOUT_MINUTES="60", RISK_EXTRACTION_TIMEOUT_MINUTES="60"):
        yield


@pytest.fixture(scope="session")
def undisturbed(
    cluster: Cluster,
    spark: SparkSession,
    oracle: Oracle,
    landed: list[date],
    model: PinnedModel,
) -> dict[date, State]:
    """Two scored days: what readers see of them."""
    ensure_tables(spark)  # also starts the session that the jobs find
    days = landed[:2]
    publish_undisturbed(cluster, model, days)
    states = {ds: oracle.see(ds) for ds in days}
    assert {state.users for state in states.values()} == {USERS}
    return states


@pytest.fixture
def day(undisturbed: dict[date, State]) -> date:
    """The day that the test's fault meets; the other one must stay as it is."""
    return next(iter(undisturbed))


@pytest.fixture
def attempts() -> Iterator[str]:
    """Ids of attempts, each used once: `next(attempts)`."""
    unique = uuid4().hex[:8]
    return (f"attempt-{unique}-{number}" for number in count(1))


@pytest.fixture
def promise(
    cluster: Cluster, spark: SparkSession, oracle: Oracle, undisturbed: dict[date, State], model: PinnedModel
) -> Promise:
    """A block during which a day is watched, and after which the promise is checked."""

    @contextmanager
    def kept(
        ds: date, run_id: str | set[str] | None, outage: bool = False, scores: str | None = None
    ) -> Iterator[Watch]:
        """Watch a day while a fault strikes, and check the promise.

        Args:
            run_id: whose scores must be there at the end; of a set, one; None: those of before.
            outage: services are stopped meanwhile, so that looks may fail.
            scores: of an undisturbed run, where it is not the one of all tests.
        """
        other_days = [other for other in undisturbed if other != ds]
        before = {other: data_files(spark, other) for other in other_days}
        with oracle.watching(ds=ds.isoformat()) as watch:
            yield watch
            if outage:
                wait_until(lambda: is_healthy(cluster), "HDFS is not healthy", 120)
        watch.check(outage)
        state = oracle.see(ds)
        expected = {run_id} if isinstance(run_id, str) else run_id or {*watch.states[0].runs}
        assert {*state.runs} <= expected, f"readers see scores of {state.runs}, expected {expected}"
        assert (state.rows, state.users, state.scores) == (
            undisturbed[ds].rows,
            undisturbed[ds].users,
            scores or undisturbed[ds].scores,
        )
        assert state.models == (model.sha256,)
        assert before == {other: data_files(spark, other) for other in other_days}
        assert is_healthy(cluster)

    return kept


@as_airflow_retries
def data_files(spark: SparkSession, ds: date) -> frozenset[str]:
    """The files of a day that readers see; the session's connection may have died with PostgreSQL."""
    table: LakeTable = scores_of(ds).open(spark)
    table.refresh()
    return table.files(ds, table.head(MAIN))


def is_healthy(cluster: Cluster) -> bool:
    """Whether HDFS has all blocks of all files."""
    try:
        return "is HEALTHY" in cluster.fsck("/")
    except requests.ConnectionError:
        return False
