"""Shared parts of the DAGs: settings, defaults, submission of jobs, and the rule for retries."""

import re
import sys
from datetime import timedelta
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import Context, RetryDecision, RetryPolicy

from dags.waiting import HdfsDays
from settings import REPOSITORY, Settings

SETTINGS = Settings()
Arguments = dict[str, str | list[str]]

# New for each attempt of a run: scores that an orphaned driver of an earlier attempt stages have another id.
WAP_ID = "{{ run_id }}-{{ ti.try_number }}"
# HDFS refuses colons in names.
RUN_FOLDER = "{{ run_id | replace(':', '') | replace('+', '_') }}"

HDFS_DAYS = HdfsDays(SETTINGS.webhdfs_url, SETTINGS.hdfs_user, SETTINGS.landing_root, SETTINGS.receipts_root)

DATA_ERROR_EXIT_CODE = 65  # EX_DATAERR of sysexits.h, as jobs/command.py exits


class RetryUnlessDataError(RetryPolicy):
    """Fail at once if a job says that its input is at fault: the same input would fail again."""

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,  # noqa: ARG002 (the interface's)
        max_tries: int,  # noqa: ARG002
        context: Context | None = None,  # noqa: ARG002
    ) -> RetryDecision:
        message = str(exception).strip()
        if re.search(rf"\bcode(?: is)?:? {DATA_ERROR_EXIT_CODE}\b", message):
            # A job's last line is the reason.
            return RetryDecision.fail(reason=message.splitlines()[-1].strip())
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """It has no parameters."""
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> "RetryUnlessDataError":  # noqa: ARG003
        return cls()


DEFAULT_ARGS: dict[str, Any] = {
    "owner": "risk",
    # Two retries outlive a restarted DataNode or a lost container.
    "retries": 2,
    "retry_delay": timedelta(seconds=20),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    "retry_policy": RetryUnlessDataError(),
    "execution_timeout": timedelta(hours=2),
}


def spark_job(task_id: str, arguments: Any, **options: Any) -> SparkSubmitOperator:
    """Submit `jobs/<task_id>.py`; a task and its script share one name.

    Args:
        task_id: name of the task and of the script.
        arguments: options of the script (templated), or a task that returns its command line.
        options: further arguments of the operator.
    """
    return SparkSubmitOperator(
        task_id=task_id,
        application=str(REPOSITORY / "jobs" / f"{task_id}.py"),
        name=f"{task_id} {{{{ run_id }}}}",
        conf=_environment_conf(),
        pool="spark",
        # A retry then follows the application of the earlier try, instead of starting a second one.
        yarn_track_via_rm_api=SETTINGS.spark_deploy_mode == "cluster",
        application_args=command_line(arguments) if isinstance(arguments, dict) else arguments,
        **options,
    )


def command_line(arguments: Arguments) -> list[str]:
    """Write options, given without `--`, with their values; an option with several values is repeated.

    >>> command_line({"scores": "risk.risk_scores", "day": ["2026-01-30", "2026-01-31"]})
    ['--scores', 'risk.risk_scores', '--day', '2026-01-30', '--day', '2026-01-31']
    """
    pairs = [
        (name, value)
        for name, values in arguments.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    return [part for name, value in pairs for part in (f"--{name}", value)]


def extraction_arguments(days: list[str]) -> Arguments:
    """Options of `jobs/extract_sessions.py` for the given landing days."""
    return {
        "landing-root": f"{SETTINGS.hdfs_url}{SETTINGS.landing_root}",
        "receipts-root": f"{SETTINGS.hdfs_url}{SETTINGS.receipts_root}",
        "sessions": "risk.install_sessions",
        "rejected": "risk.rejected_events",
        "counts": "risk.extraction_counts",
        "max-bad-share": str(SETTINGS.max_bad_share),
        "session-gap-seconds": str(SETTINGS.session_gap_seconds),
        "day": days,
    }


def command(task_id: str, bash_command: str, **options: Any) -> BashOperator:
    """Run a command of this environment; its last line of output is the task's result."""
    # By its path: since its input is Airflow's socket, bash acts as a remote shell and reads ~/.bashrc, where
    # tools such as pyenv put another python first.
    return BashOperator(
        task_id=task_id, bash_command=f"exec {sys.executable} -m {bash_command}", append_env=True, **options
    )


def _environment_conf() -> dict[str, str]:
    """Spark settings that send the Python environment along with a job, for nodes that lack it."""
    conf = {}
    if SETTINGS.spark_archives:
        conf["spark.archives"] = SETTINGS.spark_archives
    if SETTINGS.spark_python:
        conf["spark.pyspark.python"] = SETTINGS.spark_python
        conf["spark.yarn.appMasterEnv.PYSPARK_PYTHON"] = SETTINGS.spark_python
        if SETTINGS.spark_deploy_mode == "client":  # the driver runs here, where the archive is not unpacked
            conf["spark.pyspark.driver.python"] = sys.executable
    return conf
