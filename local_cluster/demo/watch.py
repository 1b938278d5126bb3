"""Follow Airflow runs: one line per finished task, and on a failure its reason and its log."""

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from local_cluster.airflow_api import AirflowApi
from local_cluster.layout import ClusterError, Layout
from local_cluster.progress import say

POLL_SECONDS = 4
LOG_LINES_SHOWN = 15


def follow(
    airflow: AirflowApi,
    layout: Layout,
    dag_id: str,
    select: Callable[[dict[str, Any]], bool],
    expected_runs: int,
    timeout_seconds: float,
) -> list[dict[str, Any]]:
    """Watch the selected runs of a DAG until all have ended, and return them.

    Raises:
        ClusterError: a run failed (with the failed task's log path and last lines), or the time is up.
    """
    deadline = time.monotonic() + timeout_seconds
    printed: set[tuple[str, str]] = set()
    while True:
        runs = [run for run in airflow.runs(dag_id) if select(run)]
        for run in reversed(runs):
            tell_finished_tasks(airflow, run, printed)
            if run["state"] == "failed":
                raise ClusterError(describe_failure(airflow, layout, run))
        if len(runs) >= expected_runs and all(run["state"] == "success" for run in runs):
            return runs
        if time.monotonic() > deadline:
            states = ", ".join(f"{run['dag_run_id']} is {run['state']}" for run in runs) or "no run yet"
            raise ClusterError(f"{dag_id} did not end within {timeout_seconds:.0f} s: {states}")
        time.sleep(POLL_SECONDS)


def tell_finished_tasks(airflow: AirflowApi, run: dict[str, Any], printed: set[tuple[str, str]]) -> None:
    """Print a line for each task that has ended, once: `printed` holds the run and task ids."""
    for task in airflow.tasks(run["dag_id"], run["dag_run_id"]):
        key = (run["dag_run_id"], task["task_id"])
        if task["state"] in ("success", "failed", "up_for_retry") and key not in printed and task["end_date"]:
            printed.add(key)
            date = f"{run['partition_key']}  " if run.get("partition_key") else ""
            say(f"    {date}{task['task_id']:22}{task['state']:10}{duration(task):6.1f} s")


def duration(task: dict[str, Any]) -> float:
    """Seconds between a task's start and end."""
    start, end = (datetime.fromisoformat(task[name]) for name in ("start_date", "end_date"))
    return (end - start).total_seconds()


def describe_failure(airflow: AirflowApi, layout: Layout, run: dict[str, Any]) -> str:
    """Name the failed task, its log file and the log's last lines."""
    tasks = airflow.tasks(run["dag_id"], run["dag_run_id"])
    failed = next((task for task in tasks if task["state"] == "failed"), None)
    if failed is None:
        return f"run {run['dag_run_id']} of {run['dag_id']} failed"
    log = task_log(layout, run, failed)
    lines = "\n".join(last_events(log))
    return f"{failed['task_id']} of {run['dag_run_id']} failed; its log is {log}\n{lines}"


def task_log(layout: Layout, run: dict[str, Any], task: dict[str, Any]) -> Path:
    folder = layout.logs / "airflow-tasks" / f"dag_id={run['dag_id']}" / f"run_id={run['dag_run_id']}"
    return folder / f"task_id={task['task_id']}" / f"attempt={task['try_number']}.log"


def last_events(log: Path) -> list[str]:
    """Read the last messages of a task's log, which holds one JSON object per line."""
    if not log.exists():
        return [f"{log} was not written"]
    entries = [json.loads(line) for line in log.read_text(errors="replace").splitlines() if line[:1] == "{"]
    messages = [describe_entry(entry) for entry in entries]
    # Airflow's web page folds the lines between such marks.
    return [line for line in messages if not line.startswith(("::group::", "::endgroup::"))][
        -LOG_LINES_SHOWN:
    ]


def describe_entry(entry: dict[str, Any]) -> str:
    """Write a log entry's message, followed by its exceptions."""
    raised = [f"{error['exc_type']}: {error['exc_value']}" for error in entry.get("error_detail", [])]
    return ": ".join([str(entry.get("event", "")), *raised])
