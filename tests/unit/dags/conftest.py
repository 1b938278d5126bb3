"""Airflow in a temporary home: its import reads and writes a configuration there."""

import os
import tempfile

os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW_CONN_SPARK_DEFAULT"] = (
    '{"conn_type": "spark", "host": "yarn", "extra": {"deploy-mode": "client"}}'
)
