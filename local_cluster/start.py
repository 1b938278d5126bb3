"""Start the one-machine cluster, and report its memory and its web pages.

In   the cluster's layout
Out  every service answers; folders on HDFS and pools in Airflow are made
"""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import psutil

from local_cluster import postgres
from local_cluster.access.credentials import OWNER, passwords_file, pgpass, write_credentials
from local_cluster.access.folders import make_hdfs_folders
from local_cluster.access.mlflow_users import write_server_configuration
from local_cluster.airflow_api import AirflowApi
from local_cluster.configuration import write_configuration
from local_cluster.environment import service_environment
from local_cluster.layout import UMASK, ClusterError, Layout
from local_cluster.progress import step
from local_cluster.services import (
    NAMENODE,
    Service,
    airflow_services,
    hadoop_command,
    hadoop_services,
    is_port_free,
    mlflow_service,
)
from local_cluster.supervision import (
    await_ready,
    end_of_log,
    log_file,
    owned_processes,
    start_services,
    start_supervisor,
    states,
    stop_everything,
    supervisor_process,
    write_supervisor_configuration,
)
from model_registry.signing import make_key_pair, write_public_key
from settings import Settings


def start(layout: Layout) -> None:
    """Bring every service up.

    Raises:
        ClusterError: a port is taken, or a service does not come up.
    """
    services = all_services(layout)
    refuse_earlier_data(layout)
    layout.make_folders()
    make_signing_keys(layout.settings)
    passwords = write_credentials(layout.identities)
    if supervisor_process(layout) is None:
        refuse_taken_ports(layout)
        stop_everything(layout)
        write_configuration(layout)
        write_supervisor_configuration(layout, services)
        start_supervisor(layout)
    bring_up(layout, services, passwords)


def make_signing_keys(settings: Settings) -> None:
    """Make the keys that models are signed with, unless they are made."""
    if not settings.signing_key.exists():
        make_key_pair(settings.signing_key, settings.public_key)
    elif not settings.public_key.exists():  # lost, or a start was killed between the two files
        write_public_key(settings.signing_key, settings.public_key)


def all_services(layout: Layout) -> list[Service]:
    """List every service in the order in which they start."""
    return [
        postgres.postgres_service(layout),
        *hadoop_services(layout),
        mlflow_service(layout, postgres.url(layout, "mlflow", "mlflow")),
        *airflow_services(layout),
    ]


def bring_up(layout: Layout, services: list[Service], passwords: dict[str, str]) -> None:
    """Start all services that do not run; databases are made while HDFS and YARN start."""
    stopped = {name for name, state in states(layout).items() if state != "RUNNING"}
    waiting = [service for service in services if service.name in stopped]
    on_databases = [service for service in waiting if service.name.startswith(("airflow", "mlflow"))]
    database = [service for service in waiting if service.name == "postgres"]
    with ThreadPoolExecutor(max_workers=1) as beside:
        prepared = (
            beside.submit(prepare_databases, layout, database, passwords)
            if database or on_databases
            else None
        )
        format_namenode(layout)
        start_services(layout, [service for service in waiting if service not in [*database, *on_databases]])
        if prepared:
            with step("start postgres and create databases"):
                prepared.result()
    start_services(layout, on_databases)
    for service in services:
        with step(f"start {service.name}"):
            await_ready(layout, service)
    with step("create folders on HDFS and pools in Airflow"):
        make_hdfs_folders(layout.settings)
        make_airflow_pools(layout)


def prepare_databases(layout: Layout, database: list[Service], passwords: dict[str, str]) -> None:
    """Start PostgreSQL if it does not run; make databases, roles, MLflow's users and Airflow's tables."""
    postgres.initialise(layout, passwords[OWNER])
    start_services(layout, database)
    for service in database:
        await_ready(layout, service)
    postgres.create_databases(layout, passwords)
    set_up_mlflow(layout, passwords)
    migrate_airflow(layout)


