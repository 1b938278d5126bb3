"""PostgreSQL of the one-machine cluster: the catalog of tables, and the databases of Airflow and MLflow.

In   the programs that `make install` unpacked from a Maven artifact: initdb, postgres
Out  one server on 127.0.0.1, with the databases and roles of local_cluster/access/databases.py

Each role's password is in a file of its own, which this account alone may read. A client finds it by the
variable PGPASSFILE (https://www.postgresql.org/docs/17/libpq-pgpass.html), also Spark's JDBC driver. So no
URL, command line or configuration holds it.
"""

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg2

from local_cluster.access.credentials import OWNER, pgpass, write_private
from local_cluster.access.databases import prepare_databases
from local_cluster.layout import ClusterError, Layout
from local_cluster.services import Service


def url(layout: Layout, database: str, role: str, scheme: str = "postgresql+psycopg2") -> str:
    """Address of a database, without the password: `postgresql+psycopg2://airflow@127.0.0.1:5432/airflow`."""
    return f"{scheme}://{role}@127.0.0.1:{layout.settings.ports.postgres}/{database}"


def jdbc_url(layout: Layout, database: str) -> str:
    """The same for Java, which takes the role as a property of its own."""
    return f"jdbc:postgresql://127.0.0.1:{layout.settings.ports.postgres}/{database}"


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


def initialise(layout: Layout, password: str) -> None:
    """Make the server's folder and its superuser, unless they exist.

    Raises:
        ClusterError: initdb failed; the message holds its output.
    """
    if (_folder(layout) / "PG_VERSION").exists():
        return
    with tempfile.TemporaryDirectory(dir=layout.run) as scratch:
        password_file = Path(scratch, "password")
        write_private(password_file, password)
        _run(
            [
                *as_no_root(),
                str(layout.postgres_home / "bin/initdb"),
                *("-D", str(_folder(layout)), "--username", OWNER, "--pwfile", str(password_file)),
                *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"),
            ]
        )


def create_databases(layout: Layout, passwords: Mapping[str, str]) -> None:
    """Create the databases and roles that are missing."""
    prepare_databases(lambda database: connect(layout, database, OWNER), passwords)


def connect(layout: Layout, database: str, role: str) -> "psycopg2.extensions.connection":
    """Log in to a database as a role, by its password file."""
    return psycopg2.connect(
        url(layout, database, role, "postgresql"),
        passfile=str(pgpass(layout.identities, role)),
        connect_timeout=5,
    )


def _answers(layout: Layout) -> bool:
    try:
        connect(layout, "postgres", OWNER).close()
    except psycopg2.OperationalError:
        return False  # not up yet: the caller asks again until its deadline
    return True


def _folder(layout: Layout) -> Path:
    return layout.data / "postgres"


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)} failed with {done.returncode}\n{done.stdout}{done.stderr}")
