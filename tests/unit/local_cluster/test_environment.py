"""Keys and passwords of the one-machine cluster are readable by its owner alone."""

import json
import stat
import subprocess
from pathlib import Path

import pytest

from local_cluster.environment import airflow_environment, airflow_passwords, service_environment
from local_cluster.layout import Layout
from local_cluster.services import airflow_services
from local_cluster.supervision import write_supervisor_configuration
from settings import Settings

KEYS = ("AIRFLOW__API__SECRET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(Settings(cluster_home=tmp_path / "home"))
    layout.make_folders()
    return layout


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_may_enter_the_clusters_folders(layout: Layout) -> None:
    folders = (
        *(layout.conf, layout.logs, layout.data, layout.run, layout.tmp),
        *(layout.airflow_home, layout.identities),
    )
    assert {mode(folder) for folder in folders} == {0o700}


def test_folders_that_an_earlier_start_left_open_are_closed(layout: Layout) -> None:
    layout.data.chmod(0o755)
    layout.make_folders()
    assert mode(layout.data) == 0o700


def test_the_password_of_airflows_page_is_there_before_airflow_and_for_its_owner_alone(
    layout: Layout,
) -> None:
    airflow_environment(layout)
    path = layout.airflow_home / "passwords.json"
    assert mode(path) == 0o600
    passwords = json.loads(path.read_text())
    assert passwords.keys() == {"admin", "viewer"}
    assert all(len(password) >= 16 for password in passwords.values())


def test_no_key_is_in_the_environment_of_the_services(layout: Layout) -> None:
    environment = service_environment(layout)
    keys = [path.read_text() for path in layout.data.glob("*.secret")]
    assert len(keys) == len(KEYS)
    assert not [key for key in keys if key in "\n".join(environment.values())]
    assert not environment.keys() & set(KEYS)


def test_the_commands_in_the_environment_print_the_keys(layout: Layout) -> None:
    for name in KEYS:
        command = airflow_environment(layout)[f"{name}_CMD"]
        printed = subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout
        assert len(printed) == 64
        assert airflow_environment(layout)[f"{name}_CMD"] == command


def test_a_key_stays_the_same_and_an_empty_one_is_made_anew(layout: Layout) -> None:
    """A key file is empty after a kill between its making and its writing."""
    airflow_environment(layout)
    path = layout.data / "airflow-jwt.secret"
    first = path.read_text()
    airflow_environment(layout)
    assert path.read_text() == first
    path.write_text("")
    airflow_environment(layout)
    assert len(path.read_text()) == 64
    assert mode(path) == 0o600
    assert sorted(file.name for file in layout.data.iterdir() if file.is_file()) == [
        "airflow-api-key.secret",
        "airflow-jwt.secret",
    ]


def test_a_password_that_somebody_set_is_kept(layout: Layout) -> None:
    (layout.airflow_home / "passwords.json").write_text('{"admin": "chosen"}')
    assert json.loads(airflow_passwords(layout).read_text())["admin"] == "chosen"


def test_services_write_files_for_their_owner_alone(layout: Layout) -> None:
    write_supervisor_configuration(layout, [])
    assert "umask = 077" in (layout.conf / "supervisord.conf").read_text()


def test_airflow_serves_no_logs_on_ports_of_their_own(layout: Layout) -> None:
    commands = {service.name: service.command for service in airflow_services(layout)}
    for name in ("airflow-scheduler", "airflow-triggerer"):
        assert "--skip-serve-logs" in commands[name]
