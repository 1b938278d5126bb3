"""Deliveries and machines that are odd, and give the same scores all the same."""

import random
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import libfaketime
import pytest
from pyspark.sql import SparkSession

from model_registry.versions import PinnedModel
from tests.faults.conftest import Promise
from tests.faults.harness.scored_days import land, landed_rows, rescore, scores_of
from tests.faults.harness.spark_submit import submit
from tests.made_up.tiny_model import APPS
from tests.night import build, build_options, extract, extract_options, partition
from tests.real_cluster import Cluster


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
    jobs = {
        "extract_sessions": extract_options(cluster.settings, day),
        "build_sequences": build_options(cluster.settings, day),
    }
    elsewhere = {"spark.executorEnv.TZ": "Pacific/Kiritimati"}
    with promise(day, attempt := next(attempts)):
        for job, options in jobs.items():
            done = submit(cluster, job, options, elsewhere, TZ="America/Los_Angeles")
            assert done.returncode == 0, done.stdout[-3000:]
        rescore(model, day, attempt)


@pytest.mark.fault(13)
@pytest.mark.parametrize(("shift", "said"), [("+2h", "ahead of"), ("-2h", "behind")])
def test_a_driver_whose_clock_is_two_hours_off_changes_nothing_and_says_so(
    cluster: Cluster, tmp_path: Path, day: date, promise: Promise, shift: str, said: str
) -> None:
    python = python_with_shifted_clock(cluster, tmp_path, shift)
    with promise(day, None):
        options, spark = build_options(cluster.settings, day), {"spark.pyspark.driver.python": str(python)}
        done = submit(cluster, "build_sequences", options, spark)
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


@pytest.mark.fault(14)
def test_a_user_with_a_million_events_is_scored_by_the_last_2048_installs(
    cluster: Cluster, spark: SparkSession, model: PinnedModel, attempts: Iterator[str]
) -> None:
    ds = date(2022, 8, 1)  # no other day lies in its window
    first_ms = 1656633600000  # 2022-07-01T00:00:00Z
    apps = random.Random(14).choices(APPS, k=1_000_000)
    events = [f'"app_id": "{app}", "event_time": {first_ms + 1000 * n}}}' for n, app in enumerate(apps)]
    everything = [f'{{"user_id": "million", {event}' for event in events]
    last = [f'{{"user_id": "last", {event}' for event in events[-2048:]]
    land(cluster, ds, everything, last, landed_rows(ds))
    extract(cluster.settings, ds)
    build(cluster.settings, ds)
    rescore(model, ds, next(attempts))
    sequences = {row.user_id: row.app_ids for row in partition("user_sequences", ds).read(spark).collect()}
    assert sequences["million"] == sequences["last"] == apps[-2048:]
    scores = {row.user_id: (row.risk_score, row.logit) for row in scores_of(ds).read(spark).collect()}
    assert scores["million"] == scores["last"]
