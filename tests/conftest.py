"""Fixtures that every test may use."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from local_cluster import postgres
from local_cluster.access.credentials import OWNER, pgpass, write_credentials
from local_cluster.configuration import catalog
from local_cluster.layout import Layout
from local_cluster.supervision import wait_until
from settings import Ports, Settings
from tests.made_up.lake_sessions import session_on
from tests.real_cluster import cluster, spark_on_yarn

__all__ = ["cluster", "spark_on_yarn"]  # fixtures of tests on the cluster

JARS = Path(__file__).parent.parent / ".cluster" / "jars"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rebuild-expected", action="store_true", help="write the DAGs' .expected files anew")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One local session in UTC with an Iceberg catalog `lake` in a temporary folder."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    jars = [jar for name in ("iceberg-spark-runtime-*", "postgresql-*") for jar in JARS.glob(f"{name}.jar")]
    session = (
        SparkSession.builder.master("local[2]")
        .appName("unit-tests")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.extraClassPath", ":".join(map(str, jars)))
        .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        # Without generated Java the tests' small queries take a fifth less; cluster tests run generated code.
        .config("spark.sql.codegen.wholeStage", "false")
        .config("spark.sql.codegen.factoryMode", "NO_CODEGEN")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.hadoop.parquet.page.verify-checksum.enabled", "true")
        .config("spark.sql.extensions", "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions")
        .config("spark.sql.catalog.lake", "org.apache.iceberg.spark.SparkCatalog")
        .config("spark.sql.catalog.lake.type", "hadoop")
        .config("spark.sql.catalog.lake.warehouse", tmp_path_factory.mktemp("lake").as_uri())
        .getOrCreate()
    )
    yield session
    session.stop()


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """A PostgreSQL of its own, as the one-machine cluster starts it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        ports = Ports(postgres=free.getsockname()[1])
    layout = Layout(Settings(cluster_home=tmp_path_factory.mktemp("postgres"), RISK_PORTS=ports))
    layout.make_folders()
    passwords = write_credentials(layout.identities)
    postgres.initialise(layout, passwords[OWNER])
    service = postgres.postgres_service(layout)
    with subprocess.Popen(service.command, stderr=subprocess.DEVNULL) as server:
        wait_until(service.is_ready, "PostgreSQL does not answer", timeout_seconds=60)
        postgres.create_databases(layout, passwords)
        yield layout
        server.send_signal(signal.SIGINT)  # SIGTERM would wait for its clients


@pytest.fixture(params=["hadoop", "jdbc"])
def either_catalog(request: pytest.FixtureRequest, spark: SparkSession) -> Iterator[SparkSession]:
    """A session whose catalog `lake` commits by renames of files, and one whose catalog is in PostgreSQL."""
    if request.param == "hadoop":
        yield spark
    else:
        yield request.getfixturevalue("in_postgres")


@pytest.fixture
def in_postgres(spark: SparkSession, database: Layout) -> Iterator[SparkSession]:
    """A session whose catalog `lake` is in PostgreSQL."""
    with session_on(spark, jdbc_catalog(spark, database)) as session:
        yield session


def jdbc_catalog(spark: SparkSession, database: Layout) -> dict[str, str]:
    """Settings of the catalog `lake` as on the one-machine cluster, with its files in a temporary folder."""
    passfile = str(pgpass(database.identities, "scoring"))
    spark._jvm.System.setProperty("org.postgresql.pgpassfile", passfile)
    return catalog(database) | {"spark.sql.catalog.lake.warehouse": (database.tmp / "lake").as_uri()}
