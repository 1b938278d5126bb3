"""One answer is lost: the NameNode, PostgreSQL or WebHDFS has acted, and the client does not learn it."""

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from uuid import uuid4

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs.lake.hadoop_files import HadoopFiles
from jobs.lake.receipts import is_extracted
from jobs.lake.staging import find_staged_snapshot, publish, stage_rows
from jobs.lake.tables import TablePartition, ensure_tables
from local_cluster.configuration import catalog
from model_registry.hashing import folder_sha256
from model_registry.store.model_store import ModelStore
from model_registry.store.webhdfs import webhdfs_client
from model_registry.versions import ModelVersion, PinnedModel
from tests.faults.conftest import Promise
from tests.faults.harness.scored_days import land, landed_rows
from tests.made_up.lake_sessions import session_on
from tests.made_up.lost_answer import LosesAnAnswer, losing_one_answer
from tests.night import as_airflow_retries, audit, extract, roots, score
from tests.real_cluster import Cluster

pytestmark = pytest.mark.fault(5)

DAY = TablePartition("risk.risk_scores", date(2026, 5, 1))
OTHER_DAY = TablePartition("risk.risk_scores", date(2026, 5, 2))


# What the NameNode is asked for when a table's metadata is committed on a catalog of files.
COMMITS = {
    "rename": rb"rename.{0,400}?v\d+\.metadata\.json",
    "create": rb"create.{0,400}?\.metadata\.json",
}


def hadoop_catalog(namenode: str) -> dict[str, str]:
    return {
        "spark.sql.catalog.lake.type": "hadoop",
        "spark.sql.catalog.lake.warehouse": f"hdfs://{namenode}/hadoop_catalog",
    }


@pytest.fixture(scope="module")
def reader(cluster: Cluster, spark: SparkSession) -> Iterator[SparkSession]:
    with session_on(spark, hadoop_catalog(f"127.0.0.1:{cluster.settings.ports.namenode}")) as session:
        ensure_tables(session)
        yield session


@pytest.fixture(params=COMMITS)
def losing(
    request: pytest.FixtureRequest, cluster: Cluster, spark: SparkSession, reader: SparkSession
) -> Iterator[tuple[LosesAnAnswer, SparkSession]]:
    """A proxy before the NameNode, and a session that speaks through it."""
    for day in (DAY, OTHER_DAY):
        day.overwrite_with(rows(reader))
    with (
        losing_one_answer(cluster.settings.ports.namenode, COMMITS[request.param]) as proxy,
        session_on(spark, hadoop_catalog(f"127.0.0.1:{proxy.port}")) as session,
    ):
        yield proxy, session


def rows(spark: SparkSession, *users: str) -> DataFrame:
    columns = (
        "user_id string, risk_score double, logit double, sequence_length int, unknown_apps int, "
        "model_name string, model_version int, model_sha256 string, run_id string"
    )
    return spark.createDataFrame([(user, 0.1, -2.0, 1, 0, "m", 1, "ab", "run") for user in users], columns)


def users(spark: SparkSession, day: TablePartition) -> list[str]:
    spark.catalog.refreshTable(day.name)
    return sorted(row.user_id for row in day.read(spark).collect())


def test_scores_stay_hidden_when_the_answer_to_their_staging_is_lost(
    losing: tuple[LosesAnAnswer, SparkSession], reader: SparkSession
) -> None:
    proxy, session = losing
    proxy.armed.set()
    as_airflow_retries(stage_rows)(rows(session, "u1"), DAY, "lost-1")
    assert proxy.lost.is_set()
    assert users(reader, DAY) == []
    publish(session, DAY, "lost-1", find_staged_snapshot(session, DAY, "lost-1"))
    assert users(reader, DAY) == ["u1"]


def test_scores_are_published_once_when_the_answer_to_it_is_lost(
    losing: tuple[LosesAnAnswer, SparkSession], reader: SparkSession
) -> None:
    proxy, session = losing
    stage_rows(rows(session, "u1"), DAY, "lost-2")
    OTHER_DAY.overwrite_with(rows(reader, "u2"))
    proxy.armed.set()
    as_airflow_retries(publish)(session, DAY, "lost-2", find_staged_snapshot(session, DAY, "lost-2"))
    assert proxy.lost.is_set()
    assert (users(reader, DAY), users(reader, OTHER_DAY)) == (["u1"], ["u2"])


