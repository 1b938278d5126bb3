"""Start, watch and stop the cluster's services under supervisord."""

import configparser
import contextlib
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xmlrpc.client import ServerProxy

import psutil
from supervisor.xmlrpc import SupervisorTransport

from local_cluster.environment import OWNER, service_environment
from local_cluster.layout import UMASK, ClusterError, Layout
from local_cluster.services import Service

READY_TIMEOUT_SECONDS = 180
STOP_TIMEOUT_SECONDS = 60
LOG_LINES_SHOWN = 15


def write_supervisor_configuration(layout: Layout, services: list[Service]) -> None:
    """One program per service; each logs to `.cluster/logs/<name>.log`."""
    config = configparser.RawConfigParser()
    config["unix_http_server"] = {"file": str(_socket(layout)), "chmod": "0700"}
    config["supervisord"] = {
        "pidfile": str(layout.run / "supervisord.pid"),
        "logfile": str(layout.logs / "supervisord.log"),
        "childlogdir": str(layout.logs),
        # Databases and logs are this account's alone. supervisord's own default is 022.
        "umask": f"{UMASK:03o}",
    }
    rpc = "supervisor.rpcinterface:make_main_rpcinterface"
    config["rpcinterface:supervisor"] = {"supervisor.rpcinterface_factory": rpc}
    for place, service in enumerate(services):
        config[f"program:{service.name}"] = _program(layout, service, place)
    with (layout.conf / "supervisord.conf").open("w") as file:
        config.write(file)


def _program(layout: Layout, service: Service, place: int) -> dict[str, str]:
    # Single quotes: a connection of Airflow is JSON.
    environment = ",".join(f"{name}='{value}'" for name, value in service.environment.items())
    return {
        # supervisord expands %(…)s in every value.
        "command": shlex.join(service.command).replace("%", "%%"),
        "environment": environment,
        "directory": str(layout.home),
        "autostart": "false",
        # The last one stops first: a NodeManager that outlives its ResourceManager does not stop by itself.
        "priority": str(place),
        "startsecs": "1",
        "stopsignal": service.stop_signal,
        "stopwaitsecs": str(service.stop_seconds),
        "stopasgroup": "true",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": str(log_file(layout, service.name)),
        "stdout_logfile_maxbytes": "20MB",
        "stdout_logfile_backups": "1",
    }


def log_file(layout: Layout, name: str) -> Path:
    return layout.logs / f"{name}.log"


def _socket(layout: Layout) -> Path:
    path = layout.run / "supervisor.sock"
    if len(str(path)) > 100:
        raise ClusterError(
            f"the supervisor's socket {path} is longer than the 107 characters that Linux allows: "
            "set RISK_CLUSTER_HOME to a shorter folder"
        )
    return path


def supervisor_process(layout: Layout) -> psutil.Process | None:
    """The running supervisord of this cluster, found by its recorded pid and its owner's mark."""
    try:
        process = psutil.Process(int((layout.run / "supervisord.pid").read_text()))
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return None
    return process if _is_ours(process, layout) else None


def start_supervisor(layout: Layout) -> None:
    command = [str(layout.python_bin / "supervisord"), "-c", str(layout.conf / "supervisord.conf")]
    done = subprocess.run(
        command, env=service_environment(layout), cwd=layout.home, capture_output=True, text=True
    )
    if done.returncode:
        raise ClusterError(f"supervisord did not start: {done.stderr or done.stdout}")
    wait_until(lambda: _socket(layout).exists(), f"no socket at {_socket(layout)}", timeout_seconds=20)


def supervisor_api(layout: Layout) -> Any:
    """The supervisor's XML-RPC interface (http://supervisord.org/api.html), over its socket."""
    transport = SupervisorTransport(None, None, f"unix://{_socket(layout)}")
    return ServerProxy("http://127.0.0.1", transport=transport).supervisor


def states(layout: Layout) -> dict[str, str]:
    """Service name → its state in the supervisor's words, such as `RUNNING`."""
    return {info["name"]: info["statename"] for info in supervisor_api(layout).getAllProcessInfo()}


def start_services(layout: Layout, services: list[Service]) -> None:
    """Start services, without waiting until they are ready."""
    for service in services:
        supervisor_api(layout).startProcess(service.name, False)


def await_ready(layout: Layout, service: Service) -> None:
    """Wait until the service answers.

    Raises:
        ClusterError: it ended or did not answer in time; the message holds the end of its log.
    """

    def is_ready() -> bool:
        state = states(layout)[service.name]
        if state in ("FATAL", "EXITED"):
            raise ClusterError(
                f"{service.name} does not run ({state})\n{end_of_log(log_file(layout, service.name))}"
            )
        return service.is_ready()

    log = log_file(layout, service.name)
    wait_until(is_ready, f"{service.name} is not ready", READY_TIMEOUT_SECONDS, lambda: end_of_log(log))


def wait_until(
    condition: Callable[[], bool],
    complaint: str,
    timeout_seconds: float,
    detail: Callable[[], str] = lambda: "",
) -> None:
    """Check every half second; after the timeout, raise a ClusterError with the complaint and the detail."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"{complaint} after {timeout_seconds:.0f} s\n{detail()}")
        time.sleep(0.5)


def end_of_log(path: Path, lines: int = LOG_LINES_SHOWN) -> str:
    """The log's path and its last lines, for an error message."""
    if not path.exists():
        return f"{path} was not written"
    last = path.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join([f"--- end of {path}", *last])


def stop_everything(layout: Layout) -> int:
    """Stop the supervisor, which stops its services, and then what a crash left behind.

    Returns:
        The number of stopped processes.
    """
    running = list(owned_processes(layout))
    supervisor = supervisor_process(layout)
    if supervisor is not None:
        supervisor.terminate()
        psutil.wait_procs([supervisor], timeout=STOP_TIMEOUT_SECONDS)
    left = list(owned_processes(layout))
    for process in left:
        _signal(process.terminate)
    _, still_left = psutil.wait_procs(left, timeout=15)
    for process in still_left:
        _signal(process.kill)
    psutil.wait_procs(still_left, timeout=10)
    return len(running)


def owned_processes(layout: Layout) -> Iterator[psutil.Process]:
    """Every process that carries this cluster's mark: services, their drivers and YARN's containers.

    Only processes that a service starts inherit the mark. So a pid that the system has since given to another
    process is never touched.
    """
    for process in psutil.process_iter():
        if _is_ours(process, layout):
            yield process


def _is_ours(process: psutil.Process, layout: Layout) -> bool:
    try:
        return process.environ().get(OWNER) == str(layout.home)
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return False  # ended, or another user's


def _signal(send: Callable[[], None]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile
        send()
