"""`.env.example` names the same settings and defaults as `settings.py`."""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from settings import REPOSITORY, HdfsLogin, Ports, Settings

EXAMPLE = REPOSITORY / ".env.example"


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("RISK_"):
            monkeypatch.delenv(name)
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    monkeypatch.setitem(HdfsLogin.model_config, "env_file", None)


def documented_defaults() -> dict[str, str]:
    """Variable → value of every line such as `#RISK_PORT_OFFSET=0`."""
    lines = EXAMPLE.read_text().splitlines()
    variables = (line.removeprefix("#").split("=", 1) for line in lines if line.startswith("#RISK_"))
    return {name: value for name, value in variables}


def defaults_in_code() -> dict[str, str]:
    """The same from the classes: paths relative to the repository, "" for defaults made at run time."""
    fields = {
        f"RISK_{name.upper()}": as_text("" if field.default_factory else field.default)
        for name, field in Settings.model_fields.items()
        if name != "base_ports"
    }
    ports = {f"RISK_PORTS__{name.upper()}": str(port) for name, port in Ports().model_dump().items()}
    return fields | ports


def as_text(default: Any) -> str:
    if default is None:
        return ""
    return str(default.relative_to(REPOSITORY) if isinstance(default, Path) else default)


def uncommented(folder: Path) -> Path:
    """An .env that changes every line: each port is one higher, which shows that its name is read."""
    changed = folder / ".env"
    lines = [
        f"{name}={int(value) + 1}" if name.startswith("RISK_PORTS__") else f"{name}={value}"
        for name, value in documented_defaults().items()
    ]
    changed.write_text("\n".join(lines))
    return changed


def test_the_example_names_every_setting_with_its_default_and_no_other() -> None:
    assert documented_defaults() == defaults_in_code()


def test_every_default_of_the_example_is_accepted_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_default = Settings()
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setitem(Settings.model_config, "env_file", uncommented(tmp_path))
    from_file = Settings()
    assert from_file.ports == by_default.ports.shifted(1)
    assert from_file.cluster_home.resolve() == by_default.cluster_home
    elsewhere = {"base_ports", "cluster_home", "jars_dir"}
    assert from_file.model_dump(exclude=elsewhere) == by_default.model_dump(exclude=elsewhere)


def test_one_port_is_changed_by_its_own_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISK_PORTS__AIRFLOW", "8181")
    monkeypatch.setenv("RISK_PORT_OFFSET", "1000")
    ports = Settings().ports
    assert (ports.airflow, ports.mlflow) == (9181, 6000)


def test_no_two_services_share_a_default_port() -> None:
    ports = list(Ports().model_dump().values())
    assert len(set(ports)) == len(ports)


def test_addresses_are_the_one_machine_clusters_until_others_are_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RISK_PORT_OFFSET", "1000")
    assert Settings().hdfs_url == "hdfs://127.0.0.1:9020"
    monkeypatch.setenv("RISK_HDFS_URI", "hdfs://lake")
    assert Settings().hdfs_url == "hdfs://lake"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RISK_MAX_BAD_SHARE", "5"),  # a percentage instead of a share
        ("RISK_SPARK_DEPLOY_MODE", "local"),
        ("RISK_LOOKBACK_DAYS", "0"),
        ("RISK_REASONS_ABOVE", "80"),  # a percentage instead of a share
        ("RISK_LANDING_TIMEOUT_MINUTES", "inf"),
        ("RISK_EXTRACTION_TIMEOUT_MINUTES", "nan"),
        ("RISK_WAIT_POLL_SECONDS", "inf"),
        ("RISK_MAX_BAD_SHARE", "nan"),
        ("RISK_MLFLOW_URI", "http://user:password@mlflow.example:5000"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError, match=variable.removeprefix("RISK_").lower()):
        Settings()


NUMBERS = [name for name, field in Settings.model_fields.items() if "float" in str(field.annotation)]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("name", NUMBERS)
def test_no_setting_is_infinite_or_no_number(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"RISK_{name}".upper(), value)
    with pytest.raises(ValidationError, match=name):
        Settings()


@pytest.mark.parametrize("name", ["RISK_LOOKBACK_DAY", "RISK_PORTS__AIRFLW", "risk_max_bad_shar"])
def test_a_mistyped_variable_is_refused_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text(f"MLFLOW_TRACKING_USERNAME=risk\n{name}=1\n")
    with monkeypatch.context() as in_file:
        in_file.setitem(Settings.model_config, "env_file", env_file)
        with pytest.raises(ValidationError, match=name):
            Settings()
    monkeypatch.setenv(name, "1")
    with pytest.raises(ValidationError, match=name):
        Settings()


def test_a_refused_value_is_not_shown_since_it_may_hold_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISK_MLFLOW_URI", "http://user:hunter2@mlflow.example:5000")
    with pytest.raises(ValidationError) as error:
        Settings()
    assert "hunter2" not in str(error.value)
    assert "MLFLOW_TRACKING_PASSWORD" in str(error.value)


def a_keytab(folder: Path, mode: int) -> Path:
    path = folder / "risk.keytab"
    path.touch(mode=mode)
    return path


def test_a_principal_with_its_keytab_is_a_log_in(tmp_path: Path) -> None:
    keytab = a_keytab(tmp_path, 0o600)
    login = HdfsLogin(kerberos_principal="risk@EXAMPLE.COM", kerberos_keytab=keytab)
    assert (login.kerberos_principal, login.kerberos_keytab) == ("risk@EXAMPLE.COM", keytab)


@pytest.mark.parametrize("given", ["principal", "keytab"])
def test_half_a_log_in_is_refused(tmp_path: Path, given: str) -> None:
    halves = {"principal": "risk@EXAMPLE.COM", "keytab": a_keytab(tmp_path, 0o600)}
    with pytest.raises(ValidationError, match="set both for Kerberos, or neither"):
        HdfsLogin(**{f"kerberos_{given}": halves[given]})


def test_a_keytab_that_others_may_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="found mode 644: chmod 600"):
        HdfsLogin(kerberos_principal="risk@EXAMPLE.COM", kerberos_keytab=a_keytab(tmp_path, 0o644))


@pytest.mark.parametrize("name", ["kerberos_keytab", "ca_file"])
def test_a_file_that_does_not_exist_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValidationError, match="expected a file that this account may read"):
        HdfsLogin(kerberos_principal="risk@EXAMPLE.COM", **{name: tmp_path / "nowhere"})
