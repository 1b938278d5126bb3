"""The oracle finds what it is there for: a plain overwrite of Parquet does not keep the promise."""

from collections.abc import Iterator
from datetime import date

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.lake.staging import stage_rows
from tests.faults.conftest import Promise
from tests.faults.harness.scored_days import scores_of
from tests.faults.harness.watch import Oracle
from tests.real_cluster import Cluster

pytestmark = [pytest.mark.quick, pytest.mark.fault(0)]


def dies_midway(rows: DataFrame) -> DataFrame:
    """The rows, whose task fails after two thirds of them."""
    dies = F.when(F.col("user_id") >= "u200", F.raise_error(F.lit("struck"))).otherwise(F.col("run_id"))
    return rows.coalesce(1).sortWithinPartitions("user_id").withColumn("run_id", dies.cast("string"))


def test_a_write_that_dies_midway_keeps_the_promise(
    spark: SparkSession, day: date, promise: Promise, attempts: Iterator[str]
) -> None:
    rows = dies_midway(scores_of(day).read(spark).drop("ds"))
    with promise(day, None), pytest.raises(PySparkException, match="struck"):
        stage_rows(rows, scores_of(day), next(attempts))


def test_a_plain_overwrite_that_dies_midway_breaks_the_promise(
    cluster: Cluster, spark: SparkSession, oracle: Oracle, day: date
) -> None:
    cluster.make_folder("/plain", owner="scoring")
    folder = f"/plain/ds={day}"
    rows = scores_of(day).read(spark).drop("ds", "reasons").localCheckpoint()
    rows.write.mode("overwrite").parquet(f"{cluster.hdfs_url}{folder}")
    with oracle.watching(folder=folder) as watch, pytest.raises(PySparkException, match="struck"):
        dies_midway(rows).write.mode("overwrite").parquet(f"{cluster.hdfs_url}{folder}")
    assert len(watch.states) > 1
    with pytest.raises(AssertionError, match="readers saw no rows"):
        watch.check()
