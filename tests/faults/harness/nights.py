"""Runs of `nightly_scoring` in the real Airflow.

In   a date, a run id, the version to score with
Out  Night: its tasks, their logs by try, its applications on YARN
"""

import time
from dataclasses import dataclass
from datetime import date
from typing import Any

import requests

from local_cluster.airflow_api import AirflowApi
from local_cluster.demo.watch import follow, task_log
from local_cluster.supervision import wait_until
from tests.real_cluster import Cluster

DAG = "nightly_scoring"
LONGEST_SECONDS = 1800


@dataclass(frozen=True)
class Night:
    cluster: Cluster
    airflow: AirflowApi
    run_id: str
    begun_ms: float

    @classmethod
    def start(cls, cluster: Cluster, ds: date, run_id: str, version: int) -> "Night":
        airflow = cluster.airflow
        airflow.unpause(DAG)
        begun_ms = time.time() * 1000
        body = {
            "dag_run_id": run_id,
            "logical_date": None,
            "partition_key": ds.isoformat(),
            "conf": {"model_version": version},
        }
        airflow.call("POST", f"dags/{DAG}/dagRuns", json=body)
        return cls(cluster, airflow, run_id, begun_ms)

    def task(self, task_id: str) -> dict[str, Any]:
        tasks = self.airflow.tasks(DAG, self.run_id)
        return next(task for task in tasks if task["task_id"] == task_id)

    def await_task(self, task_id: str, state: str, seconds: float = 300) -> None:
        """Wait until the task is in the state.

        Raises:
            ClusterError: it is not in time; the message tells its state then.
        """
        wait_until(
            lambda: self.task(task_id)["state"] == state,
            f"{task_id} of {self.run_id} is not {state}",
            seconds,
            lambda: f"it is {self.task(task_id)['state']}",
        )

    def await_success(self) -> None:
        """Wait until the run has ended well.

        Raises:
            ClusterError: it failed; the message holds the end of the failed task's log.
        """
        follow(
            self.airflow,
            self.cluster.layout,
            DAG,
            lambda run: run["dag_run_id"] == self.run_id,
            expected_runs=1,
            timeout_seconds=LONGEST_SECONDS,
        )

    def log(self, task_id: str, try_number: int) -> str:
        run = {"dag_id": DAG, "dag_run_id": self.run_id}
        return task_log(self.cluster.layout, run, {"task_id": task_id, "try_number": try_number}).read_text()

    def clear(self, *task_ids: str) -> None:
        """Clear finished tasks, and none after them, as the page of Airflow does."""
        body = {
            "dry_run": False,
            "dag_run_id": self.run_id,
            "task_ids": task_ids,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self.airflow.call("POST", f"dags/{DAG}/clearTaskInstances", json=body)

    def applications(self, job: str) -> list[dict[str, Any]]:
        """What YARN says of the job's applications since the run began, in the order of their start."""
        url = f"http://127.0.0.1:{self.cluster.settings.ports.resourcemanager_web}/ws/v1/cluster/apps"
        apps = requests.get(url, timeout=30).json()["apps"] or {"app": []}
        mine = [
            app
            for app in apps["app"]
            if app["name"].startswith(f"{job} ") and app["startedTime"] >= self.begun_ms
        ]
        return sorted(mine, key=lambda app: int(app["startedTime"]))
