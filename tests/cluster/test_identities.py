"""What each identity may not do, on the real services; docs/deploy.md has the table.

That each may do what it has to is shown by the runs of the DAGs, whose tasks act as these identities.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date

import hdfs
import psycopg2
import pytest
import requests
from mlflow import MlflowClient

from local_cluster import postgres
from local_cluster.airflow_api import AirflowApi
from local_cluster.environment import identity_environment
from local_cluster.layout import ClusterError
from model_registry.connect import connect_tracking
from model_registry.errors import PermissionDeniedError
from model_registry.tracking.model_tracking import CHALLENGER, CHAMPION, ModelTracking
from model_registry.versions import PinnedModel
from tests.real_cluster import Cluster

# The first test waits for a training and a backfill of two dates.
pytestmark = pytest.mark.timeout(2400)

# HDFS


def write(client: hdfs.Client, path: str) -> None:
    client.write(f"{path}/forged", b"")


def read(client: hdfs.Client, path: str) -> None:
    client.list(path)


def remove(client: hdfs.Client, path: str) -> None:
    client.delete(path, recursive=True)


SCORES, SEQUENCES, SESSIONS = (
    f"/lake/risk/{table}" for table in ("risk_scores", "user_sequences", "install_sessions")
)
MODELS = "/models/risk_encoder"
FORBIDDEN = [
    ("landing", write, SESSIONS),
    ("landing", read, SCORES),
    ("landing", write, MODELS),
    ("scoring", write, "/landing/installs"),
    ("scoring", write, "/landing/labels"),
    ("scoring", write, MODELS),
    ("training", write, SCORES),
    ("training", read, SESSIONS),
    ("training", read, "/landing/labels"),
    ("training", write, "/training_sets"),
    ("training", write, "/receipts/extract_sessions"),
    ("promotion", write, SCORES),
    ("promotion", read, "/training_sets"),
    ("reader", write, SCORES),
    ("reader", read, SEQUENCES),
    ("reader", read, SESSIONS),
    ("reader", read, "/landing/installs"),
    ("reader", read, "/landing/labels"),
    ("reader", read, "/training_sets"),
    ("reader", read, MODELS),
]


@pytest.mark.usefixtures("published")  # so that every folder is there
@pytest.mark.parametrize(
    ("identity", "act", "path"),
    FORBIDDEN,
    ids=[f"{who} {act.__name__}s {path}" for who, act, path in FORBIDDEN],
)
def test_hdfs_refuses(
    cluster: Cluster, identity: str, act: Callable[[hdfs.Client, str], None], path: str
) -> None:
    assert cluster.hdfs.status(path)
    with pytest.raises(hdfs.HdfsError, match=f"Permission denied: user={identity}"):
        act(cluster.hdfs_as(identity), path)


def test_a_file_that_spark_writes_is_readable_by_its_readers_alone(
    cluster: Cluster, published: list[date]
) -> None:
    folder = f"{SCORES}/data/ds={published[0]}"
    for name, status in cluster.hdfs.list(folder, status=True):
        assert (status["owner"], status["permission"]) == ("scoring", "640"), name
        entries = cluster.hdfs.acl_status(f"{folder}/{name}")["entries"]
        assert entries == ["user:reader:r-x", "group::---"]


def test_promotion_cannot_remove_a_version_nor_training_a_signature(
    cluster: Cluster, champion: PinnedModel
) -> None:
    signature = f"{MODELS}/signature-{champion.version}"
    cluster.hdfs_as("promotion").write(signature, b"signed")
    version = champion.uri.removeprefix(cluster.hdfs_url)
    for identity, path in (("promotion", version), ("training", signature)):
        with pytest.raises(hdfs.HdfsError, match="Permission denied by sticky bit"):
            remove(cluster.hdfs_as(identity), path)
    cluster.hdfs_as("promotion").delete(signature)


# PostgreSQL

CLOSED = [
    *(("reader", database) for database in ("airflow", "mlflow", "mlflow_auth", "postgres")),
    *(("scoring", database) for database in ("airflow", "mlflow", "mlflow_auth", "postgres")),
    *(("airflow", database) for database in ("lake", "mlflow", "mlflow_auth", "postgres")),
    *(("mlflow", database) for database in ("lake", "airflow", "postgres")),
]


@pytest.mark.parametrize(("role", "database"), CLOSED)
def test_a_role_cannot_connect_to_a_database_that_is_not_its_own(
    cluster: Cluster, role: str, database: str
) -> None:
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        postgres.connect(cluster.layout, database, role)


def test_postgres_lets_nobody_in_without_a_password(cluster: Cluster) -> None:
    url = postgres.url(cluster.layout, "lake", "reader", "postgresql")
    with pytest.raises(psycopg2.OperationalError, match="no password supplied"):
        psycopg2.connect(url, passfile="/dev/null")


def rows_of(cluster: Cluster, role: str, statement: str) -> list[tuple[object, ...]]:
    connection = postgres.connect(cluster.layout, "lake", role)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()
    finally:
        connection.close()


@pytest.mark.usefixtures("published")
def test_the_reader_sees_the_catalogs_row_of_the_scores_alone(cluster: Cluster) -> None:
    names = "SELECT table_name FROM iceberg_tables"
    assert rows_of(cluster, "reader", names) == [("risk_scores",)]
    assert len(rows_of(cluster, "scoring", names)) > 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE iceberg_tables SET metadata_location = 'hdfs://forged' RETURNING 1",
        "DELETE FROM iceberg_tables RETURNING 1",
        "INSERT INTO iceberg_tables VALUES ('lake', 'risk', 'forged', 'hdfs://forged') RETURNING 1",
        "CREATE TABLE forged (x int)",
    ],
)
def test_the_reader_cannot_change_the_catalog(cluster: Cluster, statement: str) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        rows_of(cluster, "reader", statement)


def test_scoring_cannot_open_the_catalog_to_others(cluster: Cluster) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="must be owner"):
        rows_of(cluster, "scoring", "ALTER TABLE iceberg_tables DISABLE ROW LEVEL SECURITY")


# Spark, as the reader

READS = """
import json, sys, traceback
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[1]").config("spark.sql.catalog.lake.jdbc.user", "reader").getOrCreate()
answers = {}
for statement in sys.argv[1:]:
    try:
        rows = spark.read.parquet(statement) if statement.startswith("/") else spark.sql(statement)
        answers[statement] = [list(row) for row in rows.collect()]
    except Exception as error:
        answers[statement] = traceback.format_exc()
