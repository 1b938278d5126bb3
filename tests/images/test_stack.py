"""The images, run by docker/compose.yaml: from nothing to published nights and a restored backup.

One test after another, each on what the one before has left: `make test-images`.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import requests

from local_cluster.demo.landing import Delivery, find_simulated, land
from local_cluster.layout import ClusterError
from simulator.simulate import Simulation, simulate
from tests.images.build import configure_podman
from tests.images.stack import Stack, make_certificate, make_secrets

USERS = 1_500
RUN_SECONDS = 3_600
READ_SCORES = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[1]").config("spark.sql.catalog.lake.jdbc.user", "reader").getOrCreate()
rows = spark.sql("SELECT count(*) AS users, count(DISTINCT user_id) AS single, sum(hash(user_id, risk_score)) AS scores "
                 "FROM lake.risk.risk_scores WHERE ds = '{ds}'")
print("scores:", *rows.first())
"""

pytestmark = pytest.mark.timeout(2 * 3_600)


@pytest.fixture(scope="module")
def empty_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """No volume of an earlier run is left."""
    configure_podman(tmp_path_factory.mktemp("podman"))
    certificate = make_certificate(tmp_path_factory.mktemp("tls"))
    stack = Stack("risk_images", make_secrets() | certificate)
    stack.remove_volumes()
    yield stack
    stack.remove_volumes()


@pytest.fixture(scope="module")
def stack(empty_stack: Stack) -> Iterator[Stack]:
    with empty_stack.running():
        yield empty_stack


