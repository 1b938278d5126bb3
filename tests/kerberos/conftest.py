"""One secured cluster for the tests of this folder, below `.cluster/kerberos` and on ports of its own."""

import os
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import pytest

from local_cluster.layout import Layout
from local_cluster.supervision import stop_everything
from model_registry.hashing import folder_sha256
from model_registry.store.webhdfs import WebHdfs, webhdfs_client
from model_registry.versions import ModelVersion
from settings import REPOSITORY, Settings
from tests.kerberos.certificates import create_authority
from tests.kerberos.realm import REALM, Realm
from tests.kerberos.secured import HDFS, HTTP, YARN, Secured
from tests.made_up.tiny_model import save_tiny_model
from tests.real_cluster import Cluster

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
    for name in (HDFS, YARN, HTTP, "reader"):
        realm.add(name)
    # The pipeline's tickets end sooner than its tests.
    realm.add("risk", longest_life="2 minutes")
    authority = create_authority(HOME / "tls")
    # DAGs and jobs read them, as all other processes do.
    os.environ |= realm.environment() | {
        "RISK_CLUSTER_HOME": str(HOME),
        "RISK_PORT_OFFSET": str(PORT_OFFSET),
        "RISK_WEBHDFS_URI": f"https://localhost:{WEBHDFS_PORT}",
        "RISK_KERBEROS_PRINCIPAL": f"risk@{REALM}",
        "RISK_KERBEROS_KEYTAB": str(realm.keytab("risk")),
        "RISK_CA_FILE": str(authority.certificate),
    }
    secured = Secured(Layout(Settings()), realm, authority)
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
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model") / "saved_model")


@pytest.fixture(scope="session")
def version(saved_model: Path) -> ModelVersion:
    return ModelVersion("kerberos_tiny", 1, folder_sha256(saved_model))
