"""Files by which processes act as an identity.

In   a folder of one account
Out  passwords.json        {"scoring": "…"}: every password, made once; read by the set-up alone
     scoring.pgpass        password of the role in PostgreSQL, for PGPASSFILE
     scoring.env           the variables by which a process acts as the identity: HADOOP_USER_NAME=scoring …

All are readable by the account alone. An identity has one name and one password in all services.
"""

import json
import os
import secrets
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

OWNER = "risk"  # PostgreSQL's superuser: it makes databases and roles, and nothing else connects as it
SERVICES = ("airflow", "mlflow")  # each owns its database
MLFLOW_ADMIN = "admin"

IDENTITIES = ("landing", "scoring", "training", "promotion", "reader")
IN_POSTGRES = ("scoring", "reader")
IN_MLFLOW = ("scoring", "training", "promotion")


def pgpass(folder: Path, role: str) -> Path:
    """The file with the password of a role in PostgreSQL."""
    return folder / f"{role}.pgpass"


def passwords_file(folder: Path) -> Path:
    """The file with all passwords."""
    return folder / "passwords.json"


def make_passwords(folder: Path, given: dict[str, str] | None = None) -> dict[str, str]:
    """Make the passwords that are missing and return all; those that are given replace what was there."""
    path = passwords_file(folder)
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    names = (OWNER, *SERVICES, MLFLOW_ADMIN, *IDENTITIES)
    passwords = {name: kept.get(name) or secrets.token_hex(16) for name in names} | (given or {})
    if passwords != kept:
        write_private(path, json.dumps(passwords, indent=1))
    return passwords


def write_credentials(
    folder: Path,
    given: dict[str, str] | None = None,
    hdfs_user: str | None = None,
    apart: Mapping[str, Path] | None = None,
) -> dict[str, str]:
    """Write the files of all roles and identities, and return the passwords.

    Args:
        folder: for all files but those that are kept apart.
        given: passwords that somebody chose.
        hdfs_user: one account on HDFS for all identities, where an existing cluster gives only one.
        apart: folders of names that tasks must not be able to act as; passwords.json is the superuser's.
    """
    folders = defaultdict(lambda: folder, apart or {})
    passwords = make_passwords(folders[OWNER], given)
    for role in (OWNER, *SERVICES, *IN_POSTGRES):
        write_private(pgpass(folders[role], role), f"*:*:*:{role}:{passwords[role]}\n")
    for identity in IDENTITIES:
        user = hdfs_user or identity
        # Read by Hadoop's clients, by those of WebHDFS here, and by Spark's executors.
        variables = dict.fromkeys(("HADOOP_USER_NAME", "RISK_HDFS_USER", "SPARK_USER"), user)
        if identity in IN_POSTGRES:
            variables["PGPASSFILE"] = str(pgpass(folders[identity], identity))
        if identity in IN_MLFLOW:
            variables["MLFLOW_TRACKING_USERNAME"] = identity
            variables["MLFLOW_TRACKING_PASSWORD"] = passwords[identity]
        lines = [f"{name}={value}\n" for name, value in variables.items()]
        write_private(folders[identity] / f"{identity}.env", "".join(lines))
    return passwords


def write_private(path: Path, text: str) -> None:
    """Replace a file that only its owner may read; a kill leaves the old one or all of the new."""
    descriptor, beside = tempfile.mkstemp(dir=path.parent)  # mode 0600
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.replace(beside, path)
