"""Who can reach the running cluster: nobody from another host, and no other account reads its secrets."""

import ipaddress
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
import requests
from pyspark.sql import SparkSession

from local_cluster import postgres
from local_cluster.airflow_api import AirflowApi
from local_cluster.supervision import owned_processes, supervisor_process, wait_until
from tests.real_cluster import Cluster

SEARCHED = ("*.log", "*.xml", "*.conf", "*.properties")


@pytest.fixture(scope="module")
def secrets(cluster: Cluster) -> list[str]:
    """Passwords of Airflow's page and of every identity, both keys of Airflow, the key that signs models."""
    keys = [path.read_text() for path in cluster.layout.data.glob("*.secret")]
    assert len(keys) == 2
    signing_key = cluster.settings.signing_key.read_text().splitlines()[1]
    of_identities = json.loads((cluster.layout.identities / "passwords.json").read_text())
    return [*AirflowApi.passwords(cluster.layout).values(), *of_identities.values(), signing_key, *keys]


def listeners(process: psutil.Process) -> Iterator[str]:
    try:
        connections = process.net_connections("inet")
    except psutil.NoSuchProcess:
        return
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN:
            address = ipaddress.ip_address(connection.laddr.ip)
            mapped = getattr(address, "ipv4_mapped", None) or address
            if not mapped.is_loopback:
                yield f"{process.name()} {process.pid} on {connection.laddr.ip}:{connection.laddr.port}"


def test_no_process_of_the_cluster_listens_beyond_this_host(cluster: Cluster, spark: SparkSession) -> None:
    assert spark.range(10).repartition(2).count() == 10  # an executor runs
    processes = list(owned_processes(cluster.layout))
    assert {"org.apache.spark.executor.YarnCoarseGrainedExecutorBackend", "worker"} & set(names(processes))
    assert [listener for process in processes for listener in listeners(process)] == []


def names(processes: list[psutil.Process]) -> Iterator[str]:
    for process in processes:
        yield from process.cmdline()


def test_no_process_has_a_secret_in_its_environment_or_its_command(
    cluster: Cluster, secrets: list[str]
) -> None:
    for process in owned_processes(cluster.layout):
        seen = "\n".join([*process.environ().values(), *process.cmdline()])
        assert not [secret for secret in secrets if secret in seen], process.name()


def test_no_log_and_no_configuration_holds_a_secret(cluster: Cluster, secrets: list[str]) -> None:
    layout = cluster.layout
    files = [
        path for pattern in SEARCHED for path in (*layout.logs.rglob(pattern), *layout.conf.rglob(pattern))
    ]
    assert layout.logs / "airflow-api-server.log" in files
    for path in files:
        text = path.read_text(errors="replace")
        assert not [secret for secret in secrets if secret in text], path


@pytest.mark.usefixtures("published")  # a night has run
def test_airflows_database_holds_no_secret(cluster: Cluster, secrets: list[str]) -> None:
    """Neither XComs nor rendered templates, logs of events, or configurations of runs."""
    with postgres.connect(cluster.layout, "airflow", "airflow") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        tables = [name for (name,) in cursor.fetchall()]
        assert {"xcom", "rendered_task_instance_fields", "log", "dag_run"} <= set(tables)
        rows = []
        for table in tables:
            cursor.execute(f'SELECT row_to_json(one)::text FROM "{table}" AS one')
            rows += [row for (row,) in cursor.fetchall()]
    assert [row for row in rows if "risk.user_sequences/ds=" in row]  # what tasks were given is among them
    assert not [row for row in rows if any(secret in row for secret in secrets)]


MARKER = "a user id that nobody may read from a disk 7f3c"


def test_what_spark_writes_to_local_disks_is_encrypted(cluster: Cluster, spark: SparkSession) -> None:
    """Rows that are shuffled stay on the executor's disk until the application ends."""
    rows = spark.range(1000).selectExpr(f"concat('{MARKER}', id) AS text").repartition(7, "text").cache()
    assert rows.count() == 1000
    files = [path for path in cluster.layout.tmp.rglob("*") if path.name.startswith(("shuffle_", "rdd_"))]
    assert files
    assert not [path for path in files if MARKER[:20].encode() in path.read_bytes()]


def test_files_with_secrets_and_data_are_readable_by_the_clusters_account_alone(cluster: Cluster) -> None:
    layout = cluster.layout
    files = [
        *(layout.airflow_home / "passwords.json", layout.mlflow_auth, cluster.settings.signing_key),
        *layout.data.glob("*.secret"),
        *layout.identities.iterdir(),
    ]
    assert {mode(file) for file in files} == {0o600}
    assert {mode(folder) for folder in (layout.data, layout.logs, layout.conf)} == {0o700}
    supervisor = supervisor_process(layout)
    assert supervisor is not None
    # Services inherit this, for what they make themselves.
    assert "Umask:\t0077" in Path(f"/proc/{supervisor.pid}/status").read_text()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_a_web_page_of_another_site_cannot_change_files_on_hdfs(cluster: Cluster, method: str) -> None:
    """A browser sends such a request without asking; it cannot add the header that the NameNode wants."""
    url = f"{cluster.webhdfs_url}/webhdfs/v1/receipts?op=MKDIRS&user.name={cluster.settings.hdfs_user}"
    answer = requests.request(method, url, headers={"User-Agent": "Mozilla/5.0"}, timeout=60)
    assert answer.status_code == 400
    assert "CSRF" in answer.reason + answer.text


def test_the_log_of_a_wait_is_shown_although_no_log_server_runs(cluster: Cluster) -> None:
    airflow = cluster.airflow
    airflow.unpause("nightly_scoring")
    run_id = airflow.trigger("nightly_scoring", {}, "2031-01-01")
    path = f"dags/nightly_scoring/dagRuns/{quote(run_id, safe='')}/taskInstances/wait_for_landing"

    def is_shown() -> bool:
        if airflow.call("GET", path)["try_number"] == 0:
            return False  # the scheduler has not begun with it
        log = json.dumps(airflow.call("GET", f"{path}/logs/1"))
        return "waiting until" in log and "/landing/installs/ds=2031-01-01/_SUCCESS" in log

    wait_until(is_shown, "the log of the wait is not shown", timeout_seconds=120)
