"""Kill, stop and start services of the cluster."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import psutil
import requests

from local_cluster.layout import Layout
from local_cluster.services import Service
from local_cluster.start import all_services
from local_cluster.supervision import (
    await_ready,
    supervisor_api,
    wait_until,
    write_supervisor_configuration,
)
from tests.faults.harness.hold import Hold

READ_SETTINGS = ("airflow-scheduler", "airflow-dag-processor")  # tasks are children of the scheduler


class Services:
    """The running services, by their names in the supervisor: namenode, datanode-1, postgres, mlflow, …"""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._services: dict[str, Service] = {service.name: service for service in all_services(layout)}

    def pid(self, name: str) -> int:
        return int(supervisor_api(self._layout).getProcessInfo(name)["pid"])

    def await_ready(self, name: str) -> None:
        await_ready(self._layout, self._services[name])

    def await_all_ready(self) -> None:
        for name in self._services:
            self.await_ready(name)

    def kill(self, name: str) -> None:
        """End the service and its children by SIGKILL. The supervisor starts it again at once."""
        kill_all(family(psutil.Process(self.pid(name))))

    def kill_worker(self, word: str) -> None:
        """End by SIGKILL the worker of Airflow with this word in a command of its task, and its children."""
        workers = psutil.Process(self.pid("airflow-scheduler")).children()
        (found,) = [
            members
            for members in map(family, workers)
            if any(word in " ".join(member.cmdline()) for member in members[1:])
        ]
        kill_all(found)

    def kill_during(self, name: str, point: AbstractContextManager[Hold], job: Callable[[], None]) -> None:
        """Kill the service while the job stands at the point; then do as Airflow does.

        If its try failed of the outage, the job is run once more when all services answer.
        """
        with ThreadPoolExecutor(1) as pool:
            with point as hold:
                first = pool.submit(job)
                hold.wait()
                self.kill(name)
            error = first.exception()
        self.await_all_ready()
        if error is not None:
            assert getattr(error, "retryable", True), error
            job()

    @contextmanager
    def killed(self, name: str) -> Iterator[None]:
        """The service ends by SIGKILL, is away during the block, and answers after it."""
        supervisor, before = supervisor_api(self._layout), self.pid(name)
        self.kill(name)
        wait_until(lambda: self.pid(name) not in (0, before), f"{name} is not started again", 30)
        supervisor.stopProcess(name)
        try:
            yield
        finally:
            supervisor.startProcess(name)
            self.await_ready(name)

    @contextmanager
    def airflow_with(self, **variables: str) -> Iterator[None]:
        """Airflow started again with other variables, such as RISK_SPARK_DEPLOY_MODE."""
        before = self._services
        changed = {
            name: replace(before[name], environment=before[name].environment | variables)
            for name in READ_SETTINGS
        }
        self._start_anew(before | changed)
        try:
            yield
        finally:
            self._start_anew(before)

    @contextmanager
    def second_node(self) -> Iterator[None]:
        """A further NodeManager, on a host of its own: 127.0.0.2."""
        ports, node = self._layout.settings.ports, self._services["nodemanager"]
        properties = {
            "yarn.nodemanager.hostname": "127.0.0.2",
            "yarn.nodemanager.address": f"127.0.0.2:{ports.nodemanager}",
            "yarn.nodemanager.localizer.address": f"127.0.0.2:{ports.nodemanager_localizer}",
            "yarn.nodemanager.webapp.address": f"127.0.0.2:{ports.nodemanager_web}",
            "yarn.nodemanager.local-dirs": str(self._layout.tmp / "yarn-2"),
            "yarn.nodemanager.log-dirs": str(self._layout.logs / "yarn-2"),
        }
        options = [word for name, value in properties.items() for word in ("-D", f"{name}={value}")]
        second = replace(
            node,
            name="nodemanager-2",
            command=[*node.command, *options],
            is_ready=lambda: active_nodes(self._layout) == 2,
        )
        before = self._services
        self._start_anew(before | {second.name: second})
        try:
            yield
        finally:
            self._start_anew(before)

    def _start_anew(self, services: dict[str, Service]) -> None:
        """Start those services again whose configuration differs; start new ones and stop those left out."""
        self._services = services
        write_supervisor_configuration(self._layout, list(services.values()))
        supervisor = supervisor_api(self._layout)
        added, changed, removed = supervisor.reloadConfig()[0]
        for name in [*changed, *removed]:
            supervisor.stopProcess(name)
            supervisor.removeProcessGroup(name)
        for name in [*added, *changed]:
            supervisor.addProcessGroup(name)
            supervisor.startProcess(name, False)
        for name in [*added, *changed]:
            self.await_ready(name)


def active_nodes(layout: Layout) -> int:
    """Count the NodeManagers that run containers."""
    web = f"http://127.0.0.1:{layout.settings.ports.resourcemanager_web}"
    metrics = requests.get(f"{web}/ws/v1/cluster/metrics", timeout=10).json()
    return int(metrics["clusterMetrics"]["activeNodes"])


def family(process: psutil.Process) -> list[psutil.Process]:
    """The process and all that it has started, directly or not."""
    return [process, *process.children(recursive=True)]


def kill_all(processes: list[psutil.Process]) -> None:
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, timeout=30)
