"""Attempts that run side by side, or come back after others have finished."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from threading import Barrier
from uuid import uuid4

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.lake.branches import LakeTable, PartitionChangedError
from jobs.lake.staging import StalePublishError, stage_rows
from model_registry.versions import PinnedModel
from settings import Settings
from tests.faults.conftest import FULL, Promise
from tests.faults.harness.hold import Hold, holding, wrap
from tests.faults.harness.scored_days import DAYS, USERS, land, landed_rows, rescore, scores_of
from tests.faults.harness.sessions import own_session_for_each_thread
from tests.faults.harness.watch import Oracle, State
from tests.night import as_airflow_retries, audit, build, extract, partition, score
from tests.real_cluster import Cluster

RACES = 50 if FULL else 5
RACED_DAYS = DAYS if FULL else DAYS[:4]


@pytest.mark.fault(3)
def test_of_two_runs_that_publish_one_date_at_once_one_wins_and_the_other_names_it(
    spark: SparkSession, day: date, model: PinnedModel, promise: Promise, attempts: Iterator[str]
) -> None:
    for _ in range(RACES):
        runs = next(attempts), next(attempts)
        for run in runs:
            rows = scores_of(day).read(spark).drop("ds").withColumn("run_id", F.lit(run))
            stage_rows(rows, scores_of(day), run)
        with (
            promise(day, set(runs)) as watch,
            own_session_for_each_thread(spark),
            pytest.MonkeyPatch.context() as patch,
            ThreadPoolExecutor(2) as pool,
        ):
            meet = Barrier(2).wait  # both have passed the audit and are about to move `main`
            patch.setattr(LakeTable, "move_main", wrap(LakeTable.move_main, meet, "before"))
            results = {run: pool.submit(audit, model, day, run) for run in runs}
        (winner,) = watch.states[-1].runs
        (loser,) = set(runs) - {winner}
        assert results[winner].exception() is None
        with pytest.raises(StalePublishError, match=f"^CONFLICT.*'{winner}'"):
            results[loser].result()


@pytest.mark.quick
@pytest.mark.fault(12)
def test_scores_of_a_frozen_attempt_are_refused_once_its_retry_has_published(
    day: date, model: PinnedModel, promise: Promise, attempts: Iterator[str]
) -> None:
    frozen, retry = next(attempts), next(attempts)
    score(model, day, frozen)
    with promise(day, retry), ThreadPoolExecutor(1) as pool, holding(LakeTable, "move_main") as point:
        first = pool.submit(audit, model, day, frozen)
        point.wait()
        rescore(model, day, retry)
        point.release()
        with pytest.raises(StalePublishError, match=f"^CONFLICT.*'{retry}'"):
            first.result()


CORRECTED = date(2022, 6, 1)  # no other day lies in its window


@pytest.mark.quick
@pytest.mark.fault(12)
def test_a_frozen_extraction_and_frozen_sequences_do_not_replace_those_of_their_retry(
    cluster: Cluster, spark: SparkSession
) -> None:
    def users(table: str) -> set[str]:
        return {row.user_id for row in partition(table, CORRECTED).read(spark).collect()}

    def freeze(job: Callable[[Settings, date], None], point: Hold) -> Future[None]:
        first = pool.submit(job, cluster.settings, CORRECTED)
        point.wait()
        return first

    land(cluster, CORRECTED, landed_rows(CORRECTED))
    extract(cluster.settings, CORRECTED)
    with own_session_for_each_thread(spark), ThreadPoolExecutor(2) as pool:
        with holding(LakeTable, "move_main") as point:
            extraction = freeze(extract, point)
            land(cluster, CORRECTED, [row.replace('"u0', '"new0') for row in landed_rows(CORRECTED)])
            extract(cluster.settings, CORRECTED)
        with pytest.raises(PartitionChangedError):
            extraction.result()
        assert users("install_sessions") >= {"new000", "u100"}
        assert "u000" not in users("install_sessions")
        build(cluster.settings, CORRECTED)
        with holding(LakeTable, "move_main") as point:
            sequences = freeze(build, point)
            land(cluster, CORRECTED, landed_rows(CORRECTED))
            extract(cluster.settings, CORRECTED)
            build(cluster.settings, CORRECTED)
        with pytest.raises(PartitionChangedError):
            sequences.result()
        assert "u000" in users("user_sequences")


LOOKBACK_DAYS = 365


@as_airflow_retries
def extract_window(cluster: Cluster, ds: date) -> None:
    """Extract the day and whatever its window lacks, as a night does."""
    extract(cluster.settings, ds, LOOKBACK_DAYS)


@as_airflow_retries
def build_and_score(cluster: Cluster, model: PinnedModel, ds: date, run_id: str) -> None:
    build(cluster.settings, ds)
    rescore(model, ds, f"{run_id}-{uuid4().hex[:4]}")


def night(cluster: Cluster, model: PinnedModel, ds: date, run_id: str) -> None:
    extract_window(cluster, ds)
    build_and_score(cluster, model, ds, run_id)


def scores_now(oracle: Oracle) -> dict[date, str]:
    return {ds: oracle.see(ds).scores for ds in RACED_DAYS}


@pytest.fixture(scope="module")
def in_order(
    cluster: Cluster, oracle: Oracle, undisturbed: dict[date, State], model: PinnedModel
) -> dict[date, str]:
    """Scores of each date, by nights one after the other."""
    for ds in RACED_DAYS:
        night(cluster, model, ds, f"in-order-{uuid4().hex[:8]}")
    scores = scores_now(oracle)
    assert {ds: scores[ds] for ds in undisturbed} == {ds: state.scores for ds, state in undisturbed.items()}
    return scores


@pytest.mark.fault(4)
@pytest.mark.parametrize("order", ["backwards", "shuffled"])
def test_dates_at_once_and_in_any_order_give_what_dates_in_order_give(
    cluster: Cluster,
    spark: SparkSession,
    oracle: Oracle,
    in_order: dict[date, str],
    model: PinnedModel,
    attempts: Iterator[str],
    order: str,
) -> None:
    days = RACED_DAYS[::-1] if order == "backwards" else random.Random(4).sample(RACED_DAYS, len(RACED_DAYS))
    cluster.hdfs.delete(cluster.settings.receipts_root, recursive=True)  # as if none had been extracted
    with own_session_for_each_thread(spark), ThreadPoolExecutor(4) as pool:
        nights = {ds: (run := next(attempts), pool.submit(night, cluster, model, ds, run)) for ds in days}
    for ds, (run, done) in nights.items():
        done.result()
        assert oracle.see(ds).runs[0].startswith(run)
    assert scores_now(oracle) == in_order


@pytest.mark.fault(4)
def test_dates_that_begin_after_a_day_was_delivered_again_have_its_new_users(
    cluster: Cluster,
    spark: SparkSession,
    oracle: Oracle,
    in_order: dict[date, str],
    model: PinnedModel,
    attempts: Iterator[str],
) -> None:
    """A date whose sequences are just written at that moment keeps the old users, all, until its rerun."""
    again, *between, held = RACED_DAYS
    rows = [*landed_rows(again), *(row.replace('"u0', '"new0') for row in landed_rows(again))]
    with own_session_for_each_thread(spark), ThreadPoolExecutor(4) as pool:
        with holding(LakeTable, "move_main") as point:  # its sequences are written and not yet seen
            first = pool.submit(build_and_score, cluster, model, held, next(attempts))
            point.wait()
            land(cluster, again, rows)
            begun = [pool.submit(night, cluster, model, ds, next(attempts)) for ds in between]
            for done in begun:
                done.result()
        first.result()
    # Nobody has run the day itself again: a receipt of its old files must not count.
    assert {oracle.see(ds).rows for ds in between} == {USERS + 100}
    assert oracle.see(held).scores == in_order[held]
    for ds in (again, held):
        night(cluster, model, ds, next(attempts))
        assert oracle.see(ds).rows == USERS + 100

    land(cluster, again, landed_rows(again))
    for ds in RACED_DAYS:
        night(cluster, model, ds, next(attempts))
    assert scores_now(oracle) == in_order
