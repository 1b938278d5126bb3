"""The services of the one-machine cluster: the command that starts each, and the check that it is ready."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field

import requests

from local_cluster.access.credentials import pgpass
from local_cluster.layout import Layout

NAMENODE = "org.apache.hadoop.hdfs.server.namenode.NameNode"
DATANODE = "org.apache.hadoop.hdfs.server.datanode.DataNode"
RESOURCEMANAGER = "org.apache.hadoop.yarn.server.resourcemanager.ResourceManager"
NODEMANAGER = "org.apache.hadoop.yarn.server.nodemanager.NodeManager"

# Daemons are idle most of the time: the quick compiler and the small collector start faster and need less.
JVM_OPTIONS = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.net.preferIPv4Stack=true"]


@dataclass(frozen=True)
class Service:
    """One supervised process; `is_ready` asks the service itself."""

    name: str
    command: list[str]
    is_ready: Callable[[], bool]
    environment: dict[str, str] = field(default_factory=dict)
    stop_seconds: int = 30  # then it is killed
    stop_signal: str = "TERM"


def hadoop_class_path(layout: Layout) -> str:
    """Class path of Hadoop's daemons.

    Spark's slf4j 2 and log4j 2 come first: without a logging back end the daemons end without any message.
    """
    logging_jars = [
        layout.spark_home / "jars" / pattern for pattern in ("slf4j-api-2*", "log4j-*", "jcl-over-*")
    ]
    jars = [
        str(jar) for pattern in logging_jars for jar in sorted(pattern.parent.glob(f"{pattern.name}.jar"))
    ]
    names = (
        "hadoop-client-api-*",
        "hadoop-client-runtime-*",
        "hadoop-client-minicluster-*",
        "bc*",
        "snappy-java-*",
    )
    jars += [str(jar) for name in names for jar in sorted(layout.settings.jars_dir.glob(f"{name}.jar"))]
    return ":".join([str(layout.conf), *jars])


def hadoop_command(layout: Layout, main_class: str, heap_mb: int) -> list[str]:
    java = f"{layout.java_home}/bin/java"
    return [java, f"-Xmx{heap_mb}m", *JVM_OPTIONS, "-cp", hadoop_class_path(layout), main_class]


def hadoop_services(layout: Layout) -> list[Service]:
    ports = layout.settings.ports
    return [
        Service("namenode", hadoop_command(layout, NAMENODE, 256), lambda: _is_writable(ports.namenode_web)),
        datanode(layout, "datanode-1", ports.datanode_1, ports.datanode_1_ipc, ports.datanode_1_web),
        datanode(layout, "datanode-2", ports.datanode_2, ports.datanode_2_ipc, ports.datanode_2_web),
        Service(
            "resourcemanager",
            hadoop_command(layout, RESOURCEMANAGER, 256),
            lambda: _answers(f"http://127.0.0.1:{ports.resourcemanager_web}/ws/v1/cluster/info"),
        ),
        Service(
            "nodemanager",
            hadoop_command(layout, NODEMANAGER, 192),
            lambda: _has_active_node(ports.resourcemanager_web),
            # It kills its containers at once. Then it waits 18 s in all: for finished applications, which
            # stay on its list as long as their logs (3 h), and for the deletion of those logs. No start
            # needs what it holds.
            stop_seconds=5,
        ),
    ]


def datanode(layout: Layout, name: str, data_port: int, ipc_port: int, web_port: int) -> Service:
    """A DataNode. Both share one configuration, so the command line gives each its folder and ports."""
    properties = {
        "dfs.datanode.data.dir": (layout.data / name).as_uri(),
        "dfs.datanode.address": f"127.0.0.1:{data_port}",
        "dfs.datanode.ipc.address": f"127.0.0.1:{ipc_port}",
        "dfs.datanode.http.address": f"127.0.0.1:{web_port}",
    }
    # Hadoop's own options must follow the main class.
    options = [part for key, value in properties.items() for part in ("-D", f"{key}={value}")]
    command = [*hadoop_command(layout, DATANODE, 192), *options]
    return Service(
        name, command, lambda: _answers(f"http://127.0.0.1:{web_port}/jmx?qry=Hadoop:service=DataNode")
    )


# MLflow signs its sign-up page with a key that it takes from its environment alone: a new one at each start.
WITH_A_KEY = 'export MLFLOW_FLASK_SERVER_SECRET_KEY="$(head -c 24 /dev/urandom | base64)"; exec "$0" "$@"'


def mlflow_service(layout: Layout, backend_store_uri: str) -> Service:
    port = layout.settings.ports.mlflow
    data = layout.data / "mlflow"
    command = [
        *("sh", "-c", WITH_A_KEY, str(layout.python_bin / "mlflow")),
        *("server", "--app-name", "basic-auth"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", backend_store_uri),
        *("--artifacts-destination", str(data / "artifacts")),
    ]
    environment = {
        # MLflow's job queue would start further processes, 0.5 GB in all, for features that nothing uses.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_AUTH_CONFIG_PATH": str(layout.mlflow_auth),
        "PGPASSFILE": str(pgpass(layout.identities, "mlflow")),
    }
    return Service("mlflow", command, lambda: _answers(f"http://127.0.0.1:{port}/health"), environment)


def airflow_services(layout: Layout) -> list[Service]:
    """Airflow's four services.

    Scheduler and triggerer serve no logs: their log servers would listen on all interfaces, for which Airflow
    has no setting. The API server reads the logs of tasks and waits from the folder that all of them share.
    """
    ports = layout.settings.ports
    airflow = str(layout.python_bin / "airflow")
    monitor = f"{layout.settings.airflow_url}/api/v2/monitor/health"
    return [
        Service(
            "airflow-api-server",
            [airflow, "api-server", "--host", "127.0.0.1", "--port", str(ports.airflow), "--workers", "1"],
            lambda: _answers(monitor),
        ),
        Service(
            "airflow-scheduler",
            [airflow, "scheduler", "--skip-serve-logs"],
            lambda: _is_healthy(monitor, "scheduler"),
        ),
        Service(
            "airflow-dag-processor", [airflow, "dag-processor"], lambda: _is_healthy(monitor, "dag_processor")
        ),
        Service(
            "airflow-triggerer",
            [airflow, "triggerer", "--skip-serve-logs"],
            lambda: _is_healthy(monitor, "triggerer"),
        ),
    ]


def is_port_free(port: int) -> bool:
    with socket.socket() as listener:
        # As servers do it: a port in TIME_WAIT is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _get(url: str) -> requests.Response | None:
    try:
        response = requests.get(url, timeout=5)
    except requests.RequestException:
        return None  # not up yet: the caller asks again until its deadline
    return response if response.ok else None


def _answers(url: str) -> bool:
    return _get(url) is not None


def _is_writable(web_port: int) -> bool:
    """Return whether both DataNodes are registered and the NameNode has left safe mode."""
    state = _bean(web_port, "FSNamesystemState")
    return state.get("NumLiveDataNodes") == 2 and not _bean(web_port, "NameNodeInfo").get("Safemode")


def _bean(web_port: int, name: str) -> dict[str, object]:
    """Read one of the NameNode's JMX beans; empty while the NameNode starts."""
    answer = _get(f"http://127.0.0.1:{web_port}/jmx?qry=Hadoop:service=NameNode,name={name}")
    beans = answer.json()["beans"] if answer is not None else []
    return beans[0] if beans else {}


def _has_active_node(web_port: int) -> bool:
    metrics = _get(f"http://127.0.0.1:{web_port}/ws/v1/cluster/metrics")
    return metrics is not None and metrics.json()["clusterMetrics"]["activeNodes"] > 0


def _is_healthy(monitor: str, component: str) -> bool:
    health = _get(monitor)
    return health is not None and health.json()[component]["status"] == "healthy"