print(json.dumps(answers))
"""
COUNT = "SELECT count(*) > 0 FROM lake.risk.risk_scores"
HIDDEN = "SELECT count(*) FROM lake.risk.user_sequences"
BY_PATH = f"{SEQUENCES}/data"
CHANGE = "DELETE FROM lake.risk.risk_scores WHERE user_id = 'nobody' OR risk_score >= 0"
MAKE = "CREATE TABLE lake.risk.forged (x int)"


@pytest.fixture(scope="module")
def answers(cluster: Cluster, published: list[date]) -> dict[str, object]:  # noqa: ARG001 (there are scores)
    """What Spark answers to the reader: rows, or why not."""
    done = subprocess.run(
        [sys.executable, "-c", READS, COUNT, HIDDEN, BY_PATH, CHANGE, MAKE],
        env=identity_environment(cluster.layout, "reader"),
        cwd=cluster.layout.tmp,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_reader_reads_the_scores(answers: dict[str, object]) -> None:
    assert answers[COUNT] == [[True]]


def test_the_reader_finds_no_other_table(answers: dict[str, object]) -> None:
    assert "TABLE_OR_VIEW_NOT_FOUND" in str(answers[HIDDEN])


@pytest.mark.parametrize(
    ("statement", "folder"),
    [(BY_PATH, SEQUENCES), (CHANGE, f"{SCORES}/"), (MAKE, "/lake/risk")],
    ids=["reads files by their path", "deletes scores", "makes a table"],
)
def test_spark_refuses_that_the_reader(answers: dict[str, object], statement: str, folder: str) -> None:
    assert re.search(rf'user=reader, access=\w+, inode="{folder}', str(answers[statement]))


# MLflow


@pytest.fixture
def acting_as(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModelTracking]:
    """The registry's client of an identity."""

    def connect(identity: str) -> ModelTracking:
        for name, value in cluster.settings.identity(identity).items():
            monkeypatch.setenv(name, value)
        return connect_tracking(cluster.settings)

    return connect


