"""Fixtures that every test may use."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

ICEBERG_JARS = Path(__file__).parent.parent / ".cluster" / "jars"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rebuild-expected", action="store_true", help="write the DAGs' .expected files anew")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One local session in UTC with an Iceberg catalog `lake` in a temporary folder."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    (iceberg_jar,) = ICEBERG_JARS.glob("iceberg-spark-runtime-*.jar")
    session = (
        SparkSession.builder.master("local[2]")
        .appName("unit-tests")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.extraClassPath", str(iceberg_jar))
        .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.extensions", "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions")
        .config("spark.sql.catalog.lake", "org.apache.iceberg.spark.SparkCatalog")
        .config("spark.sql.catalog.lake.type", "hadoop")
        .config("spark.sql.catalog.lake.warehouse", tmp_path_factory.mktemp("lake").as_uri())
        .getOrCreate()
    )
    yield session
    session.stop()