def refuse_earlier_data(layout: Layout) -> None:
    """Raise a ClusterError for data from before the identities, of which one role owns all."""
    if (layout.data / "pgpass").exists():
        raise ClusterError(
            f"{layout.data} is of a version without identities, whose databases and folders do not fit: copy "
            "what you need of it, then remove it"
        )


def refuse_taken_ports(layout: Layout) -> None:
    """Raise a ClusterError that names every taken port, before anything starts."""
    taken = {
        name: port for name, port in layout.settings.ports.model_dump().items() if not is_port_free(port)
    }
    if taken:
        named = ", ".join(f"{port} ({name})" for name, port in taken.items())
        raise ClusterError(
            f"ports taken on 127.0.0.1: {named}. Stop the programs that use them, or move all ports: "
            "RISK_PORT_OFFSET=1000 make up (single ports: RISK_PORTS__<NAME>, see .env.example)"
        )


def format_namenode(layout: Layout) -> None:
    if (layout.data / "namenode" / "current").exists():
        return
    with step("format the NameNode"):
        run_logged(
            layout, "namenode-format", [*hadoop_command(layout, NAMENODE, 256), "-format", "-nonInteractive"]
        )


def migrate_airflow(layout: Layout) -> None:
    run_logged(layout, "airflow-db-migrate", [str(layout.python_bin / "airflow"), "db", "migrate"])


def set_up_mlflow(layout: Layout, passwords: dict[str, str]) -> None:
    uri, auth_uri = (postgres.url(layout, database, "mlflow") for database in ("mlflow", "mlflow_auth"))
    write_server_configuration(layout.mlflow_auth, auth_uri, passwords)
    passfile = f"?passfile={pgpass(layout.identities, 'mlflow')}"
    words = [
        uri + passfile,
        auth_uri + passfile,
        layout.settings.model_name,
        str(passwords_file(layout.identities)),
    ]
    python = str(layout.python_bin / "python")
    run_logged(layout, "mlflow-set-up", [python, "-m", "local_cluster.access.mlflow_users", *words])


def run_logged(layout: Layout, name: str, command: list[str]) -> None:
    """Run a set-up command and write its output to its own log."""
    log = log_file(layout, name)
    with log.open("w") as file:
        done = subprocess.run(
            command, env=service_environment(layout), stdout=file, stderr=subprocess.STDOUT, umask=UMASK
        )
    if done.returncode:
        raise ClusterError(f"{name} failed with exit code {done.returncode}\n{end_of_log(log)}")


def airflow_pools(settings: Settings) -> list[tuple[str, int, str]]:
    """Name, slots and description of each pool."""
    return [
        # One GPU trains one model at a time; Spark drivers use most of this machine's memory.
        ("gpu", 1, "training; one slot per GPU"),
        ("spark", settings.spark_slots, "Spark drivers at a time"),
    ]


def make_airflow_pools(layout: Layout) -> None:
    airflow = AirflowApi.login(layout)
    for pool in airflow_pools(layout.settings):
        airflow.set_pool(*pool)


def memory_gb(layout: Layout) -> float:
    """Memory of all the cluster's processes, in GB; each shared page is divided among its users (PSS)."""
    return sum(_pss_bytes(process) for process in owned_processes(layout)) / 1e9


def _pss_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.NoSuchProcess:  # ended since it was listed
        return 0


def web_pages(layout: Layout) -> list[str]:
    ports = layout.settings.ports
    password = AirflowApi.passwords(layout)["admin"]
    training = layout.settings.identity("training")["MLFLOW_TRACKING_PASSWORD"]
    return [
        f"Airflow  {layout.settings.airflow_url}  (log in as admin / {password})",
        f"MLflow   {layout.settings.mlflow_tracking_uri}  (log in as training / {training})",
        f"HDFS     http://127.0.0.1:{ports.namenode_web}",
        f"YARN     http://127.0.0.1:{ports.resourcemanager_web}",
    ]
