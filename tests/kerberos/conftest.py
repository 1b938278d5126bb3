"""One secured cluster for the tests of this folder, below `.cluster/kerberos` and on ports of its own."""

import json
import os
import tempfile
from collections.abc import Iterator
from datetime import date
from shutil import rmtree

import pytest
from pyspark.sql import SparkSession

from local_cluster.environment import identity_environment, spark_connection
from local_cluster.layout import Layout
from local_cluster.supervision import stop_everything
from model_registry.store.webhdfs import WebHdfs, webhdfs_client
from model_registry.versions import PinnedModel
from settings import REPOSITORY, Settings
from tests.faults.harness.scored_days import DAYS as ALL_DAYS
from tests.faults.harness.scored_days import land, landed_rows, push_tiny_model
from tests.kerberos.certificates import create_authority
from tests.kerberos.nights import JOBS, Night, published
from tests.kerberos.realm import REALM, Realm
from tests.kerberos.secured import HDFS, HTTP, YARN, Secured
from tests.real_cluster import Cluster

# Airflow's import writes a configuration into its home. The DAGs are read here; no Airflow runs.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

DAYS = ALL_DAYS[:2]
HOME = REPOSITORY / ".cluster" / "kerberos"
PORT_OFFSET = 5_000
KDC_PORT = PORT_OFFSET + 1_088
WEBHDFS_PORT = PORT_OFFSET + 9_870


@pytest.fixture(scope="session")
def secured() -> Iterator[Secured]:
    """Started from nothing, stopped at the end; its logs stay in `.cluster/kerberos/logs`."""
    stop_everything(Layout(Settings(cluster_home=HOME)))
    rmtree(HOME, ignore_errors=True)
    realm = Realm(HOME / "realm", KDC_PORT)
    realm.create()
    for name in (HDFS, YARN, HTTP, "landing", "training", "reader", "scoring/operator"):
        realm.add(name)
    # The pipeline's tickets end sooner than its tests.
    realm.add("scoring", longest_life="2 minutes")
    authority = create_authority(HOME / "tls")
    # DAGs and jobs read them, as all other processes do.
    os.environ |= realm.environment() | {
        "RISK_CLUSTER_HOME": str(HOME),
        "RISK_PORT_OFFSET": str(PORT_OFFSET),
        "RISK_IDENTITIES_DIR": str(HOME / "data" / "identities"),
        "RISK_WEBHDFS_URI": f"https://localhost:{WEBHDFS_PORT}",
        "RISK_KERBEROS_PRINCIPAL": f"scoring@{REALM}",
        "RISK_KERBEROS_KEYTAB": str(realm.keytab("scoring")),
        "RISK_CA_FILE": str(authority.certificate),
    }
    secured = Secured(Layout(Settings()), realm, authority)
    os.environ["AIRFLOW_CONN_SPARK_DEFAULT"] = json.dumps(spark_connection(secured.layout))
    secured.start()
    yield secured
    stop_everything(secured.layout)


@pytest.fixture(scope="session")
def cluster(secured: Secured) -> Cluster:
    """The same services as the tests of other folders see theirs."""
    return Cluster(secured.layout)


@pytest.fixture(scope="session")
def webhdfs(secured: Secured) -> WebHdfs:
    """HDFS as the pipeline's user sees it, by the client of the whole pipeline."""
    return WebHdfs(webhdfs_client(secured.settings.webhdfs_url, secured.settings.hdfs_user))


@pytest.fixture(scope="session")
def model(secured: Secured, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> PinnedModel:
    """A model that is scored by hand, pushed to HDFS by the identity that may."""
    with secured.acting_as("training"):
        return push_tiny_model(cluster, tmp_path_factory.mktemp("model"), name="risk_encoder")


@pytest.fixture(scope="session")
def landed(secured: Secured, cluster: Cluster) -> list[date]:
    """Two landing days of 300 users on HDFS."""
    with secured.acting_as("landing"):
        for ds in DAYS:
            land(cluster, ds, landed_rows(ds))
    return DAYS


@pytest.fixture(scope="session")
def reader(secured: Secured) -> Iterator[SparkSession]:
    """A session of the principal `reader`, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in identity_environment(secured.layout, "reader").items():
            patch.setenv(name, value)
        session = (
            SparkSession.builder.master("local[1]")
            .config("spark.sql.catalog.lake.jdbc.user", "reader")
            .config("spark.kerberos.principal", f"reader@{REALM}")
            .config("spark.kerberos.keytab", str(secured.realm.keytab("reader")))
            .getOrCreate()
        )
    yield session
    session.stop()


@pytest.fixture(scope="session")
def first_night(secured: Secured, model: PinnedModel, landed: list[date], reader: SparkSession) -> list[str]:
    """Run the first day's night as the DAG submits it; return what readers see then."""
    night = Night(secured, model, landed[0], "first")
    for job in JOBS:
        done = night.submit(job)
        assert done.returncode == 0, f"{job}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return published(reader, landed[0])


@pytest.fixture(scope="session")
def scored(landed: list[date], first_night: list[str]) -> date:  # noqa: ARG001 (it has run)
    """The first day, whose sequences are built."""
    return landed[0]
