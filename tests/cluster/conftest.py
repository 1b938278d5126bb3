"""What the cluster tests share: landed days, a model that Airflow trained, published scores."""

from datetime import date

import pytest
from pyspark.sql import SparkSession

from local_cluster.demo.landing import find_simulated, land
from local_cluster.demo.steps import promote
from local_cluster.demo.watch import follow
from model_registry.connect import connect_store, connect_tracking
from model_registry.resolve import pin
from model_registry.versions import PinnedModel
from simulator.simulate import Simulation, simulate
from tests.night import audit, build, extract, score
from tests.real_cluster import Cluster

SIMULATION = Simulation(users=600, days=4, first_day=date(2026, 1, 1), seed=11, apps=200)
TRAINING_DATE = "2026-04-01"  # all labels are observed by then


@pytest.fixture(scope="session")
def landed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> list[date]:
    """Four simulated landing days on HDFS, with their labels."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate(SIMULATION, folder / "files", processes=1)
    delivery = find_simulated(SIMULATION, folder / "files")
    land(delivery, cluster.settings)
    return delivery.days


@pytest.fixture(scope="session")
def training_run(cluster: Cluster, landed: list[date]) -> str:  # noqa: ARG001 (on HDFS)
    """A run of the DAG `train_encoder`, started and not waited for: its run id."""
    airflow = cluster.airflow
    airflow.unpause("train_encoder")
    # A small encoder, few epochs, one fold: how well it ranks is not asked here.
    settings = {
        "encoder.num-layers": 1,
        "encoder.hidden-dim": 16,
        "encoder.intermediate-dim": 32,
        "training.max-epochs": 2,
        "training.schedule": "linear",
        "recipe.enough-held-out": 1,
    }
    return airflow.trigger("train_encoder", {"training_date": TRAINING_DATE, "settings": settings})


@pytest.fixture(scope="session", autouse=True)
def train_ahead(request: pytest.FixtureRequest) -> None:
    """Start the training before the first test if any test needs its model: the other tests run beside it."""
    if any("training_run" in item.fixturenames for item in request.session.items):
        request.getfixturevalue("training_run")


@pytest.fixture(scope="session")
def champion(cluster: Cluster, training_run: str) -> PinnedModel:
    """An encoder that the DAG `train_encoder` trained, registered and pushed, and that was promoted then."""
    follow(
        cluster.airflow,
        cluster.layout,
        "train_encoder",
        lambda run: run["dag_run_id"] == training_run,
        1,
        900,
    )
    tracking = connect_tracking(cluster.settings)
    promote(cluster.layout, tracking.rows()[0].version)
    return pin(tracking, connect_store(cluster.settings))


@pytest.fixture(scope="session")
def published(
    cluster: Cluster,
    spark: SparkSession,  # noqa: ARG001 (the jobs' session)
    landed: list[date],
    champion: PinnedModel,
) -> list[date]:
    """The last three landed days, scored: two by a backfill through Airflow, the first by the jobs' `main`.

    A submitted job costs 30 s of processor time, most of it for the start of its two JVMs.
    """
    here, *backfilled = landed[1:]
    # Before the backfill, which waits for the receipts of all earlier days.
    extract(cluster.settings, here)
    airflow = cluster.airflow
    airflow.unpause("nightly_scoring")
    first, last = backfilled[0].isoformat(), backfilled[-1].isoformat()
    airflow.backfill("nightly_scoring", first, last, max_active_runs=2)
    # Beside it, so that three dates publish to one table at a time.
    build(cluster.settings, here)
    score(champion, here, "here-1")
    audit(champion, here, "here-1")
    follow(airflow, cluster.layout, "nightly_scoring", lambda run: run["run_type"] == "backfill", 2, 1200)
    return [here, *backfilled]


@pytest.fixture(scope="session")
def backfilled(published: list[date]) -> list[date]:
    """The days of the backfill through Airflow."""
    return published[1:]


@pytest.fixture(scope="session")
def spark(spark_on_yarn: SparkSession) -> SparkSession:
    """The session on YARN in place of the local one."""
    return spark_on_yarn
