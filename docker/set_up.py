"""Prepare what the services need before they start. Harmless to repeat:   set_up.py secrets services hdfs

In   secrets as variables of this one container, addresses of PostgreSQL and WebHDFS
Out  files that the account `risk` alone may read, in /var/lib/risk-secrets; and in two folders that no task
     sees MLflow's, and those of promotions: the key that signs models, and all passwords
     databases and roles of PostgreSQL; users of MLflow; tables, pools, users and roles of Airflow; in the
     whole stack folders on HDFS

PostgreSQL and the NameNode may start at the same moment: this waits for them. Passwords of identities are
made here, and stay. A line taken out of passwords.json is made anew by the next run.
"""

import ipaddress
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import psycopg2
from tenacity import retry, stop_after_delay, wait_fixed

from local_cluster.access.credentials import OWNER, make_passwords, pgpass, write_credentials, write_private
from local_cluster.access.databases import prepare_databases
from local_cluster.access.folders import make_hdfs_folders
from local_cluster.access.mlflow_users import prepare_mlflow, write_server_configuration
from local_cluster.start import airflow_pools, make_signing_keys
from settings import Settings

SECRETS, PROMOTION, MLFLOW = (
    Path(os.environ.get("SECRETS_ROOT", "/var/lib"), f"risk-{name}")
    for name in ("secrets", "promotion", "mlflow")
)
APART = {OWNER: PROMOTION, "promotion": PROMOTION, "mlflow": MLFLOW}
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h

# Users of Airflow's page, each with its role there, and the variable of its password.
AIRFLOW_USERS = {
    "admin": ("Admin", "AIRFLOW_ADMIN_PASSWORD"),
    "operator": ("Op", "AIRFLOW_OPERATOR_PASSWORD"),
    "trainer": ("Trainer", "AIRFLOW_TRAINER_PASSWORD"),
    "viewer": ("Viewer", "AIRFLOW_VIEWER_PASSWORD"),
}
# Beside all that a viewer may.
TRAINER_PERMISSIONS = [("can_edit", "DAG:train_encoder"), ("can_create", "DAG Run:train_encoder")]

once_it_answers = retry(stop=stop_after_delay(180), wait=wait_fixed(2), reraise=True)


def check_listen_address(address: str) -> None:
    """Refuse an address that others can reach: passwords would go over the network in the clear."""
    try:
        is_own = address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        is_own = False
    if not is_own:
        print(
            f"LISTEN_ADDRESS={address}: expected an address of this host alone, such as 127.0.0.1, since the "
            "pages have no TLS here. Put a proxy that has it before them.",
            file=sys.stderr,
        )
        raise SystemExit(EXIT_CONFIG)


def write_secrets() -> None:
    """Write each secret into a file of its own, mode 0600, and make the keys that models are signed with."""
    check_listen_address(os.environ.get("LISTEN_ADDRESS", "127.0.0.1"))
    for name in ("fernet_key", "api_secret_key", "jwt_secret"):
        write_private(SECRETS / name, os.environ[f"AIRFLOW_{name.upper()}"])
    make_signing_keys(Settings())
    given = {OWNER: os.environ["POSTGRES_PASSWORD"]}
    write_credentials(SECRETS, given, os.environ.get("RISK_HDFS_USER"), APART)
    # Whoever promotes also lists versions.
    write_private(PROMOTION / "scoring.env", (SECRETS / "scoring.env").read_text())


def database_uri(database: str, role: str, scheme: str = "postgresql+psycopg2") -> str:
    passfile = pgpass(APART.get(role, SECRETS), role)
    return f"{scheme}://{role}@{os.environ['POSTGRES_ADDRESS']}/{database}?passfile={passfile}"


def connect(database: str) -> "psycopg2.extensions.connection":
    return psycopg2.connect(database_uri(database, OWNER, "postgresql"), connect_timeout=5)


def prepare_services() -> None:
    passwords = make_passwords(PROMOTION)
    once_it_answers(partial(prepare_databases, connect, passwords))()
    auth_uri = database_uri("mlflow_auth", "mlflow")
    write_server_configuration(MLFLOW / "mlflow_auth.ini", auth_uri, passwords)
    prepare_mlflow(database_uri("mlflow", "mlflow"), auth_uri, Settings().model_name, passwords)
    subprocess.run(["airflow", "db", "migrate"], check=True)
    for name, slots, description in airflow_pools(Settings()):
        subprocess.run(["airflow", "pools", "set", name, str(slots), description], check=True)
    prepare_airflow_users()


def prepare_airflow_users() -> None:
    """Make roles and users of Airflow; set passwords that have changed."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        security = builder.sm
        viewer = security.VIEWER_PERMISSIONS
        security.bulk_sync_roles([{"role": "Trainer", "perms": [*viewer, *TRAINER_PERMISSIONS]}])
        for name, (role, variable) in AIRFLOW_USERS.items():
            user, password = security.find_user(name), os.environ[variable]
            if user is None:
                made = security.add_user(
                    name, name, "", f"{name}@localhost", security.find_role(role), password
                )
                assert made, f"Airflow did not make the user {name}: its log says why"
            else:
                security.reset_password(user.id, password)


@once_it_answers
def prepare_hdfs() -> None:
    make_hdfs_folders(Settings())


if __name__ == "__main__":
    for part in sys.argv[1:]:
        {"secrets": write_secrets, "services": prepare_services, "hdfs": prepare_hdfs}[part]()
