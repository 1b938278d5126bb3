"""Shared parts of the DAGs: settings, defaults, submission of jobs, and the rules for retries."""

import hashlib
import re
import sys
from datetime import timedelta
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import Context, RetryDecision, RetryPolicy
from airflow.sdk.exceptions import AirflowFailException

from dags.hdfs_days import HdfsDays
from model_registry.signing import read_public_key
from settings import REPOSITORY, Settings

SETTINGS = Settings()
Arguments = dict[str, str | list[str]]

# New for each attempt of a run: scores that an orphaned driver of an earlier attempt stages have another id.
WAP_ID = "{{ run_id }}-{{ ti.try_number }}"
RUN_FOLDER = "{{ run_id | run_folder }}"

HDFS_DAYS = HdfsDays(
    SETTINGS.webhdfs_url, SETTINGS.hdfs_user_of("scoring"), SETTINGS.landing_root, SETTINGS.receipts_root
)

# What a Spark job needs of its identity. They stand on the command line, so no password is among them.
SPARK_VARIABLES = ("HADOOP_USER_NAME", "SPARK_USER", "PGPASSFILE")

# Exit statuses of jobs/command.py: wrong options, and EX_DATAERR of sysexits.h for a refused input.
REFUSED = re.compile(r"\b(?:code(?: is)?:?|exited with status) (?:2|65)\b")


class RetryOutages(RetryPolicy):
    """Retry what may be an outage; fail at once if a job says that its input is at fault.

    The same input would fail again. The last reason of a task stands in one line of its log.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Context | None = None,  # noqa: ARG002 (the interface's)
    ) -> RetryDecision:
        message = str(exception).strip() or type(exception).__name__
        reason = message.splitlines()[-1].strip()  # a job's last line
        if REFUSED.search(message) or getattr(exception, "retryable", True) is False:
            return RetryDecision.fail(reason=reason)
        if try_number > max_tries:
            return RetryDecision.fail(reason=f"given up after the last retry: {reason}")
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """It has no parameters."""
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> "RetryOutages":  # noqa: ARG003
        return cls()


def refuse_unknown_conf(context: Context) -> None:
    """Refuse a run whose configuration has a key that is no param: Airflow would ignore it.

    Raises:
        AirflowFailException: names the keys.
    """
    params = context["dag"].params
    unknown = sorted(key for key in context["dag_run"].conf or {} if key not in params)
    if unknown:
        raise AirflowFailException(
            f"the run's configuration has {', '.join(map(repr, unknown))}; expected only "
            f"{', '.join(sorted(params))}: correct the name and start a new run"
        )


DEFAULT_ARGS: dict[str, Any] = {
    "owner": "risk",
    # For HDFS, MLflow or YARN being away for an hour: pauses of 1/2, 1, 2, 4, 8 and five times 10 minutes at
    # least, 65 in all, and 75 at most.
    "retries": 10,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
    "retry_policy": RetryOutages(),
    "execution_timeout": timedelta(hours=2),
    "pre_execute": refuse_unknown_conf,
}


def public_key() -> str:
    """The key that models are signed by, for command lines; a macro, so that a task reads it when it runs.

    Raises:
        SigningKeyError: there is none on this host.
    """
    return read_public_key(SETTINGS.public_key)


def run_folder(run_id: str) -> str:
    """Name the folder of a run: letters, digits, `-` and `_` only, and a different one for every run id.

    >>> run_folder("manual__2026-11-05T00:00:00+00:00")
    'manual__2026-11-05T00-00-00-00-00-74df829f1c09cdd9'
    """
    readable = re.sub(r"[^A-Za-z0-9_]+", "-", run_id)[:64].strip("-_")
    return f"{readable or 'run'}-{hashlib.sha256(run_id.encode()).hexdigest()[:16]}"


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
        conf=_spark_conf(),
        env_vars=_spark_variables(),
        **_kerberos_login(),
        pool="spark",
        # Every try submits anew: else a cleared task would find its old application done, and do nothing; and
        # a retry would go on with an application that stages under the earlier try's id.
        durable=False,
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
    """Options of `jobs/extract_sessions.py` for the given landing days and what their window lacks."""
    return {
        "landing-root": f"{SETTINGS.hdfs_url}{SETTINGS.landing_root}",
        "receipts-root": f"{SETTINGS.hdfs_url}{SETTINGS.receipts_root}",
        "sessions": "risk.install_sessions",
        "rejected": "risk.rejected_events",
        "counts": "risk.extraction_counts",
        "max-bad-share": str(SETTINGS.max_bad_share),
        "session-gap-seconds": str(SETTINGS.session_gap_seconds),
        "lookback-days": str(SETTINGS.lookback_days),
        "day": days,
    }


def _kerberos_login() -> dict[str, Any]:
    """The principal of `scoring` and its keytab, from which Spark takes new tokens when a job outlasts them."""
    variables = SETTINGS.identity("scoring")
    principal = variables.get("RISK_KERBEROS_PRINCIPAL") or SETTINGS.kerberos_principal
    keytab = variables.get("RISK_KERBEROS_KEYTAB") or SETTINGS.kerberos_keytab
    return {"principal": principal, "keytab": str(keytab)} if principal else {}


def _spark_variables() -> dict[str, str] | None:
    """Variables of the identity `scoring`, for drivers."""
    variables = SETTINGS.identity("scoring")
    return {name: variables[name] for name in SPARK_VARIABLES if name in variables} or None


def _spark_conf() -> dict[str, str]:
    """Spark settings that depend on the deploy mode, or send the Python environment along with a job."""
    conf = {}
    if SETTINGS.spark_deploy_mode == "cluster":
        # Retries are Airflow's. A second driver of one application would stage under the same id.
        conf["spark.yarn.maxAppAttempts"] = "1"
    if SETTINGS.spark_archives:
        conf["spark.archives"] = SETTINGS.spark_archives
    if SETTINGS.spark_python:
        conf["spark.pyspark.python"] = SETTINGS.spark_python
        conf["spark.yarn.appMasterEnv.PYSPARK_PYTHON"] = SETTINGS.spark_python
        if SETTINGS.spark_deploy_mode == "client":  # the driver runs here, where the archive is not unpacked
            conf["spark.pyspark.driver.python"] = sys.executable
    return conf
