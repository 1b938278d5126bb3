"""One real cluster for all tests that need one, below `.cluster/test` and on ports of its own."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hdfs
import pytest
import requests
from pyspark.sql import SparkSession

from local_cluster.access.credentials import MLFLOW_ADMIN, passwords_file
from local_cluster.airflow_api import AirflowApi
from local_cluster.environment import identity_environment
from local_cluster.layout import Layout
from local_cluster.start import start
from local_cluster.supervision import stop_everything
from model_registry.connect import connect_store
from model_registry.signing import sign_folder
from model_registry.store.webhdfs import webhdfs_client
from model_registry.versions import PinnedModel
from settings import REPOSITORY, Settings

# Far from the demo's, which may be running.
PORT_OFFSET = 21_000
HOME = REPOSITORY / ".cluster" / "test"


@dataclass(frozen=True)
class Cluster:
    """Addresses and clients of the running services."""

    layout: Layout

    @property
    def settings(self) -> Settings:
        return self.layout.settings

    @property
    def hdfs_url(self) -> str:
        return self.settings.hdfs_url

    @property
    def webhdfs_url(self) -> str:
        return self.settings.webhdfs_url

    @property
    def mlflow_uri(self) -> str:
        return self.settings.mlflow_tracking_uri

    def hdfs_as(self, identity: str) -> hdfs.Client:
        """The client of an identity, such as `training`."""
        return hdfs.InsecureClient(self.webhdfs_url, user=self.settings.hdfs_user_of(identity))

    @property
    def hdfs(self) -> hdfs.Client:
        return webhdfs_client(self.webhdfs_url, self.settings.hdfs_user)

    @property
    def airflow(self) -> AirflowApi:
        return AirflowApi.login(self.layout)

    def make_folder(self, path: str, owner: str) -> None:
        """Make a folder on HDFS for an identity that could not make it itself."""
        self.hdfs.makedirs(path)
        self.hdfs.set_owner(path, owner)

    def fsck(self, path: str, **options: str) -> str:
        """Check the blocks below a path, as `hdfs fsck` does; `files="1", blocks="1"` lists them."""
        answer = requests.get(
            f"http://127.0.0.1:{self.settings.ports.namenode_web}/fsck",
            params={"path": path, "ugi": self.settings.hdfs_user, **options},
            timeout=30,
        )
        return answer.text

    def set_quota(self, folder: str, storage_bytes: int) -> None:
        """Limit the space of a folder on HDFS, replicas counted; -1 takes the limit away."""
        answer = requests.put(
            f"{self.webhdfs_url}/webhdfs/v1{folder}",
            params={
                "op": "SETQUOTA",
                "namespacequota": -1,
                "storagespacequota": storage_bytes,
                "user.name": self.settings.hdfs_user,
            },
            timeout=30,
        )
        answer.raise_for_status()

    def sign(self, model: PinnedModel, scratch: Path) -> None:
        """Sign a pushed model as a promotion does, without making it champion."""
        store = connect_store(self.settings)
        store.sign(model, sign_folder(store.pull(model, scratch), self.settings.signing_key))

    def environment(self) -> dict[str, str]:
        """Of a job that is submitted from a test."""
        return {**os.environ, **identity_environment(self.layout, "scoring")}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Started from nothing, stopped at the end; its logs stay in `.cluster/test/logs`."""
    # Seconds, not hours: a wait that must fail is seen to fail.
    os.environ |= {"RISK_LANDING_TIMEOUT_MINUTES": "0.1", "RISK_WAIT_POLL_SECONDS": "2"}
    settings = Settings(cluster_home=HOME, port_offset=PORT_OFFSET)
    layout = Layout(settings)
    stop_everything(layout)
    remove_data(HOME)
    start(layout)
    os.environ |= of_the_tests(layout)
    yield Cluster(layout)
    stop_everything(layout)


def of_the_tests(layout: Layout) -> dict[str, str]:
    """Variables by which a test may do everything: HDFS's superuser, MLflow's admin."""
    passwords = json.loads(passwords_file(layout.identities).read_text())
    return {
        "RISK_HDFS_USER": layout.settings.hdfs_user,
        "MLFLOW_TRACKING_USERNAME": MLFLOW_ADMIN,
        "MLFLOW_TRACKING_PASSWORD": passwords[MLFLOW_ADMIN],
    }


def remove_data(home: Path) -> None:
    """What an earlier run kept, so that every run starts alike."""
    for folder in ("data", "logs", "tmp"):
        shutil.rmtree(home / folder, ignore_errors=True)


@pytest.fixture(scope="session")
def spark_on_yarn(cluster: Cluster) -> Iterator[SparkSession]:
    """A session on YARN in client mode, with the cluster's own spark-defaults and identity, as jobs have."""
    os.environ |= identity_environment(cluster.layout, "scoring") | of_the_tests(cluster.layout)
    session = SparkSession.builder.master("yarn").appName("cluster-tests").getOrCreate()
    yield session
    session.stop()