@pytest.fixture(scope="module")
def delivery(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Delivery:
    """Simulated days, uploaded from this host over WebHDFS."""
    folder = tmp_path_factory.mktemp("simulated") / "files"
    simulation = Simulation(USERS, days=3, first_day=date(2026, 1, 1), seed=7)
    simulate(simulation, folder, processes=1)
    delivery = find_simulated(simulation, folder)
    land(delivery, stack.settings)
    return delivery


def run(stack: Stack, dag_id: str, conf: dict[str, Any], partition_key: str | None = None) -> None:
    """Run a DAG and wait until it has ended well."""
    airflow = stack.airflow()
    airflow.unpause(dag_id)
    run_id = airflow.trigger(dag_id, conf, partition_key)
    deadline = time.monotonic() + RUN_SECONDS
    while (state := next(r["state"] for r in airflow.runs(dag_id) if r["dag_run_id"] == run_id)) != "success":
        states = {task["task_id"]: task["state"] for task in airflow.tasks(dag_id, run_id)}
        assert state != "failed", f"{dag_id} failed: {states}"
        assert time.monotonic() < deadline, f"{dag_id} has not ended: {states}"
        time.sleep(5)


def scores(stack: Stack, ds: date) -> str:
    """What a reader sees of a date: users, different users, and a sum over their scores."""
    reader = ("python", "-m", "local_cluster", "as", "reader")
    printed = stack.run_in("scheduler", *reader, "python", "-c", READ_SCORES.format(ds=ds))
    return printed.rpartition("scores: ")[2].strip()


@pytest.fixture(scope="module")
def champion(stack: Stack, delivery: Delivery) -> None:
    """Trained, registered, pushed and promoted."""
    training_date = delivery.training_date.isoformat()
    run(stack, "train_encoder", {"training_date": training_date})
    stack.run_in("promotion", "python", "-m", "model_registry", "promote", "--version", "1", "--by", "ada")
    assert "champion" in stack.run_in("promotion", "python", "-m", "model_registry", "list")


def check_published(stack: Stack, ds: date) -> None:
    users, single, _ = scores(stack, ds).split()
    assert int(users) == int(single) > USERS / 2


@pytest.mark.usefixtures("champion")
def test_a_night_is_published(stack: Stack, delivery: Delivery) -> None:
    run(stack, "nightly_scoring", {}, str(delivery.days[-2]))
    check_published(stack, delivery.days[-2])


@pytest.mark.usefixtures("champion")
def test_a_night_is_published_without_one_of_the_datanodes(stack: Stack, delivery: Delivery) -> None:
    stack.stop("datanode-2")
    run(stack, "nightly_scoring", {}, str(delivery.days[-1]))
    check_published(stack, delivery.days[-1])


def test_mlflow_asks_for_a_log_in(stack: Stack) -> None:
    answer = requests.get(
        f"{stack.settings.mlflow_uri}/api/2.0/mlflow/experiments/get?experiment_id=0", timeout=60
    )
    assert answer.status_code == 401


PAGES = {"airflow": "https://127.0.0.1:8443/api/v2/dags", "mlflow": "https://127.0.0.1:5443/"}


@pytest.mark.parametrize("page", PAGES)
def test_others_reach_a_page_by_tls_and_a_log_in_alone(stack: Stack, page: str) -> None:
    url = PAGES[page]
    certificate = f"{stack.secrets['TLS_FOLDER']}/certificate.pem"
    assert requests.get(url, verify=certificate, timeout=60).status_code == 401
    with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        requests.get(url, timeout=60)
    assert "HTTP request to an HTTPS server" in requests.get(url.replace("https", "http"), timeout=60).text


def test_mlflow_lets_an_identity_in_by_tls(stack: Stack) -> None:
    written = stack.run_in("scheduler", "cat", "/var/lib/risk-secrets/scoring.env")
    log_in = dict(line.split("=", 1) for line in written.split())
    answer = requests.get(
        f"{PAGES['mlflow']}api/2.0/mlflow/registered-models/get?name=risk_encoder",
        auth=(log_in["MLFLOW_TRACKING_USERNAME"], log_in["MLFLOW_TRACKING_PASSWORD"]),
        verify=f"{stack.secrets['TLS_FOLDER']}/certificate.pem",
        timeout=60,
    )
    assert answer.json()["registered_model"]["name"] == "risk_encoder"


def test_only_the_container_of_promotions_can_promote(stack: Stack) -> None:
    key = "/var/lib/risk-promotion/model-signing.key"
    assert "PRIVATE KEY" in stack.run_in("promotion", "head", "--lines=1", key)
    for service in ("scheduler", "api-server", "triggerer", "dag-processor", "nodemanager", "mlflow"):
        found = stack.run_in(
            service, "find", "/var/lib", "-maxdepth", "2", "-path", "/var/lib/risk-*", "-type", "f"
        )
        names = {path.rsplit("/", 1)[1] for path in found.split()}
        assert names, service
        assert not names & {"model-signing.key", "promotion.env", "passwords.json", "risk.pgpass"}, service
        assert ("mlflow_auth.ini" in names) == (service == "mlflow"), service


def test_a_viewer_cannot_start_a_training_and_a_trainer_no_night(stack: Stack) -> None:
    for user, dag_id in (("viewer", "train_encoder"), ("trainer", "nightly_scoring")):
        with pytest.raises(ClusterError, match="403"):
            stack.airflow(user).unpause(dag_id)


@pytest.fixture
def restored(empty_stack: Stack, delivery: Delivery, tmp_path: Path) -> Iterator[tuple[Stack, list[str]]]:
    """The stack from a backup, in new volumes, and what readers saw before."""
    before = [scores(empty_stack, ds) for ds in delivery.days[-2:]]
    empty_stack.compose("down")
    empty_stack.back_up(tmp_path)
    copy = replace(empty_stack, project="risk_restored")
    copy.remove_volumes()
    copy.restore(tmp_path)
    with copy.running():
        yield copy, before
    copy.remove_volumes()


@pytest.mark.usefixtures("champion")
def test_a_backup_in_new_volumes_holds_the_same_scores(
    restored: tuple[Stack, list[str]], delivery: Delivery
) -> None:
    stack, before = restored
    assert [scores(stack, ds) for ds in delivery.days[-2:]] == before
