"""Deliveries and machines that are odd, and give the same scores all the same."""

import random
import re
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import libfaketime
import pytest

from model_registry.versions import PinnedModel
from settings import REPOSITORY
from tests.faults.conftest import Promise
from tests.faults.scored_days import land, landed_rows, rescore
from tests.night import build, extract
from tests.real_cluster import Cluster


def submit(
    cluster: Cluster, job: str, *options: str, conf: tuple[str, ...] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a job by spark-submit, as Airflow does, and wait for it."""
    return subprocess.run(
        [
            f"{cluster.layout.python_bin}/spark-submit",
            *("--master", "yarn"),
            *(part for setting in conf for part in ("--conf", setting)),
            str(REPOSITORY / "jobs" / f"{job}.py"),
            *options,
        ],
        env={**cluster.environment(), **variables},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def delivered_as_before(cluster: Cluster, day: date) -> Iterator[None]:
    yield
    land(cluster, day, landed_rows(day))
    extract(cluster.settings, day)


@pytest.mark.quick
@pytest.mark.fault(13)
@pytest.mark.usefixtures("delivered_as_before")
def test_files_that_are_shuffled_and_delivered_three_times_give_the_same_scores(
    cluster: Cluster, day: date, model: PinnedModel, promise: Promise, attempts: Iterator[str]
) -> None:
    rows = landed_rows(day)
    with promise(day, attempt := next(attempts)):
        land(cluster, day, *(random.Random(seed).sample(rows, len(rows)) for seed in range(3)))
        extract(cluster.settings, day)
        build(cluster.settings, day)
        rescore(model, day, attempt)


@pytest.mark.fault(13)
def test_executors_in_another_time_zone_give_the_same_scores(
    cluster: Cluster, day: date, model: PinnedModel, promise: Promise, attempts: Iterator[str]
) -> None:
    settings = cluster.settings
    roots = (
        *("--landing-root", settings.hdfs_url + settings.landing_root),
        *("--receipts-root", settings.hdfs_url + settings.receipts_root),
    )
    tables = ("--sessions", "risk.install_sessions", "--rejected", "risk.rejected_events")
    extraction = (*tables, "--counts", "risk.extraction_counts", "--day", str(day), *roots)
    sequences = (
        "--sessions",
        "risk.install_sessions",
        "--sequences",
        f"risk.user_sequences/ds={day}",
        *roots,
    )
    elsewhere = ("spark.executorEnv.TZ=Pacific/Kiritimati",)
    with promise(day, attempt := next(attempts)):
        for job, options in (("extract_sessions", extraction), ("build_sequences", sequences)):
            done = submit(cluster, job, *options, conf=elsewhere, TZ="America/Los_Angeles")
            assert done.returncode == 0, done.stderr[-3000:]
        rescore(model, day, attempt)


@pytest.mark.fault(13)
@pytest.mark.parametrize(("shift", "said"), [("+2h", "ahead of"), ("-2h", "behind")])
def test_a_driver_whose_clock_is_two_hours_off_changes_nothing_and_says_so(
    cluster: Cluster, tmp_path: Path, day: date, promise: Promise, shift: str, said: str
) -> None:
    settings = cluster.settings
    with promise(day, None):
        done = submit(
            cluster,
            "build_sequences",
            *("--sessions", "risk.install_sessions", "--sequences", f"risk.user_sequences/ds={day}"),
            *("--landing-root", settings.hdfs_url + settings.landing_root),
            *("--receipts-root", settings.hdfs_url + settings.receipts_root),
            conf=(f"spark.pyspark.driver.python={python_with_shifted_clock(cluster, tmp_path, shift)}",),
        )
    assert done.returncode == 1
    # spark-submit passes on what Python writes as its own standard output.
    assert re.search(f"ClockSkewError: .*clock is (1:59|2:00).* {said}", done.stdout.splitlines()[-1])


def python_with_shifted_clock(cluster: Cluster, folder: Path, shift: str) -> Path:
    """A Python whose clock is off. The JVM beside it keeps the right one: libfaketime slows it to minutes."""
    library = Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"
    python = folder / "python"
    python.write_text(
        f'#!/bin/sh\nLD_PRELOAD={library} FAKETIME={shift} exec {cluster.layout.python_bin}/python "$@"\n'
    )
    python.chmod(0o700)
    return python
