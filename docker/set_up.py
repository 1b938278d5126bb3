"""Prepare Airflow and, of the whole stack, HDFS. Harmless to repeat:   set_up.py airflow hdfs

In   secrets as variables of this one container, addresses of PostgreSQL and WebHDFS
Out  files in /var/lib/risk-secrets, and Airflow's passwords, readable by the account `risk` alone; tables and
     pools of Airflow; folders on HDFS

PostgreSQL and the NameNode may start at the same moment: this waits for them.
"""

import ipaddress
import json
import os
import subprocess
import sys
from pathlib import Path

from tenacity import retry, stop_after_delay, wait_fixed

from local_cluster.start import airflow_pools, make_hdfs_folders
from settings import Settings

SECRETS = Path(os.environ.get("SECRETS_FOLDER", "/var/lib/risk-secrets"))
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h

once_it_answers = retry(stop=stop_after_delay(180), wait=wait_fixed(2), reraise=True)


def check_listen_address(address: str) -> None:
    """Refuse an address that others can reach: the pages have no TLS here, and MLflow has no log-in."""
    try:
        is_own = address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        is_own = False
    if not is_own:
        print(
            f"LISTEN_ADDRESS={address}: expected an address of this host alone, such as 127.0.0.1, since the "
            "pages have no TLS here and MLflow has no log-in. Put a proxy that has both before them.",
            file=sys.stderr,
        )
        raise SystemExit(EXIT_CONFIG)


def write_secrets() -> None:
    """Write each secret into a file of its own, mode 0600."""
    os.umask(0o077)
    secrets = {
        "pgpass": f"*:*:*:risk:{os.environ['POSTGRES_PASSWORD']}\n",
        "fernet_key": os.environ["AIRFLOW_FERNET_KEY"],
        "api_secret_key": os.environ["AIRFLOW_API_SECRET_KEY"],
        "jwt_secret": os.environ["AIRFLOW_JWT_SECRET"],
    }
    for name, secret in secrets.items():
        (SECRETS / name).write_text(secret)
    # Airflow opens this one for writing too.
    passwords = Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    passwords.write_text(json.dumps({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}))


@once_it_answers
def migrate() -> None:
    subprocess.run(["airflow", "db", "migrate"], check=True)


def prepare_airflow() -> None:
    check_listen_address(os.environ.get("LISTEN_ADDRESS", "127.0.0.1"))
    write_secrets()
    migrate()
    for name, slots, description in airflow_pools(Settings()):
        subprocess.run(["airflow", "pools", "set", name, str(slots), description], check=True)


@once_it_answers
def prepare_hdfs() -> None:
    make_hdfs_folders(Settings())


if __name__ == "__main__":
    for part in sys.argv[1:]:
        {"airflow": prepare_airflow, "hdfs": prepare_hdfs}[part]()
