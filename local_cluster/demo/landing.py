"""Bring install logs and labels from local files to the landing zone on HDFS.

In   a folder of installs and labels, read by `make check-data` alone: this program parses no row
Out  `/landing/installs/ds=…/` and `/landing/labels/`, files as they are
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from local_cluster.access.folders import WAREHOUSE, make_hdfs_folders
from local_cluster.layout import ClusterError
from model_registry.store.webhdfs import webhdfs_client
from settings import REPOSITORY, Settings
from simulator.labels import LONGEST_OUTCOME_DAYS
from simulator.simulate import Simulation


@dataclass(frozen=True)
class Delivery:
    """Local files by landing day, and the labels with the date by which all of them are known."""

    files: dict[date, list[Path]]
    labels: list[Path]
    training_date: date
    history_days: frozenset[date] = frozenset()  # days that bring a history at once

    @property
    def days(self) -> list[date]:
        return sorted(self.files)


def check_delivery(installs: Path, labels: Path, settings: Settings) -> Delivery:
    """Check a user's files by `jobs/check_data.py`, which prints what it finds.

    Raises:
        ClusterError: the pipeline would refuse them.
    """
    with TemporaryDirectory(prefix="check_data_") as scratch:
        plan = Path(scratch, "plan.json")
        options = {
            "installs": installs.absolute(),
            "labels": labels.absolute(),
            "max-bad-share": settings.max_bad_share,
            "lookback-days": settings.lookback_days,
            "plan": plan,
        }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        checked = subprocess.run(
            [sys.executable, "-m", "jobs.check_data", *words], cwd=REPOSITORY, check=False
        )
        if checked.returncode:
            raise ClusterError("these files would be refused, as said above: nothing was started or changed")
        planned = json.loads(plan.read_text())
    return Delivery(
        files={date.fromisoformat(day): [*map(Path, paths)] for day, paths in planned["days"].items()},
        labels=[*map(Path, planned["labels"])],
        training_date=date.fromisoformat(planned["training_date"]),
        history_days=frozenset(map(date.fromisoformat, planned["history_days"])),
    )


def find_simulated(simulation: Simulation, folder: Path) -> Delivery:
    """Find the files that a simulation wrote to `folder`."""
    days = {day: folder / "installs" / f"ds={day}" for day in simulation.landing_days}
    return Delivery(
        files={day: sorted(place.glob("part-*")) for day, place in days.items()},
        labels=[folder / "labels.csv"],
        training_date=simulation.landing_days[-1] + timedelta(days=LONGEST_OUTCOME_DAYS),
    )


def land(delivery: Delivery, settings: Settings) -> None:
    """Upload all files; the `_SUCCESS` of a day comes last."""
    client = webhdfs_client(settings.webhdfs_url, settings.hdfs_user_of("landing"))
    for day, paths in delivery.files.items():
        folder = f"{settings.landing_root}/ds={day}"
        client.makedirs(folder)
        for path in paths:
            client.upload(f"{folder}/{path.name}", str(path))
        if day in delivery.history_days:
            client.write(f"{folder}/_HISTORY", b"")
        client.write(f"{folder}/_SUCCESS", b"")
    for path in delivery.labels:
        client.upload(f"{settings.labels_root}/{path.name}", str(path))


def clear_landing(settings: Settings) -> None:
    """Remove what an earlier demo landed, extracted and scored; models stay."""
    client = webhdfs_client(settings.webhdfs_url, settings.hdfs_user)
    for folder in (settings.landing_root, settings.labels_root, settings.receipts_root, f"{WAREHOUSE}/risk"):
        client.delete(folder, recursive=True)
    make_hdfs_folders(settings)
