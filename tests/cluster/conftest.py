"""One real cluster for all cluster tests: HDFS, YARN, MLflow and Airflow below `.cluster/test`, on ports of its own."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import hdfs
import pytest
from pyspark.sql import SparkSession

from jobs.audit_scores import main as audit_scores
from jobs.build_sequences import main as build_sequences
from jobs.extract_sessions import main as extract_sessions
from jobs.lake.tables import TablePartition
from jobs.score_users import main as score_users
from local_cluster.airflow_api import AirflowApi
from local_cluster.demo.landing import find_delivery, land
from local_cluster.demo.watch import follow
from local_cluster.environment import client_environment
from local_cluster.layout import Layout
from local_cluster.start import start
from local_cluster.supervision import stop_everything
from model_registry.connect import connect_store, connect_tracking
from model_registry.resolve import pin
from model_registry.versions import PinnedModel
from settings import REPOSITORY, Settings
from simulator.simulate import Simulation, simulate

SIMULATION = Simulation(users=600, days=4, first_day=date(2026, 1, 1), seed=11, apps=200)
TRAINING_DATE = "2026-04-01"  # all labels are observed by then
# How well it ranks is not asked here.
SMALL_TRAINING = {
    "encoder.hidden-dim": 16,
    "encoder.intermediate-dim": 32,
    "encoder.num-layers": 1,
    "recipe.enough-held-out": 1,
    "training.max-epochs": 2,
    "training.schedule": "linear",
}

# Far from the demo's, which may be running.
PORT_OFFSET = 21_000


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

    @property
    def hdfs(self) -> hdfs.Client:
        return hdfs.InsecureClient(self.webhdfs_url, user=self.settings.hdfs_user)

    @property
    def airflow(self) -> AirflowApi:
        return AirflowApi.login(self.layout)

    def environment(self) -> dict[str, str]:
        """Of a job that is submitted from a test."""
        return {**os.environ, **client_environment(self.layout)}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Started from nothing, stopped at the end; its logs stay in `.cluster/test/logs`."""
    home = REPOSITORY / ".cluster" / "test"
    # Seconds, not hours: a wait that must fail is seen to fail.
    os.environ |= {"RISK_LANDING_TIMEOUT_MINUTES": "0.1", "RISK_WAIT_POLL_SECONDS": "2"}
    settings = Settings(cluster_home=home, port_offset=PORT_OFFSET)
    layout = Layout(settings)
    stop_everything(layout)
    remove_data(home)
    start(layout)
    yield Cluster(layout)
    stop_everything(layout)


def remove_data(home: Path) -> None:
    """What an earlier run kept, so that every run starts alike."""
    for folder in ("data", "logs", "tmp"):
        shutil.rmtree(home / folder, ignore_errors=True)


@pytest.fixture(scope="session")
def landed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> list[date]:
    """Four simulated landing days on HDFS, with their labels."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate(SIMULATION, folder / "files", processes=1)
    delivery = find_delivery(folder / "files" / "installs", folder / "files" / "labels.csv")
    land(delivery, cluster.settings)
    return delivery.days


@pytest.fixture(scope="session")
def training_run(cluster: Cluster, landed: list[date]) -> str:  # noqa: ARG001 (on HDFS)
    """A run of the DAG `train_encoder`, which goes on while other tests run."""
    airflow = cluster.airflow
    airflow.unpause("train_encoder")
    settings = {"training_date": TRAINING_DATE, "promote": True, "settings": SMALL_TRAINING}
    return airflow.trigger("train_encoder", settings)


@pytest.fixture(scope="session", autouse=True)
def longest_first(request: pytest.FixtureRequest) -> None:
    """Start the training before tests that need no model: on two cores its steps leave time for them."""
    if any("champion" in getattr(test, "fixturenames", ()) for test in request.session.items):
        request.getfixturevalue("training_run")


@pytest.fixture(scope="session")
def champion(cluster: Cluster, training_run: str) -> PinnedModel:
    """The encoder that the DAG `train_encoder` trained, registered, pushed and promoted."""
    follow(
        cluster.airflow,
        cluster.layout,
        "train_encoder",
        lambda run: run["dag_run_id"] == training_run,
        1,
        900,
    )
    return pin(connect_tracking(cluster.settings), connect_store(cluster.settings))


@pytest.fixture(scope="session")
def backfilled(cluster: Cluster, landed: list[date], champion: PinnedModel) -> list[date]:  # noqa: ARG001
    """The last two landed days: a backfill through Airflow that submits each job of each day."""
    days = landed[-2:]
    airflow = cluster.airflow
    airflow.unpause("nightly_scoring")
    airflow.backfill("nightly_scoring", days[0].isoformat(), days[-1].isoformat(), max_active_runs=2)
    return days


@pytest.fixture(scope="session")
def published(
    cluster: Cluster,
    landed: list[date],
    champion: PinnedModel,
    backfilled: list[date],
    spark: SparkSession,  # noqa: ARG001 (what the jobs run on)
) -> list[date]:
    """The last three landed days, scored: the first by the jobs on a session that stands, meanwhile the backfill."""
    run_night(cluster, landed[-3], champion)
    follow(
        cluster.airflow,
        cluster.layout,
        "nightly_scoring",
        lambda run: run["run_type"] == "backfill",
        len(backfilled),
        1200,
    )
    return landed[-3:]


def run_night(cluster: Cluster, ds: date, model: PinnedModel) -> None:
    """What the DAG `nightly_scoring` runs, without eight seconds of Spark's start for each job."""
    hdfs_url, settings = cluster.hdfs_url, cluster.settings
    roots = {
        "landing_root": hdfs_url + settings.landing_root,
        "receipts_root": hdfs_url + settings.receipts_root,
    }
    sequences, scores = f"risk.user_sequences/ds={ds}", f"risk.risk_scores/ds={ds}"
    extract_sessions(
        sessions="risk.install_sessions",
        rejected="risk.rejected_events",
        counts="risk.extraction_counts",
        day=[ds],
        **roots,
    )
    build_sequences(sessions="risk.install_sessions", sequences=TablePartition.parse(sequences), **roots)
    wap_id = f"night-{ds}"
    score_users(sequences=sequences, scores=scores, model=model.to_json(), wap_id=wap_id, run_id=wap_id)
    audit_scores(sequences=sequences, scores=scores, model=model.to_json(), wap_id=wap_id)


@pytest.fixture(scope="session")
def spark(cluster: Cluster) -> Iterator[SparkSession]:
    """A session on YARN in client mode, with the cluster's own spark-defaults, as jobs have."""
    os.environ |= client_environment(cluster.layout)
    session = SparkSession.builder.master("yarn").appName("cluster-tests").getOrCreate()
    yield session
    session.stop()
