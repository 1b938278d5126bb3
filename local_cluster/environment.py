"""Environment variables of everything that runs on the one-machine cluster."""

import json
import os
import secrets
import shlex
from pathlib import Path

from local_cluster import postgres
from local_cluster.access.credentials import pgpass, write_private
from local_cluster.layout import Layout

# Marks every process of one cluster, so that `make down` after a crash finds those and no others.
OWNER = "RISK_CLUSTER_OWNER"

# Of Airflow's page, each with the role of the same name.
AIRFLOW_USERS = ("admin", "viewer")


def client_environment(layout: Layout) -> dict[str, str]:
    """Variables that a job or a shell needs to reach the cluster."""
    return {
        "JAVA_HOME": layout.java_home,
        "HADOOP_CONF_DIR": str(layout.conf),
        "SPARK_CONF_DIR": str(layout.conf),
        "SPARK_HOME": str(layout.spark_home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(layout.tmp / "spark"),
        # pyspark's own Python files are on every node already: nothing to upload.
        "PYSPARK_ARCHIVES_PATH": ",".join(f"local:{path}" for path in _python_archives(layout)),
        "PYSPARK_PYTHON": str(layout.python_bin / "python"),
        "MLFLOW_TRACKING_URI": layout.settings.mlflow_tracking_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # A pickle runs code when it is read. No model here is one.
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PATH": f"{layout.python_bin}:{os.environ['PATH']}",
    }


def identity_environment(layout: Layout, identity: str) -> dict[str, str]:
    """Variables of a client that acts as an identity, such as `scoring`."""
    return {**client_environment(layout), **layout.settings.identity(identity)}


def service_environment(layout: Layout) -> dict[str, str]:
    """Variables of every service: those of clients, settings, Airflow's configuration, the owner's mark."""
    return {
        **os.environ,
        **client_environment(layout),
        **pipeline_settings(layout),
        **airflow_environment(layout),
        OWNER: str(layout.home),
        # Airflow's processes rename themselves, by default in the memory that holds their environment and so
        # the mark.
        "SPT_NOENV": "1",
    }


def pipeline_settings(layout: Layout) -> dict[str, str]:
    """The settings in force, for DAGs: they read the environment as any other process does."""
    settings = layout.settings
    return {
        "RISK_CLUSTER_HOME": str(layout.home),
        "RISK_JARS_DIR": str(settings.jars_dir),
        "RISK_IDENTITIES_DIR": str(layout.identities),
        "RISK_PORT_OFFSET": str(settings.port_offset),
        "RISK_PORTS": settings.base_ports.model_dump_json(),
    }


def airflow_environment(layout: Layout) -> dict[str, str]:
    settings, home = layout.settings, layout.airflow_home
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(layout.repository / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{settings.airflow_url}/execution/",
        "AIRFLOW__CORE__FERNET_KEY": "",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{user}" for user in AIRFLOW_USERS),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(airflow_passwords(layout)),
        "AIRFLOW__API__BASE_URL": settings.airflow_url,
        # Commands that print the keys: every task, driver and container inherits these variables.
        "AIRFLOW__API__SECRET_KEY_CMD": _print_secret(layout, "airflow-api-key"),
        "AIRFLOW__API_AUTH__JWT_SECRET_CMD": _print_secret(layout, "airflow-jwt"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.url(layout, "airflow", "airflow"),
        "PGPASSFILE": str(pgpass(layout.identities, "airflow")),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(layout.logs / "airflow-tasks"),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        # A new or changed DAG file is found within seconds. An unchanged one is not read again every 30 s,
        # which took a fifth of a core.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        # Tasks of a scheduler that was killed, and a task that was killed alone, are started again within a
        # minute; by default after five. Heartbeats come every 5 s.
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps(spark_connection(layout)),
    }


def spark_connection(layout: Layout) -> dict[str, object]:
    """Connection `spark_default`; its URI form breaks on masters such as `local-cluster[2,1,1024]`."""
    settings = layout.settings
    extra = {
        "deploy-mode": settings.spark_deploy_mode,
        # In cluster mode Airflow asks the ResourceManager for an application's state.
        "yarn_resourcemanager_webapp_address": f"127.0.0.1:{settings.ports.resourcemanager_web}",
    }
    return {"conn_type": "spark", "host": settings.spark_master, "extra": extra}


def _python_archives(layout: Layout) -> list[Path]:
    return [
        layout.spark_home / "python/lib/pyspark.zip",
        *(layout.spark_home / "python/lib").glob("py4j-*-src.zip"),
    ]


def airflow_passwords(layout: Layout) -> Path:
    """The file with the passwords of Airflow's page: {"admin": "…", "viewer": "…"}.

    Made before Airflow starts. Otherwise Airflow would make one up, print it into its log, and write the file
    readable by everybody.
    """
    path = layout.airflow_home / "passwords.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    passwords = {user: kept.get(user) or secrets.token_urlsafe(12) for user in AIRFLOW_USERS}
    if passwords != kept:
        write_private(path, json.dumps(passwords))
    return path


def _print_secret(layout: Layout, name: str) -> str:
    """The command that prints a random key of this cluster, which is made once."""
    path = layout.data / f"{name}.secret"
    _write_once(path, secrets.token_hex(32))
    return shlex.join(["cat", str(path)])


def _write_once(path: Path, text: str) -> None:
    """Write a file that only its owner may read, unless it is there."""
    if not (path.exists() and path.read_text()):  # a kill of an earlier version could leave it empty
        write_private(path, text)
