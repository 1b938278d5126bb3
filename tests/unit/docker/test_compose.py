"""The compose files show secrets to nobody, and open no page to the network."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from settings import REPOSITORY

DOCKER = REPOSITORY / "docker"
SECRETS = {
    "POSTGRES_PASSWORD",
    "AIRFLOW_ADMIN_PASSWORD",
    "AIRFLOW_OPERATOR_PASSWORD",
    "AIRFLOW_TRAINER_PASSWORD",
    "AIRFLOW_VIEWER_PASSWORD",
    "AIRFLOW_FERNET_KEY",
    "AIRFLOW_API_SECRET_KEY",
    "AIRFLOW_JWT_SECRET",
}
RUN_TASKS = ("api-server", "scheduler", "dag-processor", "triggerer")


@pytest.fixture(scope="module", params=["compose.yaml", "compose.gateway.yaml"])
def text(request: pytest.FixtureRequest) -> str:
    return (DOCKER / request.param).read_text()


@pytest.fixture(scope="module")
def services(text: str) -> dict[str, Any]:
    return dict(yaml.safe_load(text)["services"])


def secrets_in(part: object) -> set[str]:
    """Secrets that compose would write there."""
    return SECRETS & set(re.findall(r"\$\{(\w+)", str(part)))


def test_a_secret_without_a_value_is_refused_by_name(text: str) -> None:
    """Compose ends with the variable's name and the text after `:?` if it is absent or empty."""
    assert {*re.findall(r"\$\{(\w+):\?", text)} >= SECRETS


def test_no_command_line_holds_a_secret(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert not secrets_in(service.get("command")), name


def test_only_the_set_up_and_postgres_have_a_secret_in_their_environment(services: dict[str, Any]) -> None:
    holders = {name for name, service in services.items() if secrets_in(service.get("environment"))}
    assert holders == {"set-up", "postgres"}
    assert secrets_in(services["set-up"]["environment"]) == SECRETS


def test_every_service_with_a_page_waits_for_the_set_up(services: dict[str, Any]) -> None:
    for name in ("mlflow", *RUN_TASKS):
        assert "set-up" in services[name]["depends_on"], name


def test_ports_are_published_on_this_host_alone(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_signing_key_is_where_people_promote_and_nowhere_else(services: dict[str, Any]) -> None:
    holders = {name for name, service in services.items() if "promotion:" in str(service.get("volumes"))}
    assert holders == {"set-up", "promotion"}


def test_the_proxy_publishes_only_the_pages_that_have_log_ins() -> None:
    stack = yaml.safe_load((DOCKER / "compose.tls.yaml").read_text())
    assert set(stack["services"]) == {"proxy", "mlflow"}
    assert "ports" not in stack["services"]["mlflow"]
    pages = re.findall(r"reverse_proxy ([\w:-]+)", (DOCKER / "Caddyfile").read_text())
    assert pages == ["api-server:8080", "mlflow:5000"]


def test_no_log_server_is_started(services: dict[str, Any]) -> None:
    for name in ("scheduler", "triggerer"):
        assert "--skip-serve-logs" in services[name]["command"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What `set-up` needs to write secrets."""
    for name in ("secrets", "promotion", "mlflow"):
        (tmp_path / f"risk-{name}").mkdir()
    return {
        "PATH": os.environ["PATH"],
        "SECRETS_ROOT": str(tmp_path),
        "RISK_MODEL_PUBLIC_KEY": str(tmp_path / "risk-secrets" / "model-signing.pub"),
        "RISK_MODEL_SIGNING_KEY": str(tmp_path / "risk-promotion" / "model-signing.key"),
        "POSTGRES_PASSWORD": "secret",
        "AIRFLOW_FERNET_KEY": "fernet",
        "AIRFLOW_API_SECRET_KEY": "api",
        "AIRFLOW_JWT_SECRET": "jwt",
    }


def set_up(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DOCKER / "set_up.py"), "secrets"]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.7", "gateway.example"])
def test_an_address_that_others_can_reach_is_refused_by_name(
    environment: dict[str, str], tmp_path: Path, address: str
) -> None:
    done = set_up({**environment, "LISTEN_ADDRESS": address})
    assert done.returncode == 78
    assert done.stderr.startswith(f"LISTEN_ADDRESS={address}: expected an address of this host alone")
    assert not [*(tmp_path / "risk-secrets").iterdir()]


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1"])
def test_each_secret_is_a_file_of_the_account_that_the_commands_print(
    services: dict[str, Any], environment: dict[str, str], tmp_path: Path, address: str
) -> None:
    done = set_up({**environment, "LISTEN_ADDRESS": address})
    assert done.returncode == 0, done.stderr
    files = {
        variable: tmp_path / "risk-secrets" / command.removeprefix("cat /var/lib/risk-secrets/")
        for variable, command in services["scheduler"]["environment"].items()
        if variable.endswith("_CMD")
    }
    assert {variable: path.read_text() for variable, path in files.items()} == {
        "AIRFLOW__CORE__FERNET_KEY_CMD": "fernet",
        "AIRFLOW__API__SECRET_KEY_CMD": "api",
        "AIRFLOW__API_AUTH__JWT_SECRET_CMD": "jwt",
    }
    assert (tmp_path / "risk-promotion" / "risk.pgpass").read_text() == "*:*:*:risk:secret\n"
    private = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".pub"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}


@pytest.mark.parametrize(("account", "user"), [(None, "training"), ("svc_risk", "svc_risk")])
def test_identities_have_their_own_names_on_hdfs_or_the_one_account_that_a_cluster_gives(
    environment: dict[str, str], tmp_path: Path, account: str | None, user: str
) -> None:
    done = set_up(environment | ({"RISK_HDFS_USER": account} if account else {}))
    assert done.returncode == 0, done.stderr
    variables = (tmp_path / "risk-secrets" / "training.env").read_text().splitlines()
    assert f"HADOOP_USER_NAME={user}" in variables


def test_services_and_tasks_find_the_files_that_set_up_writes(
    services: dict[str, Any], environment: dict[str, str], tmp_path: Path
) -> None:
    set_up(environment)
    for name in (*RUN_TASKS, "mlflow", "promotion"):
        named = re.findall(r"/var/lib/(risk-[\w./-]+)", str(services[name]["environment"]))
        mounted = {volume.split(":")[1].removeprefix("/var/lib/") for volume in services[name]["volumes"]}
        for path in named:
            if path.split("/")[0] in mounted and not path.endswith(
                "mlflow_auth.ini"
            ):  # it comes with the databases
                assert (tmp_path / path).exists(), (name, path)
    assert services["scheduler"]["environment"]["RISK_IDENTITIES_DIR"] == "/var/lib/risk-secrets"
