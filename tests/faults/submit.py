"""A job submitted as Airflow does it, in a process of its own."""

import subprocess

from settings import REPOSITORY
from tests.real_cluster import Cluster


def submit(
    cluster: Cluster,
    job: str,
    *options: str,
    master: str = "yarn",
    conf: tuple[str, ...] = (),
    within: tuple[str, ...] = (),
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """Run `jobs/<job>.py` by spark-submit and wait for it.

    Args:
        conf: Spark settings, `name=value`.
        within: words before the command, such as `unshare`.
        variables: of the environment.
    """
    settings = [word for setting in conf for word in ("--conf", setting)]
    script = str(REPOSITORY / "jobs" / f"{job}.py")
    submission = [
        f"{cluster.layout.python_bin}/spark-submit",
        "--master",
        master,
        *settings,
        script,
        *options,
    ]
    return subprocess.run(
        [*within, *submission], env={**cluster.environment(), **variables}, capture_output=True, text=True
    )
