"""What set_up.py makes, on a real PostgreSQL and a real Airflow with its FAB log-in."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
import requests

from local_cluster.access.credentials import passwords_file
from local_cluster.airflow_api import AirflowApi
from local_cluster.layout import ClusterError, Layout
from local_cluster.supervision import wait_until
from settings import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
USERS = ("admin", "operator", "trainer", "viewer")


@dataclass(frozen=True)
class Airflow:
    """Airflow as the images run it, and a log-in of each of its users."""

    environment: dict[str, str]
    url: str

    def run(self, *command: str) -> None:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def set_up(self) -> None:
        self.run(sys.executable, str(REPOSITORY / "docker/set_up.py"), "secrets", "services")

    def log_in(self, user: str) -> AirflowApi:
        log_in = {"username": user, "password": self.environment[f"AIRFLOW_{user.upper()}_PASSWORD"]}
        answer = requests.post(f"{self.url}/auth/token", json=log_in, timeout=60)
        answer.raise_for_status()
        return AirflowApi(self.url, answer.json()["access_token"])


@pytest.fixture(scope="module")
def airflow(database: Layout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    folder = tmp_path_factory.mktemp("set_up")
    secrets = folder / "risk-secrets"
    for name in ("secrets", "promotion", "mlflow"):
        (folder / f"risk-{name}").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"127.0.0.1:{database.settings.ports.postgres}"
    variables = {
        "SECRETS_ROOT": str(folder),
        "RISK_MODEL_PUBLIC_KEY": str(secrets / "model-signing.pub"),
        "RISK_MODEL_SIGNING_KEY": str(folder / "risk-promotion" / "model-signing.key"),
        "POSTGRES_ADDRESS": address,
        "POSTGRES_PASSWORD": json.loads(passwords_file(database.identities).read_text())["risk"],
        "PGPASSFILE": str(secrets / "airflow.pgpass"),
        **{f"AIRFLOW_{user.upper()}_PASSWORD": f"password of {user}" for user in USERS},
        "AIRFLOW_FERNET_KEY": "",
        "AIRFLOW_API_SECRET_KEY": "api",
        "AIRFLOW_JWT_SECRET": "jwt, longer than 64 bytes, since it signs tokens by HMAC with SHA-512.",
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__API__SECRET_KEY_CMD": f"cat {secrets / 'api_secret_key'}",
        "AIRFLOW__API_AUTH__JWT_SECRET_CMD": f"cat {secrets / 'jwt_secret'}",
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://airflow@{address}/airflow",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    bin_folder = Path(sys.executable).parent
    environment = {**os.environ, **variables, "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    airflow = Airflow(environment, f"http://127.0.0.1:{port}")
    airflow.set_up()
    airflow.run("airflow", "dags", "reserialize")
    server = ["airflow", "api-server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (
        (folder / "api-server.log").open("w") as log,
        subprocess.Popen(
            server, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        ) as process,
    ):
        try:
            wait_until(
                lambda: is_up(airflow.url),
                "Airflow does not answer",
                300,
                (folder / "api-server.log").read_text,
            )
            yield airflow
        finally:
            process.terminate()


def is_up(url: str) -> bool:
    try:
        return requests.get(f"{url}/api/v2/monitor/health", timeout=5).ok
    except requests.RequestException:
        return False  # not yet: asked again until the deadline


def trigger(airflow: AirflowApi, dag_id: str) -> str:
    conf = {"training_date": "2026-01-31"} if dag_id == "train_encoder" else {}
    return airflow.trigger(dag_id, conf, None if conf else "2026-01-31")


DAGS = ("nightly_scoring", "train_encoder")
MAY_TRIGGER = {"operator": set(DAGS), "trainer": {"train_encoder"}, "viewer": set[str]()}


@pytest.mark.parametrize("dag_id", DAGS)
@pytest.mark.parametrize("user", MAY_TRIGGER)
def test_a_user_triggers_the_dags_of_its_role_alone(airflow: Airflow, user: str, dag_id: str) -> None:
    api = airflow.log_in(user)
    assert dag_id in api.dag_ids()
    if dag_id in MAY_TRIGGER[user]:
        assert trigger(api, dag_id)
    else:
        with pytest.raises(ClusterError, match="403"):
            trigger(api, dag_id)


@pytest.mark.parametrize("user", ["trainer", "viewer"])
def test_only_operators_change_pools_and_start_backfills(airflow: Airflow, user: str) -> None:
    api = airflow.log_in(user)
    with pytest.raises(ClusterError, match="403"):
        api.set_pool("gpu", 9, "forged")
    with pytest.raises(ClusterError, match="403"):
        api.backfill("nightly_scoring", "2026-01-01", "2026-01-01", 1)
    with pytest.raises(ClusterError, match="403"):
        api.call("GET", "connections")


def test_set_up_again_changes_a_password_and_keeps_the_rest(airflow: Airflow) -> None:
    changed = Airflow(airflow.environment | {"AIRFLOW_VIEWER_PASSWORD": "another one"}, airflow.url)
    changed.set_up()
    assert changed.log_in("viewer").dag_ids()
    with pytest.raises(requests.HTTPError, match="401"):
        airflow.log_in("viewer")
    assert airflow.log_in("operator").dag_ids()


def test_mlflows_role_owns_its_databases_and_sees_no_other(airflow: Airflow) -> None:
    address, root = airflow.environment["POSTGRES_ADDRESS"], airflow.environment["SECRETS_ROOT"]

    def connect(database: str) -> None:
        url = f"postgresql://mlflow@{address}/{database}"
        psycopg2.connect(url, passfile=f"{root}/risk-mlflow/mlflow.pgpass").close()

    connect("mlflow")
    connect("mlflow_auth")
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        connect("airflow")
