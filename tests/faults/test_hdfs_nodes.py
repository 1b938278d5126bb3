"""A DataNode that is away, and a NameNode that is killed and started again."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from jobs.lake.branches import LakeTable
from local_cluster.supervision import wait_until
from model_registry.connect import connect_store
from model_registry.hashing import folder_sha256
from model_registry.store.model_store import ModelStore
from model_registry.store.webhdfs import WebHdfs
from model_registry.versions import ModelVersion, PinnedModel
from tests.faults.conftest import FULL, Promise
from tests.faults.harness.hold import holding
from tests.faults.harness.nights import Night
from tests.faults.harness.scored_days import rescore
from tests.faults.harness.services import Services
from tests.night import audit, build, extract, score
from tests.real_cluster import Cluster

SECONDS_AWAY = 600 if FULL else 0
FILES = 40  # so many that, by chance, some are sent to the dead DataNode three times one after the other


@pytest.fixture
def saved_model(tmp_path: Path) -> Path:
    """Bytes in the place of a SavedModel."""
    for number in range(FILES):
        (tmp_path / f"variables-{number:02}").write_bytes(bytes([number]) * 10_000)
    return tmp_path


@pytest.fixture
def unpushed(saved_model: Path) -> ModelVersion:
    return ModelVersion(f"faults_{uuid4().hex}", 1, folder_sha256(saved_model))


@pytest.fixture
def store(cluster: Cluster) -> ModelStore:
    return connect_store(cluster.settings)


@pytest.fixture
def two_copies(cluster: Cluster) -> None:
    """Every block is on both DataNodes: those that were written while one was away had one copy."""
    wait_until(
        lambda: re.search(r"Under-replicated blocks:\t0\b", cluster.fsck("/")) is not None,
        "blocks have one copy only",
        180,
    )


def check_pushed(cluster: Cluster, store: ModelStore, model: ModelVersion) -> None:
    """Check that all bytes are there, and nothing of failed tries."""
    store.verify(model)
    assert cluster.hdfs.list(f"{cluster.settings.models_root}/{model.name}/_staging") == []


@pytest.mark.quick
@pytest.mark.fault(6)
@pytest.mark.usefixtures("two_copies")
@pytest.mark.parametrize("datanode", ["datanode-1", "datanode-2"] if FULL else ["datanode-1"])
def test_a_push_succeeds_at_once_when_a_datanode_goes_away_meanwhile(
    cluster: Cluster,
    services: Services,
    store: ModelStore,
    saved_model: Path,
    unpushed: ModelVersion,
    datanode: str,
) -> None:
    with ThreadPoolExecutor(1) as pool, holding(WebHdfs, "upload_file") as point:
        pushing = pool.submit(store.push, saved_model, unpushed)
        point.wait()
        with services.killed(datanode):
            point.release()
            pushing.result()
    check_pushed(cluster, store, unpushed)


@pytest.mark.fault(6)
@pytest.mark.usefixtures("two_copies")
@pytest.mark.parametrize("datanode", ["datanode-1", "datanode-2"] if FULL else ["datanode-2"])
def test_a_night_succeeds_at_once_when_a_datanode_goes_away_meanwhile(
    cluster: Cluster,
    services: Services,
    day: date,
    model: PinnedModel,
    promise: Promise,
    attempts: Iterator[str],
    datanode: str,
) -> None:
    attempt = next(attempts)
    with (
        promise(day, attempt, outage=True),
        ThreadPoolExecutor(1) as pool,
        holding(LakeTable, "write") as point,
    ):
        extracting = pool.submit(extract, cluster.settings, day)
        point.wait()
        with services.killed(datanode):
            point.release()
            extracting.result()
            build(cluster.settings, day)
            rescore(model, day, attempt)


@pytest.mark.quick
@pytest.mark.fault(7)
@pytest.mark.parametrize(
    "point", ["make_folder", "upload_file", "file_sha256", "rename"] if FULL else ["upload_file"]
)
def test_a_model_is_pushed_whole_after_the_namenode_was_killed_meanwhile(
    cluster: Cluster,
    services: Services,
    store: ModelStore,
    saved_model: Path,
    unpushed: ModelVersion,
    point: str,
) -> None:
    def push() -> None:
        if not store.exists(unpushed):
            store.push(saved_model, unpushed)

    services.kill_during("namenode", holding(WebHdfs, point), push)
    check_pushed(cluster, store, unpushed)


@pytest.mark.fault(7)
@pytest.mark.parametrize("point", ["write", "head"] if FULL else ["write"])
def test_scores_are_staged_by_the_next_try_after_the_namenode_was_killed(
    services: Services, day: date, model: PinnedModel, promise: Promise, attempts: Iterator[str], point: str
) -> None:
    def score_anew() -> None:
        score(model, day, next(attempts))

    with promise(day, None, outage=True):
        services.kill_during("namenode", holding(LakeTable, point), score_anew)


@pytest.mark.fault(7)
@pytest.mark.parametrize("when", ["before", "after"] if FULL else ["before"])
def test_scores_are_published_by_the_next_try_after_the_namenode_was_killed(
    services: Services, day: date, model: PinnedModel, promise: Promise, attempts: Iterator[str], when: str
) -> None:
    attempt = next(attempts)
    score(model, day, attempt)
    publish = partial(audit, model, day, attempt)
    with promise(day, attempt, outage=True):
        services.kill_during("namenode", holding(LakeTable, "_move", when), publish)


@pytest.fixture
def not_closed(cluster: Cluster, day: date) -> Iterator[tuple[str, str]]:
    """The day's `_SUCCESS`, taken away, and a folder without one on the day before: both waits wait."""
    root = cluster.settings.landing_root
    success, day_before = f"{root}/ds={day}/_SUCCESS", f"{root}/ds={day - timedelta(days=1)}"
    cluster.hdfs.delete(success)
    cluster.hdfs.write(f"{day_before}/part-0.jsonl", b"")
    yield success, day_before
    cluster.hdfs.write(success, b"", overwrite=True)
    cluster.hdfs.delete(day_before, recursive=True)


@pytest.mark.fault(7)
@pytest.mark.fault(16)
@pytest.mark.usefixtures("patient_airflow")
def test_a_night_begins_without_hdfs_and_its_waits_outlast_restarts_of_the_namenode(
    cluster: Cluster,
    services: Services,
    day: date,
    version: int,
    promise: Promise,
    attempts: Iterator[str],
    not_closed: tuple[str, str],
) -> None:
    success, day_before = not_closed
    run_id = next(attempts)

    def restart_the_namenode() -> None:
        services.kill("namenode")
        services.await_ready("namenode")

    with promise(day, run_id, outage=True):
        with services.killed("namenode"):
            night = Night.start(cluster, day, run_id, version)
            night.await_task("wait_for_landing", "deferred")
            time.sleep(SECONDS_AWAY)
        restart_the_namenode()
        assert night.task("wait_for_landing")["state"] == "deferred"
        cluster.hdfs.write(success, b"")
        night.await_task("wait_for_extraction", "deferred", seconds=600)
        restart_the_namenode()
        assert night.task("wait_for_extraction")["state"] == "deferred"
        cluster.hdfs.delete(day_before, recursive=True)
        night.await_success()
    assert {night.task(task)["try_number"] for task in ("wait_for_landing", "wait_for_extraction")} == {1}