def test_an_overwrite_whose_answer_is_lost_keeps_what_another_date_has_written(
    losing: tuple[LosesAnAnswer, SparkSession], reader: SparkSession
) -> None:
    proxy, session = losing
    OTHER_DAY.overwrite_with(rows(reader, "u2"))
    proxy.armed.set()
    as_airflow_retries(DAY.overwrite_with)(rows(session, "u1"))
    assert proxy.lost.is_set()
    assert (users(reader, DAY), users(reader, OTHER_DAY)) == (["u1"], ["u2"])


@pytest.fixture
def losing_commit(cluster: Cluster, spark: SparkSession) -> Iterator[LosesAnAnswer]:
    """A proxy before PostgreSQL, through which the jobs' session speaks to the catalog."""
    port = cluster.settings.ports.postgres
    with losing_one_answer(port, rb"UPDATE iceberg_tables") as proxy:
        through = {
            name: value.replace(f":{port}/", f":{proxy.port}/")
            for name, value in catalog(cluster.layout).items()
        }
        with session_on(spark, through) as session:
            session.table("lake.risk.risk_scores").count()  # connected
            yield proxy


@pytest.mark.quick
def test_readers_see_old_or_new_scores_when_the_answers_to_staging_and_publishing_are_lost(
    losing_commit: LosesAnAnswer, day: date, model: PinnedModel, promise: Promise, attempts: Iterator[str]
) -> None:
    attempt = next(attempts)
    with promise(day, attempt):
        for job in (score, audit):
            losing_commit.lost.clear()
            losing_commit.armed.set()
            job(model, day, attempt)
            assert losing_commit.lost.is_set()


@pytest.mark.parametrize("request_of", ["rename", "create"])
def test_a_day_has_its_receipt_when_the_answer_to_writing_it_is_lost(
    cluster: Cluster, spark: SparkSession, request_of: str
) -> None:
    ds = date(2022, 7, 1)  # far from other days
    land(cluster, ds, landed_rows(ds))
    with losing_one_answer(
        cluster.settings.ports.namenode, rb"%s.{0,400}?ds=2022-07-01\.json" % request_of.encode()
    ) as proxy:
        through = cluster.settings.model_copy(update={"hdfs_uri": f"hdfs://127.0.0.1:{proxy.port}"})
        proxy.armed.set()
        as_airflow_retries(extract)(through, ds)
        assert proxy.lost.is_set()
    assert is_extracted(HadoopFiles(spark), **roots(cluster.settings), day=ds)
    names = cluster.hdfs.list(cluster.settings.receipts_root)
    assert [name for name in names if "2022-07-01" in name] == ["ds=2022-07-01.json"]


@pytest.fixture
def push(cluster: Cluster, tmp_path: Path) -> Callable[[str], tuple[ModelStore, ModelVersion]]:
    """Push a folder through the given WebHDFS, as the task `register` does when it is run again."""
    (tmp_path / "saved_model.pb").write_bytes(b"graph" * 10_000)
    model = ModelVersion(f"lost_{uuid4().hex}", 1, folder_sha256(tmp_path))

    @as_airflow_retries
    def push_to(url: str) -> tuple[ModelStore, ModelVersion]:
        store = ModelStore(webhdfs_client(url, cluster.settings.hdfs_user), "/models", cluster.hdfs_url)
        if not store.exists(model):
            store.push(tmp_path, model)
        return store, model

    return push_to


@pytest.mark.quick
@pytest.mark.parametrize("operation", ["MKDIRS", "CREATE", "RENAME"])
def test_a_model_is_pushed_whole_when_an_answer_of_webhdfs_is_lost(
    cluster: Cluster, push: Callable[[str], tuple[ModelStore, ModelVersion]], operation: str
) -> None:
    with losing_one_answer(
        cluster.settings.ports.namenode_web, rb"PUT .{0,400}?op=%s" % operation.encode()
    ) as proxy:
        proxy.armed.set()
        store, model = push(f"http://127.0.0.1:{proxy.port}")
        assert proxy.lost.is_set()
    store.verify(model)
    assert cluster.hdfs.list(f"/models/{model.name}/_staging") == []
