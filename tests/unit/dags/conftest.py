"""Airflow in a temporary home, and identities in a temporary folder: both are read at import."""

import os
import tempfile
from pathlib import Path

from local_cluster.access.credentials import write_credentials

os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW_CONN_SPARK_DEFAULT"] = (
    '{"conn_type": "spark", "host": "yarn", "extra": {"deploy-mode": "client"}}'
)

IDENTITIES = Path(tempfile.mkdtemp(prefix="identities-"))
write_credentials(IDENTITIES)
# For the DAGs alone, which read it when they are collected.
os.environ["RISK_IDENTITIES_DIR"] = str(IDENTITIES)


def pytest_collection_finish() -> None:
    """Other tests of this process have no identities."""
    os.environ.pop("RISK_IDENTITIES_DIR", None)
