"""PostgreSQL of the one-machine cluster: the catalog of tables, and the databases of Airflow and MLflow.

In   the programs that `make install` unpacked from a Maven artifact: initdb, postgres
Out  one server on 127.0.0.1 with the databases lake, airflow and mlflow, all of the user `risk`

The password is in the file `data/pgpass`, which its owner alone may read. Every client finds it there by the
variable PGPASSFILE (https://www.postgresql.org/docs/17/libpq-pgpass.html), also Spark's JDBC driver. So no
URL, command line or configuration holds it.
"""

import os
import secrets
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psycopg2

from local_cluster.layout import ClusterError, Layout
from local_cluster.services import Service

USER = "risk"
DATABASES = ("lake", "airflow", "mlflow")


def url(layout: Layout, database: str, scheme: str) -> str:
    """Address of a database, without the password: `jdbc:postgresql://127.0.0.1:5432/lake`.

    A JDBC URL takes the user as a property of its own; every other scheme has it in the URL.
    """
    user = "" if scheme.startswith("jdbc:") else f"{USER}@"
    return f"{scheme}://{user}127.0.0.1:{layout.settings.ports.postgres}/{database}"


def postgres_service(layout: Layout) -> Service:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(layout.settings.ports.postgres),
        "unix_socket_directories": "",  # a socket's path may have at most 107 characters
        "shared_buffers": "32MB",
        "max_connections": "200",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return Service(
        "postgres",
        [*as_no_root(), str(layout.postgres_home / "bin/postgres"), "-D", str(_folder(layout)), *options],
        lambda: _answers(layout),
        # "Fast": SIGTERM would wait until every client has gone.
        stop_signal="INT",
    )


def as_no_root() -> list[str]:
    """PostgreSQL refuses to run as root; in a user namespace of its own it is nobody, with root's files."""
    return ["unshare", "--user"] if os.geteuid() == 0 else []


def initialise(layout: Layout) -> None:
    """Make the server's folder and its password, unless they exist.

    Raises:
        ClusterError: initdb failed; the message holds its output.
    """
    if (_folder(layout) / "PG_VERSION").exists():
        return
    password = secrets.token_hex(16)
    _write_private(layout.pgpass, f"127.0.0.1:*:*:{USER}:{password}\n")
    with tempfile.TemporaryDirectory(dir=layout.run) as scratch:
        password_file = Path(scratch, "password")
        _write_private(password_file, password)
        _run(
            [
                *as_no_root(),
                str(layout.postgres_home / "bin/initdb"),
                *("-D", str(_folder(layout)), "--username", USER, "--pwfile", str(password_file)),
                *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"),
            ]
        )


def create_databases(layout: Layout) -> None:
    """Create the databases that are missing."""
    connection = _connect(layout, "postgres")
    connection.autocommit = True  # CREATE DATABASE cannot run in a transaction
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database")
            existing = {name for (name,) in cursor.fetchall()}
            for database in DATABASES:
                if database not in existing:
                    cursor.execute(f"CREATE DATABASE {database}")
    finally:
        connection.close()


def _connect(layout: Layout, database: str) -> "psycopg2.extensions.connection":
    return psycopg2.connect(
        url(layout, database, "postgresql"), passfile=str(layout.pgpass), connect_timeout=5
    )


def _answers(layout: Layout) -> bool:
    try:
        _connect(layout, "postgres").close()
    except psycopg2.OperationalError:
        return False  # not up yet: the caller asks again until its deadline
    return True


def _folder(layout: Layout) -> Path:
    return layout.data / "postgres"


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)} failed with {done.returncode}\n{done.stdout}{done.stderr}")
