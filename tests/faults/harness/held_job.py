"""A job that stands still at a named point, so that a test can kill or freeze its driver or executor there.

    spark-submit held_job.py score_users jobs.score_users:load_once:before 3 /tmp/point {} --sequences …

In   a job's name, a point as module:function:before or after, which of its calls is held, a folder,
     constants of the job's module, the job's own options
Out  call-1, call-2, … in the folder, one for each call wherever it is made; `reached`, with the held call's
     process id, once that stands there; it goes on when the file `go` appears
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from jobs.command import run_job
from local_cluster.supervision import wait_until
from settings import REPOSITORY
from tests.faults.harness.hold import LONGEST_SECONDS, wrap
from tests.faults.harness.spark_submit import submission
from tests.real_cluster import Cluster


class HeldJob:
    """A job on YARN, in processes of its own; inside the block it may be killed or released at its point."""

    def __init__(
        self,
        cluster: Cluster,
        job: str,
        point: str,
        folder: Path,
        options: Mapping[str, Any],
        call: int = 1,
        constants: dict[str, int] | None = None,
        spark: Mapping[str, str] | None = None,
    ) -> None:
        """Submit the job.

        Args:
            folder: for the marks of calls; made anew.
            call: the held one, counted over all processes from 1.
            constants: of the job's module, to be set: {"USERS_PER_TASK": 25}.
            options, spark: as of `submission`.
        """
        folder.mkdir(parents=True)
        self._folder = folder
        words = (job, point, str(call), str(folder), json.dumps(constants or {}))
        self._process = subprocess.Popen(
            submission(cluster, Path(__file__), *words, options=options, spark=spark),
            env={**cluster.environment(), "PYTHONPATH": str(REPOSITORY)},
            stdout=(folder / "log").open("w"),  # spark-submit passes on there what the job writes
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        self.kill()

    def wait(self) -> psutil.Process:
        """Wait until the held call stands at its point; return its process."""
        reached = self._folder / "reached"
        wait_until(
            lambda: reached.exists() or self._process.poll() is not None,
            "the job has not reached its point",
            LONGEST_SECONDS,
        )
        assert reached.exists(), f"the job ended before its point: {self.last_line()}"
        return psutil.Process(int(reached.read_text()))

    def release(self) -> None:
        (self._folder / "go").touch()

    def kill(self) -> None:
        """End the driver, Python and JVM, by SIGKILL."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def exit_status(self) -> int:
        """Wait until the job ends by itself."""
        return self._process.wait(LONGEST_SECONDS)

    def last_line(self) -> str:
        return (self._folder / "log").read_text().splitlines()[-1]


def main() -> None:
    _, job, point, held, folder, constants, *options = sys.argv
    module, name, when = point.split(":")
    owner: object = importlib.import_module(module)
    *path, name = name.split(".")
    for part in path:
        owner = getattr(owner, part)

    def stand() -> None:
        number = 1
        while True:
            try:
                Path(folder, f"call-{number}").touch(exist_ok=False)
                break
            except FileExistsError:  # another call's, in this process or another
                number += 1
        if number == int(held):
            Path(folder, "writing").write_text(str(os.getpid()))
            Path(folder, "writing").rename(Path(folder, "reached"))
            while not Path(folder, "go").exists():
                time.sleep(0.05)

    setattr(owner, name, wrap(getattr(owner, name), stand, when))
    script = importlib.import_module(f"jobs.{job}")
    for constant, value in json.loads(constants).items():
        setattr(script, constant, value)
    sys.argv = [job, *options]
    run_job(script.main)


if __name__ == "__main__":
    main()