def test_mlflow_answers_nobody_without_a_log_in(cluster: Cluster) -> None:
    url = f"{cluster.mlflow_uri}/api/2.0/mlflow/registered-models/get?name=risk_encoder"
    assert requests.get(url, timeout=60).status_code == 401
    assert requests.get(url, auth=("training", "wrong"), timeout=60).status_code == 401
    artifact = f"{cluster.mlflow_uri}/api/2.0/mlflow-artifacts/artifacts/1/x"
    assert requests.get(artifact, timeout=60).status_code == 401


def test_the_reader_has_no_log_in_to_mlflow(cluster: Cluster) -> None:
    assert not [name for name in cluster.settings.identity("reader") if "MLFLOW" in name]


@pytest.mark.parametrize("identity", ["training", "scoring"])
def test_who_trains_or_scores_cannot_approve(
    acting_as: Callable[[str], ModelTracking], champion: PinnedModel, identity: str
) -> None:
    with pytest.raises(PermissionDeniedError):
        acting_as(identity).mark_champion(champion.version)


def mlflow_refuses(cluster: Cluster, identity: str, method: str, path: str, **body: str) -> bool:
    variables = cluster.settings.identity(identity)
    answer = requests.request(
        method,
        f"{cluster.mlflow_uri}/{path}",
        json=body,
        auth=(variables["MLFLOW_TRACKING_USERNAME"], variables["MLFLOW_TRACKING_PASSWORD"]),
        timeout=60,
    )
    return answer.status_code == 403


@pytest.mark.parametrize("api", ["api/2.0", "ajax-api/2.0"])  # of clients, of the page
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "alias", {"alias": CHAMPION, "version": "1"}),
        ("POST", "alias", {"alias": "another", "version": "1"}),
        ("DELETE", "alias", {"alias": CHAMPION}),
        ("POST", "rename", {"new_name": "another"}),
        ("DELETE", "delete", {}),
    ],
    ids=["moves the champion", "moves another alias", "takes it away", "renames the model", "deletes it"],
)
def test_mlflow_refuses_that_training(
    cluster: Cluster, champion: PinnedModel, api: str, method: str, path: str, body: dict[str, str]
) -> None:
    path = f"{api}/mlflow/registered-models/{path}"
    assert mlflow_refuses(cluster, "training", method, path, name=champion.name, **body)


def test_who_approves_cannot_register(cluster: Cluster, champion: PinnedModel) -> None:
    known = MlflowClient(cluster.mlflow_uri).get_model_version(champion.name, str(champion.version))
    body = {"name": champion.name, "run_id": known.run_id, "source": known.source}
    assert mlflow_refuses(cluster, "promotion", "POST", "api/2.0/mlflow/model-versions/create", **body)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("model-versions/set-tag", {"version": "1", "key": "hdfs_uri", "value": "hdfs://forged"}),
        ("registered-models/alias", {"version": "1", "alias": CHALLENGER}),
        ("registered-models/alias", {"version": "1", "alias": CHAMPION}),
        ("runs/create", {"experiment_id": "1"}),
    ],
    ids=["tags a version", "moves the challenger", "moves the champion", "makes a run"],
)
def test_mlflow_refuses_that_scoring(
    cluster: Cluster, champion: PinnedModel, path: str, body: dict[str, str]
) -> None:
    assert mlflow_refuses(cluster, "scoring", "POST", f"api/2.0/mlflow/{path}", name=champion.name, **body)


def test_promotion_moves_the_champion(
    acting_as: Callable[[str], ModelTracking], champion: PinnedModel
) -> None:
    acting_as("promotion").mark_champion(champion.version)


# Airflow


def test_airflow_answers_nobody_without_a_log_in(cluster: Cluster) -> None:
    answer = requests.get(f"{cluster.settings.airflow_url}/api/v2/dags", timeout=60)
    assert answer.status_code == 401


@pytest.mark.usefixtures("published")
def test_a_viewer_of_airflow_cannot_trigger(cluster: Cluster) -> None:
    viewer = AirflowApi.login(cluster.layout, "viewer")
    assert viewer.runs("nightly_scoring")
    with pytest.raises(ClusterError, match="403"):
        viewer.trigger("nightly_scoring", {}, "2031-01-02")
    with pytest.raises(ClusterError, match="403"):
        viewer.backfill("nightly_scoring", "2026-01-01", "2026-01-01", 1)


def test_a_viewer_of_airflow_cannot_change_pools(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="403"):
        AirflowApi.login(cluster.layout, "viewer").set_pool("spark", 100, "forged")
