"""Kill, stop, freeze and start services of the cluster and the processes of jobs."""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace

import psutil

from local_cluster.layout import Layout
from local_cluster.services import Service
from local_cluster.start import all_services
from local_cluster.supervision import (
    await_ready,
    owned_processes,
    supervisor_api,
    write_supervisor_configuration,
)

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
        process = psutil.Process(self.pid(name))
        family = [process, *process.children(recursive=True)]
        for member in family:
            member.kill()
        psutil.wait_procs(family, timeout=30)

    def kill_worker(self, word: str) -> None:
        """End by SIGKILL the worker of Airflow with this word in a command of its task, and its children."""
        workers = psutil.Process(self.pid("airflow-scheduler")).children()
        families = [[worker, *worker.children(recursive=True)] for worker in workers]
        (family,) = [
            family for family in families if any(word in " ".join(member.cmdline()) for member in family[1:])
        ]
        for member in family:
            member.kill()
        psutil.wait_procs(family, timeout=30)

    def try_again(self, first: Future[None], job: Callable[[], None]) -> None:
        """Do as Airflow does: run the job once more, after the outage, if its first try failed of it."""
        error = first.exception()
        self.await_all_ready()
        if error is not None:
            assert getattr(error, "retryable", True), error
            job()

    def stop(self, name: str) -> None:
        """Stop the service until `start`."""
        supervisor_api(self._layout).stopProcess(name)

    def start(self, name: str) -> None:
        """Start a stopped service and wait until it answers."""
        supervisor_api(self._layout).startProcess(name)
        self.await_ready(name)

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        self.stop(name)
        try:
            yield
        finally:
            self.start(name)

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

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """The service takes connections and does not answer."""
        process = psutil.Process(self.pid(name))
        family = [process, *process.children(recursive=True)]
        for member in family:
            member.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for member in family:
                member.send_signal(signal.SIGCONT)

    def executors(self, application_id: str) -> list[psutil.Process]:
        """The executors' JVMs of a Spark application."""
        return [
            process
            for process in owned_processes(self._layout)
            if "YarnCoarseGrainedExecutorBackend" in (words := " ".join(process.cmdline()))
            and application_id in words
            and process.name() == "java"
        ]
