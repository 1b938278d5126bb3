"""No room left: the quota of a folder on HDFS is used up, or the disk that Spark spills to is full."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from jobs.command import Failure
from model_registry.versions import PinnedModel
from tests.faults.conftest import Promise
from tests.faults.harness.scored_days import rescore
from tests.faults.harness.spark_submit import submit
from tests.night import audit, build, build_options, extract, score
from tests.real_cluster import Cluster

pytestmark = pytest.mark.fault(10)


def used_bytes(cluster: Cluster) -> int:
    return int(cluster.hdfs.content("/lake")["spaceConsumed"])


@contextmanager
def no_room_on_hdfs(cluster: Cluster) -> Iterator[None]:
    """No further block fits below /lake; afterwards as many bytes are used as before."""
    before = used_bytes(cluster)
    cluster.set_quota("/lake", before + 1)
    try:
        yield
    finally:
        cluster.set_quota("/lake", -1)
    assert used_bytes(cluster) == before


@contextmanager
def naming_the_quota() -> Iterator[None]:
    with pytest.raises((PySparkException, Py4JJavaError)) as caught:
        yield
    line = Failure.of(caught.value).line("job")
    assert "NoSpaceError: DSQuotaExceededException: The DiskSpace quota of /lake is exceeded" in line


@pytest.mark.quick
def test_a_full_quota_is_named_leaves_nothing_behind_and_a_retry_goes_on(
    cluster: Cluster, day: date, model: PinnedModel, promise: Promise, attempts: Iterator[str]
) -> None:
    first, second = next(attempts), next(attempts)
    with promise(day, second):
        jobs: list[tuple[Any, ...]] = [
            (extract, cluster.settings, day),
            (build, cluster.settings, day),
            (score, model, day, first),
        ]
        for job, *arguments in jobs:
            with no_room_on_hdfs(cluster), naming_the_quota():
                job(*arguments)
        extract(cluster.settings, day)
        build(cluster.settings, day)
        score(model, day, second)
        with no_room_on_hdfs(cluster), naming_the_quota():
            audit(model, day, second)
        audit(model, day, second)


def test_a_full_local_disk_is_named_and_the_retry_elsewhere_goes_on(
    cluster: Cluster, tmp_path: Path, day: date, model: PinnedModel, promise: Promise, attempts: Iterator[str]
) -> None:
    # A disk of its own, of one page, in a name space of its own.
    on_a_tiny_disk = (
        "unshare",
        "-rm",
        "sh",
        "-c",
        f'mount -t tmpfs -o size=4k tmpfs {tmp_path} && exec "$@"',
        "sh",
    )
    with promise(day, attempt := next(attempts)):
        done = submit(
            cluster,
            "build_sequences",
            build_options(cluster.settings, day),
            master="local[1]",
            within=on_a_tiny_disk,
            SPARK_LOCAL_DIRS=str(tmp_path),
        )
        assert done.returncode == 1
        assert "NoSpaceError: No space left on device" in done.stdout.splitlines()[-1]
        build(cluster.settings, day)
        rescore(model, day, attempt)
