"""Kill, stop and start services of the cluster."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import psutil

from local_cluster.layout import Layout
from local_cluster.services import Service
from local_cluster.start import all_services
from local_cluster.supervision import await_ready, supervisor_api, write_supervisor_configuration
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
    def stopped(self, name: str) -> Iterator[None]:
        """The service is away during the block, and answers after it."""
        supervisor = supervisor_api(self._layout)
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

    def _start_anew(self, services: dict[str, Service]) -> None:
        """Start those services again whose configuration differs."""
        self._services = services
        write_supervisor_configuration(self._layout, list(services.values()))
        supervisor = supervisor_api(self._layout)
        _, changed, _ = supervisor.reloadConfig()[0]
        for name in changed:
            supervisor.stopProcess(name)
            supervisor.removeProcessGroup(name)
            supervisor.addProcessGroup(name)
            supervisor.startProcess(name, False)
        for name in changed:
            self.await_ready(name)


def family(process: psutil.Process) -> list[psutil.Process]:
    """The process and all that it has started, directly or not."""
    return [process, *process.children(recursive=True)]


def kill_all(processes: list[psutil.Process]) -> None:
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, timeout=30)
