"""From landed logs to published scores through Airflow, and what readers see on the way."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.audit_scores import AuditRefusedError
from jobs.score_users import stage
from local_cluster.demo.watch import last_events, task_log
from local_cluster.supervision import wait_until
from model_registry.versions import PinnedModel
from tests.night import audit, build, partition, score
from tests.real_cluster import Cluster

# The first test waits for a training and a backfill of two dates.
pytestmark = pytest.mark.timeout(2400)


def scores(spark: SparkSession, ds: date) -> DataFrame:
    spark.catalog.refreshTable("lake.risk.risk_scores")
    return partition("risk_scores", ds).read(spark)


def test_every_date_has_one_published_score_for_every_user(
    spark: SparkSession, published: list[date], champion: PinnedModel
) -> None:
    for ds in published:
        expected = partition("user_sequences", ds).read(spark).select("user_id", "sequence_length")
        found = scores(spark, ds)
        assert found.count() == expected.count() > 500
        assert found.select("user_id", "sequence_length").exceptAll(expected).isEmpty()
        assert found.where(~F.col("risk_score").between(0, 1)).isEmpty()
        by = found.select("model_name", "model_version", "model_sha256").distinct().collect()
        assert [tuple(row) for row in by] == [(champion.name, champion.version, champion.sha256)]


def test_every_landed_row_is_accounted_for(spark: SparkSession, published: list[date]) -> None:
    for ds in published:
        (row,) = partition("extraction_counts", ds).read(spark).collect()
        assert row.landed == row.accepted + row.duplicates + row.not_installs + row.rejected
        assert row.rejected == partition("rejected_events", ds).read(spark).count() > 0


def test_a_rerun_gives_the_same_rows_to_the_last_bit(
    cluster: Cluster, spark: SparkSession, published: list[date], champion: PinnedModel
) -> None:
    ds = published[-1]
    before = scores(spark, ds).drop("run_id").collect()
    build(cluster.settings, ds)
    score(champion, ds, "rerun-1")
    audit(champion, ds, "rerun-1")
    after = scores(spark, ds)
    assert {row.run_id for row in after.select("run_id").distinct().collect()} == {"rerun-1"}
    assert sorted(after.drop("run_id").collect()) == sorted(before)


def test_staged_scores_are_invisible_until_published(
    spark: SparkSession, published: list[date], champion: PinnedModel
) -> None:
    ds = published[0]
    score(champion, ds, "staged-1")
    assert scores(spark, ds).where("run_id = 'staged-1'").isEmpty()
    audit(champion, ds, "staged-1")
    assert scores(spark, ds).where("run_id != 'staged-1'").isEmpty()
    audit(champion, ds, "staged-1")  # as when its task is cleared
    assert scores(spark, ds).where("run_id != 'staged-1'").isEmpty()


def test_refused_scores_stay_staged_and_are_named(
    spark: SparkSession, published: list[date], champion: PinnedModel
) -> None:
    ds = published[1]
    before = scores(spark, ds).collect()
    spoiled = scores(spark, ds).where("user_id > 'u0000100'").withColumn("risk_score", F.lit(1.5))
    stage(spoiled.withColumn("run_id", F.lit("bad-1")), partition("risk_scores", ds), "bad-1")
    with pytest.raises(AuditRefusedError, match=r"wap id 'bad-1'.*stays staged"):
        audit(champion, ds, "bad-1")
    assert sorted(scores(spark, ds).collect()) == sorted(before)


def test_dates_run_backwards_give_what_dates_run_in_order_give(
    cluster: Cluster, spark: SparkSession, published: list[date]
) -> None:
    in_order = {ds: sorted(partition("user_sequences", ds).read(spark).collect()) for ds in published}
    for ds in reversed(published):
        build(cluster.settings, ds)
    spark.catalog.refreshTable("lake.risk.user_sequences")
    backwards = {ds: sorted(partition("user_sequences", ds).read(spark).collect()) for ds in published}
    assert backwards == in_order


@dataclass(frozen=True)
class RunByHand:
    """A run of `nightly_scoring` and the task of it that is expected to fail."""

    run_id: str
    task_id: str

    def failed_task(self, cluster: Cluster) -> tuple[dict[str, Any], list[str]]:
        """The task once it has ended, with its log."""
        airflow = cluster.airflow

        def find_task() -> dict[str, Any]:
            tasks = airflow.tasks("nightly_scoring", self.run_id)
            return next(task for task in tasks if task["task_id"] == self.task_id)

        def has_ended() -> bool:
            return find_task()["state"] in ("failed", "success", "up_for_retry")

        wait_until(has_ended, f"{self.task_id} of {self.run_id} did not end", timeout_seconds=300)
        run = next(run for run in airflow.runs("nightly_scoring") if run["dag_run_id"] == self.run_id)
        return find_task(), last_events(task_log(cluster.layout, run, find_task()))


@pytest.fixture(scope="module", autouse=True)
def by_hand(cluster: Cluster, published: list[date]) -> dict[str, RunByHand]:  # noqa: ARG001 (its runs come first)
    """Three runs that fail, all started before the first test: they end while the others run."""
    airflow = cluster.airflow
    folder = f"{cluster.settings.landing_root}/ds=2026-02-02"
    cluster.hdfs.write(f"{folder}/a.jsonl", b"no json\n")
    cluster.hdfs.write(f"{folder}/_SUCCESS", b"")

    def trigger(partition_key: str | None, task_id: str) -> RunByHand:
        return RunByHand(airflow.trigger("nightly_scoring", {}, partition_key), task_id)

    return {
        "not landed": trigger("2026-02-01", "wait_for_landing"),
        "no date": trigger(None, "wait_for_landing"),
        "bad rows": trigger("2026-02-02", "extract_sessions"),
    }


def test_a_day_that_has_not_landed_is_waited_for_without_a_worker_then_fails(
    cluster: Cluster, by_hand: dict[str, RunByHand]
) -> None:
    task, log = by_hand["not landed"].failed_task(cluster)
    assert task["state"] == "failed"
    assert any("DEFERRED" in line for line in log)
    assert re.search(r"still missing: /landing/installs/ds=2026-02-01/_SUCCESS", "\n".join(log))


def test_a_run_without_a_date_is_refused(cluster: Cluster, by_hand: dict[str, RunByHand]) -> None:
    task, log = by_hand["no date"].failed_task(cluster)
    assert (task["state"], task["try_number"]) == ("failed", 1)
    assert "this run has no date" in "\n".join(log)


def test_a_night_of_bad_rows_is_not_tried_again_and_its_log_gives_the_reason_in_one_line(
    cluster: Cluster, by_hand: dict[str, RunByHand]
) -> None:
    task, log = by_hand["bad rows"].failed_task(cluster)
    assert (task["state"], task["try_number"]) == ("failed", 1)
    reason = "extract_sessions failed: TooManyBadRowsError: 1 of 1 rows (100.0%) are bad, allowed are 5.0%"
    assert any(line.startswith(reason) for line in log)
