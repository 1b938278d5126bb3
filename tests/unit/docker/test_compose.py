"""The compose file shows secrets to nobody, and opens no page to the network."""

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from settings import REPOSITORY

DOCKER = REPOSITORY / "docker"
SECRETS = {
    "POSTGRES_PASSWORD",
    "AIRFLOW_ADMIN_PASSWORD",
    "AIRFLOW_FERNET_KEY",
    "AIRFLOW_API_SECRET_KEY",
    "AIRFLOW_JWT_SECRET",
}
RUN_TASKS = ("api-server", "scheduler", "dag-processor", "triggerer")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    compose: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return dict(compose["services"])


def secrets_in(part: object) -> set[str]:
    """Secrets that compose would write there."""
    return SECRETS & set(re.findall(r"\$\{(\w+)", str(part)))


def test_a_secret_without_a_value_is_refused_by_name() -> None:
    """Compose ends with the variable's name and the text after `:?` if it is absent or empty."""
    assert {*re.findall(r"\$\{(\w+):\?", (DOCKER / "compose.yaml").read_text())} >= SECRETS


def test_no_command_line_holds_a_secret(services):
    for name, service in services.items():
        assert not secrets_in(service.get("command")), name


def test_no_process_that_runs_tasks_has_a_secret_in_its_environment(services):
    for name in RUN_TASKS:
        assert not secrets_in(services[name]["environment"]), name
    assert secrets_in(services["set-up"]["environment"]) == SECRETS


def test_every_service_on_the_hosts_network_waits_for_the_set_up_that_checks_the_address(services):
    for name in ("mlflow", *RUN_TASKS):
        assert "set-up" in services[name]["depends_on"], name


def test_no_log_server_is_started(services):
    for name in ("scheduler", "triggerer"):
        assert "--skip-serve-logs" in services[name]["command"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What `set-up` has, with an `airflow` on the path that does nothing."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "airflow").write_text("#!/bin/sh\n")
    (programs / "airflow").chmod(0o755)
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(tmp_path / "passwords.json"),
        "AIRFLOW_ADMIN_PASSWORD": "admin's",
        "AIRFLOW_DATABASE": "postgresql+psycopg2://risk:secret@127.0.0.1/airflow",
        "AIRFLOW_FERNET_KEY": "fernet",
        "AIRFLOW_API_SECRET_KEY": "api",
        "AIRFLOW_JWT_SECRET": "jwt",
        "LISTEN_ADDRESS": "127.0.0.1",
    }


def set_up(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    script = str(DOCKER / "set_up.sh")
    return subprocess.run(["sh", script, "4"], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.7", "gateway.example"])
def test_an_address_that_others_can_reach_is_refused_by_name(environment, tmp_path, address):
    done = set_up({**environment, "LISTEN_ADDRESS": address})
    assert done.returncode == 78
    assert done.stderr.startswith(f"LISTEN_ADDRESS={address}: expected an address of this host alone")
    assert not (tmp_path / "secrets").exists()


def test_each_secret_is_a_file_of_the_account_that_the_commands_print(services, environment, tmp_path):
    assert set_up(environment).returncode == 0
    files = {
        variable: command.removeprefix("cat /var/lib/airflow/")
        for variable, command in services["scheduler"]["environment"].items()
        if variable.endswith("_CMD")
    }
    assert {variable: (tmp_path / file).read_text() for variable, file in files.items()} == {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": environment["AIRFLOW_DATABASE"],
        "AIRFLOW__CORE__FERNET_KEY_CMD": "fernet",
        "AIRFLOW__API__SECRET_KEY_CMD": "api",
        "AIRFLOW__API_AUTH__JWT_SECRET_CMD": "jwt",
    }
    written = [tmp_path / "passwords.json", *(tmp_path / file for file in files.values())]
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}
