"""A job that stands still at a named point, so that a test can kill or freeze its driver there.

    spark-submit held_job.py score_users jobs.score_users:stage_rows:before /tmp/point --sequences …

In   a job's name, a point as module:function:before or after, a folder, the job's own options
Out  the file `reached` in the folder, once the job stands there; it goes on when the file `go` appears
"""

import importlib
import sys
import time
from pathlib import Path

from jobs.command import run_job
from tests.faults.hold import wrap


def main() -> None:
    _, job, point, folder, *options = sys.argv
    module, name, when = point.split(":")
    owner: object = importlib.import_module(module)
    *path, name = name.split(".")
    for part in path:
        owner = getattr(owner, part)

    def stand() -> None:
        if not (Path(folder) / "reached").exists():
            (Path(folder) / "reached").touch()
            while not (Path(folder) / "go").exists():
                time.sleep(0.05)

    setattr(owner, name, wrap(getattr(owner, name), stand, when))
    sys.argv = [job, *options]
    run_job(importlib.import_module(f"jobs.{job}").main)


if __name__ == "__main__":
    main()
