"""MLflow's users and their rights, kept by its basic-auth app in a database of its own.

In   MLflow's two databases in PostgreSQL, passwords
Out  the registered model; users scoring, training, promotion and an admin; a changed password is set
     Harmless to repeat, and the server need not run.

| user | may |
|---|---|
| scoring | read everything, as all users may |
| training | write runs, register versions, tag and remove them, set the alias `challenger` |
| promotion | tag versions, set every other alias, keep signatures in runs |
| admin | everything: for the set-up alone |

To MLflow, to make a version and to set any alias is one right, `update` of the registered model. Who may do
which of the two is decided in `mlflow_log_in.py`.
"""

import configparser
import io
import json
import sys
from pathlib import Path
from typing import Any

from local_cluster.access.credentials import IN_MLFLOW, MLFLOW_ADMIN, write_private

ANY = "*"
RIGHTS = {
    "scoring": {},
    "training": {"experiment": "EDIT", "registered_model": "EDIT", "registered_model_version": "MANAGE"},
    "promotion": {"experiment": "EDIT", "registered_model": "EDIT"},
}


def write_server_configuration(path: Path, auth_uri: str, passwords: dict[str, str]) -> None:
    """Write the file that the server finds by MLFLOW_AUTH_CONFIG_PATH."""
    config = configparser.RawConfigParser()
    config["mlflow"] = {
        "default_permission": "READ",
        "database_uri": auth_uri,
        "admin_username": MLFLOW_ADMIN,
        "admin_password": passwords[MLFLOW_ADMIN],
        "authorization_function": "local_cluster.access.mlflow_log_in:authenticate",
        # Hashing a password takes a tenth of a second, and clients send it with every request. A changed
        # password counts after this time.
        "auth_cache_ttl_seconds": "60",
    }
    text = io.StringIO()
    config.write(text)
    write_private(path, text.getvalue())


def prepare_mlflow(uri: str, auth_uri: str, model_name: str, passwords: dict[str, str]) -> None:
    """Make the registered model and the users with their rights.

    Whoever makes a model may do everything with it: so it is not left to the first training.
    """
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore as Users
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry

    registry: Any = Registry(uri)
    if not registry.search_registered_models(f"name = '{model_name}'"):
        registry.create_registered_model(model_name)
    store: Any = Users()
    store.init_db(auth_uri)
    for user in (MLFLOW_ADMIN, *IN_MLFLOW):
        is_admin = user == MLFLOW_ADMIN
        if store.has_user(user):
            store.update_user(user, passwords[user], is_admin)
        else:
            store.create_user(user, passwords[user], is_admin)
        for resource, permission in RIGHTS.get(user, {}).items():
            store.grant_user_permission(user, resource, ANY, permission)


def main(uri: str, auth_uri: str, model_name: str, passwords: str) -> None:
    """Prepare MLflow in a process of its own: its server's code takes seconds to load, and logs."""
    prepare_mlflow(uri, auth_uri, model_name, json.loads(Path(passwords).read_text()))


if __name__ == "__main__":
    main(*sys.argv[1:])
