"""The answer to one rename on HDFS is lost, on the catalog that commits by renames."""

from collections.abc import Iterator
from datetime import date

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs.lake.staging import find_staged_snapshot, publish, stage_rows
from jobs.lake.tables import TablePartition, ensure_tables
from tests.made_up.lake_sessions import session_on
from tests.made_up.lost_answer import LosesAnAnswer, losing_one_answer
from tests.real_cluster import Cluster

pytestmark = pytest.mark.timeout(600)

RENAME = rb"rename.{0,400}?v\d+\.metadata\.json"
DAY = TablePartition("risk.risk_scores", date(2026, 5, 1))
OTHER_DAY = TablePartition("risk.risk_scores", date(2026, 5, 2))


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


@pytest.fixture
def losing(
    cluster: Cluster, spark: SparkSession, reader: SparkSession
) -> Iterator[tuple[LosesAnAnswer, SparkSession]]:
    """A proxy before the NameNode, and a session that speaks through it."""
    for day in (DAY, OTHER_DAY):
        day.overwrite_with(rows(reader))
    with (
        losing_one_answer(cluster.settings.ports.namenode, RENAME) as proxy,
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
    stage_rows(rows(session, "u1"), DAY, "lost-1")
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
    publish(session, DAY, "lost-2", find_staged_snapshot(session, DAY, "lost-2"))
    assert proxy.lost.is_set()
    assert (users(reader, DAY), users(reader, OTHER_DAY)) == (["u1"], ["u2"])


def test_an_overwrite_whose_answer_is_lost_keeps_what_another_date_has_written(
    losing: tuple[LosesAnAnswer, SparkSession], reader: SparkSession
) -> None:
    proxy, session = losing
    OTHER_DAY.overwrite_with(rows(reader, "u2"))
    proxy.armed.set()
    DAY.overwrite_with(rows(session, "u1"))
    assert proxy.lost.is_set()
    assert (users(reader, DAY), users(reader, OTHER_DAY)) == (["u1"], ["u2"])
