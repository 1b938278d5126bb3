"""Jobs by spark-submit, as Airflow starts them."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from settings import REPOSITORY
from tests.real_cluster import Cluster


def submission(
    cluster: Cluster,
    script: Path,
    *words: str,
    options: Mapping[str, Any],
    spark: Mapping[str, str] | None = None,
    master: str = "yarn",
) -> list[str]:
    """Write the command of a submission.

    Args:
        words: arguments before the options.
        options: of the job's main: {"wap_id": "attempt-1", "day": [date(2026, 1, 31)]}.
        spark: settings beside the cluster's defaults.
    """
    settings = [word for name, value in (spark or {}).items() for word in ("--conf", f"{name}={value}")]
    listed = [
        word
        for name, values in options.items()
        for value in (values if isinstance(values, list) else [values])
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    spark_submit = f"{cluster.layout.python_bin}/spark-submit"
    return [spark_submit, "--master", master, *settings, str(script), *words, *listed]


def submit(
    cluster: Cluster,
    job: str,
    options: Mapping[str, Any],
    spark: Mapping[str, str] | None = None,
    master: str = "yarn",
    within: tuple[str, ...] = (),
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """Run `jobs/<job>.py` and wait for it.

    Args:
        options, spark: as of `submission`.
        within: words before the command, such as `unshare`.
        variables: of the environment.
    """
    script = REPOSITORY / "jobs" / f"{job}.py"
    return subprocess.run(
        [*within, *submission(cluster, script, options=options, spark=spark, master=master)],
        env={**cluster.environment(), **variables},
        capture_output=True,
        text=True,
    )
