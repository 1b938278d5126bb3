"""Airflow's REST API, as the demo and the tests use it."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests

from local_cluster.layout import ClusterError, Layout

TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class AirflowApi:
    """A logged-in client of `/api/v2` of one Airflow."""

    url: str
    token: str

    @classmethod
    def login(cls, layout: Layout, user: str = "admin") -> "AirflowApi":
        password = cls.passwords(layout)[user]
        answer = requests.post(
            f"{layout.settings.airflow_url}/auth/token",
            json={"username": user, "password": password},
            timeout=TIMEOUT_SECONDS,
        )
        answer.raise_for_status()
        return cls(layout.settings.airflow_url, answer.json()["access_token"])

    @staticmethod
    def passwords(layout: Layout) -> dict[str, str]:
        """Users and passwords of Airflow's page, which `make up` writes."""
        path = layout.airflow_home / "passwords.json"
        if not path.exists():
            raise ClusterError(f"there is no {path} yet: run `make up`")
        passwords: dict[str, str] = json.loads(path.read_text())
        return passwords

    def call(self, method: str, path: str, **request: Any) -> Any:
        """Send one request and return the decoded answer.

        Raises:
            ClusterError: Airflow refused; the message holds its reason.
        """
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = requests.request(
            method, f"{self.url}/api/v2/{path}", headers=headers, timeout=TIMEOUT_SECONDS, **request
        )
        if not answer.ok:
            raise ClusterError(f"Airflow refused {method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json() if answer.content else None

    def set_pool(self, name: str, slots: int, description: str) -> None:
        existing = {pool["name"] for pool in self.call("GET", "pools")["pools"]}
        pool = {"name": name, "slots": slots, "description": description, "include_deferred": False}
        if name in existing:
            self.call("PATCH", f"pools/{name}", json=pool)
        else:
            self.call("POST", "pools", json=pool)

    def dag_ids(self) -> list[str]:
        return [dag["dag_id"] for dag in self.call("GET", "dags")["dags"]]

    def unpause(self, dag_id: str) -> None:
        self.call("PATCH", f"dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str, conf: dict[str, Any], partition_key: str | None = None) -> str:
        """Start one run and return its id."""
        body = {"logical_date": None, "conf": conf, "partition_key": partition_key}
        run_id: str = self.call("POST", f"dags/{dag_id}/dagRuns", json=body)["dag_run_id"]
        return run_id

    def backfill(self, dag_id: str, first_day: str, last_day: str, max_active_runs: int, **more: Any) -> int:
        """Start a backfill of the dates from first to last, both included, and return its id."""
        body = {
            "dag_id": dag_id,
            "from_date": f"{first_day}T00:00:00Z",
            "to_date": f"{last_day}T00:00:00Z",
            "max_active_runs": max_active_runs,
            "reprocess_behavior": "completed",
            **more,
        }
        backfill_id: int = self.call("POST", "backfills", json=body)["id"]
        return backfill_id

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """List the DAG's runs, newest first."""
        path = f"dags/{dag_id}/dagRuns?limit=100&order_by=-id"
        runs: list[dict[str, Any]] = self.call("GET", path)["dag_runs"]
        return runs

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        path = f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        tasks: list[dict[str, Any]] = self.call("GET", path)["task_instances"]
        return tasks
