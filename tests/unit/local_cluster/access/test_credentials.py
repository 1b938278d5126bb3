"""Files by which a process acts as an identity."""

import json
import stat
from pathlib import Path

import pytest

from local_cluster.access.credentials import IDENTITIES, passwords_file, pgpass, write_credentials
from settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    return Settings(identities_dir=tmp_path)


def test_every_file_is_its_owners_alone(tmp_path: Path) -> None:
    write_credentials(tmp_path)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_an_identity_has_the_variables_of_the_services_that_it_uses(
    settings: Settings, tmp_path: Path
) -> None:
    passwords = write_credentials(tmp_path)
    assert settings.identity("scoring") == {
        "HADOOP_USER_NAME": "scoring",
        "RISK_HDFS_USER": "scoring",
        "SPARK_USER": "scoring",
        "PGPASSFILE": str(tmp_path / "scoring.pgpass"),
        "MLFLOW_TRACKING_USERNAME": "scoring",
        "MLFLOW_TRACKING_PASSWORD": passwords["scoring"],
    }
    assert settings.identity("landing").keys() == {"HADOOP_USER_NAME", "RISK_HDFS_USER", "SPARK_USER"}
    assert "MLFLOW_TRACKING_PASSWORD" not in settings.identity("reader")
    assert "PGPASSFILE" not in settings.identity("training")
    assert pgpass(tmp_path, "scoring").read_text() == f"*:*:*:scoring:{passwords['scoring']}\n"


def test_passwords_stay_until_one_is_taken_away_or_given(tmp_path: Path) -> None:
    first = write_credentials(tmp_path)
    assert write_credentials(tmp_path) == first
    path = passwords_file(tmp_path)
    path.write_text(json.dumps({name: word for name, word in first.items() if name != "reader"}))
    rotated = write_credentials(tmp_path, given={"risk": "chosen"})
    assert {name for name in first if first[name] != rotated[name]} == {"reader", "risk"}
    assert len(set(rotated.values())) == len(rotated)


def test_all_identities_can_share_one_account_on_hdfs(settings: Settings, tmp_path: Path) -> None:
    write_credentials(tmp_path, hdfs_user="svc_risk")
    assert {settings.hdfs_user_of(identity) for identity in IDENTITIES} == {"svc_risk"}


def test_an_identity_without_a_file_is_refused_by_name(settings: Settings) -> None:
    with pytest.raises(FileNotFoundError, match=r"promotion\.env to act as the identity promotion"):
        settings.identity("promotion")


def test_without_a_folder_every_process_acts_as_its_environment_says(tmp_path: Path) -> None:
    settings = Settings(cluster_home=tmp_path, hdfs_user="me")
    assert settings.identity("scoring") == {}
    assert settings.hdfs_user_of("scoring") == "me"


def test_the_one_machine_clusters_identities_are_not_used_beside_other_services(tmp_path: Path) -> None:
    (tmp_path / "data" / "identities").mkdir(parents=True)
    write_credentials(tmp_path / "data" / "identities")
    assert Settings(cluster_home=tmp_path).identity("scoring")
    assert Settings(cluster_home=tmp_path, mlflow_uri="http://mlflow.example").identity("scoring") == {}
