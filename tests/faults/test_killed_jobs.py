"""Drivers and executors that are killed in the middle of a job, and the retry that follows."""

import random
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path

import psycopg2
import pytest

from local_cluster import postgres
from local_cluster.access.credentials import OWNER
from local_cluster.supervision import wait_until
from model_registry.versions import PinnedModel
from tests.faults.conftest import FULL, Promise
from tests.faults.harness.held_job import HeldJob
from tests.faults.harness.scored_days import rescore
from tests.faults.harness.services import Services
from tests.faults.harness.watch import Oracle
from tests.night import audit, audit_options, score, score_options
from tests.real_cluster import Cluster

STAGING = {
    "before staging": "jobs.score_users:stage_rows:before",
    "mid-task": "jobs.score_users:load_once:before",  # on the executor
    "staged": "jobs.score_users:stage_rows:after",
}
MOVE = "jobs.lake.branches:LakeTable._move:before"
PUBLISHING = {
    "before the audit": "jobs.audit_scores:audit:before",
    "before the move": MOVE,
    "copied, before the move": "jobs.lake.branches:LakeTable._copy_onto_main:after",
    "published, not acknowledged": "jobs.audit_scores:publish:after",
}


@pytest.fixture
def submit_held(cluster: Cluster, tmp_path: Path) -> Callable[..., HeldJob]:
    """Submit a job that will stand at a point; the arguments are those of HeldJob from the job's name on."""
    return lambda job, point, options, **more: HeldJob(
        cluster, job, point, tmp_path / "point", options, **more
    )


POINTS = 20 if FULL else 2
USERS_PER_TASK = 25  # so that there are twelve tasks, two at a time


@pytest.fixture
def scores_of_many_tasks(
    oracle: Oracle, day: date, model: PinnedModel, attempts: Iterator[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """An undisturbed run of as many tasks: other batches differ in the last digits."""
    with monkeypatch.context() as patch:
        patch.setattr("jobs.score_users.USERS_PER_TASK", USERS_PER_TASK)
        rescore(model, day, next(attempts))
    yield oracle.see(day).scores
    rescore(model, day, next(attempts))


# One executor on each of two hosts, since Spark starts no copy of a task on the host that already runs it.
SPECULATION = {
    "spark.speculation": "true",
    "spark.executor.instances": "2",
    "spark.executor.memoryOverhead": "5g",  # so much that a node has no room for two
}


@pytest.fixture(scope="module")
def second_node(services: Services) -> Iterator[None]:
    with services.second_node():
        yield


@pytest.fixture
def submit_speculating(
    day: date, model: PinnedModel, submit_held: Callable[..., HeldJob]
) -> Callable[[str, str, int], HeldJob]:
    """Score the day in many tasks on two hosts; a call of `load_once` is held before or after it."""

    def submit(run: str, when: str, call: int) -> HeldJob:
        return submit_held(
            "score_users",
            f"jobs.score_users:load_once:{when}",
            score_options(model, day, run),
            call=call,
            constants={"USERS_PER_TASK": USERS_PER_TASK},
            spark=SPECULATION,
        )

    return submit


@pytest.mark.fault(1)
@pytest.mark.usefixtures("second_node")
def test_scores_of_a_task_that_hangs_are_those_of_its_speculative_copy(
    day: date,
    model: PinnedModel,
    promise: Promise,
    attempts: Iterator[str],
    submit_speculating: Callable[[str, str, int], HeldJob],
    scores_of_many_tasks: str,
) -> None:
    """The held call is never released: without speculation the job would not end."""
    run = next(attempts)
    with (
        promise(day, run, scores=scores_of_many_tasks),
        submit_speculating(run, "before", 6) as job,
    ):
        job.wait()
        assert job.exit_status() == 0, job.last_line()
        audit(model, day, run)


@pytest.mark.fault(1)
@pytest.mark.usefixtures("second_node")
@pytest.mark.parametrize("seed", range(POINTS))
def test_scores_of_an_executor_killed_after_its_first_task_are_those_of_an_undisturbed_run(
    day: date,
    model: PinnedModel,
    promise: Promise,
    attempts: Iterator[str],
    submit_speculating: Callable[[str, str, int], HeldJob],
    scores_of_many_tasks: str,
    seed: int,
) -> None:
    """The third task and later ones begin after the first has ended."""
    chance, run = random.Random(seed), next(attempts)
    with (
        promise(day, run, scores=scores_of_many_tasks),
        submit_speculating(run, chance.choice(["before", "after"]), chance.randint(3, 12)) as job,
    ):
        worker = job.wait()
        executor = next(parent for parent in worker.parents() if parent.name() == "java")
        executor.kill()
        job.release()
        assert job.exit_status() == 0, job.last_line()
        audit(model, day, run)


@pytest.mark.fault(2)
@pytest.mark.parametrize("point", STAGING)
def test_scores_of_a_driver_killed_while_it_scores_are_those_of_its_retry(
    day: date,
    model: PinnedModel,
    promise: Promise,
    attempts: Iterator[str],
    submit_held: Callable[..., HeldJob],
    point: str,
) -> None:
    killed, retry = next(attempts), next(attempts)
    options = score_options(model, day, killed)
    with promise(day, retry), submit_held("score_users", STAGING[point], options) as job:
        job.wait()
        job.kill()
        rescore(model, day, retry)


@pytest.mark.fault(2)
@pytest.mark.parametrize("point", PUBLISHING)
def test_scores_of_a_driver_killed_while_it_publishes_are_published_once_by_its_retry(
    undisturbed: dict[date, object],
    model: PinnedModel,
    promise: Promise,
    attempts: Iterator[str],
    submit_held: Callable[..., HeldJob],
    point: str,
) -> None:
    day, other_day = undisturbed
    run = next(attempts)
    score(model, day, run)
    if point.startswith("copied"):  # what was staged on an older `main` is committed again before the move
        rescore(model, other_day, next(attempts))
    options = audit_options(model, day, run)
    visible = run if point.startswith("published") else None
    with promise(day, visible), submit_held("audit_scores", PUBLISHING[point], options) as job:
        job.wait()
        job.kill()
    with promise(day, run):
        audit(model, day, run)


@contextmanager
def catalog_without_updates(cluster: Cluster) -> Iterator[Callable[[], bool]]:
    """Let clients read the catalog and hold back their changes; tells whether one is held back."""

    def connect() -> psycopg2.extensions.connection:
        return postgres.connect(cluster.layout, "lake", OWNER)

    with closing(connect()) as holding, closing(connect()) as looking:
        looking.autocommit = True

        def is_one_waiting() -> bool:
            with looking.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
                return cursor.fetchone() is not None

        with holding.cursor() as cursor:
            cursor.execute("LOCK TABLE iceberg_tables IN EXCLUSIVE MODE")
        yield is_one_waiting


@pytest.mark.fault(2)
def test_a_move_that_the_catalog_makes_after_its_driver_was_killed_is_not_made_again(
    cluster: Cluster,
    day: date,
    model: PinnedModel,
    promise: Promise,
    attempts: Iterator[str],
    submit_held: Callable[..., HeldJob],
) -> None:
    run = next(attempts)
    score(model, day, run)
    options = audit_options(model, day, run)
    with promise(day, run) as watch, submit_held("audit_scores", MOVE, options) as job:
        job.wait()
        with catalog_without_updates(cluster) as is_one_waiting:
            job.release()
            wait_until(is_one_waiting, "the job does not move main", 60)
            job.kill()
        wait_until(lambda: watch.states[-1].runs == (run,), "the catalog has not made the move", 60)
        audit(model, day, run)
