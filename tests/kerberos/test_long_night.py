"""A job that lasts longer than a delegation token, which is all that executors have to log in to HDFS.

A token lasts two minutes here, by Hadoop's default seven days. The job's driver stands still in the middle
until the tokens with which its executor began have expired. Then the executor reads and writes on HDFS.
"""

import time
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from local_cluster.supervision import wait_until
from model_registry.versions import PinnedModel
from tests.faults.harness.held_job import HeldJob
from tests.faults.harness.scored_days import USERS
from tests.kerberos.nights import Night, published
from tests.kerberos.realm import REALM
from tests.kerberos.secured import LIFE_SECONDS, Secured
from tests.night import score_options
from tests.real_cluster import Cluster

pytestmark = pytest.mark.timeout(1200)

# Nothing has been scored yet: executors have no sequences and no model.
POINT = "jobs.score_users:stage:before"


def hold_longer_than_a_token(job: HeldJob) -> None:
    """Let the job go on only when no token of its beginning is valid any more."""
    job.wait()
    end = time.monotonic() + LIFE_SECONDS + 15
    wait_until(lambda: time.monotonic() > end, "time stands still", LIFE_SECONDS + 60)
    job.release()


def test_a_job_with_the_keytab_outlasts_its_tokens(
    secured: Secured, cluster: Cluster, model: PinnedModel, scored: date, reader: SparkSession, tmp_path: Path
) -> None:
    # The same two settings as the options --principal and --keytab of the DAGs.
    spark = {
        "spark.kerberos.principal": f"scoring@{REALM}",
        "spark.kerberos.keytab": str(secured.realm.keytab("scoring")),
    }
    options = score_options(model, scored, "long-1")
    with HeldJob(cluster, "score_users", POINT, tmp_path / "job", options, spark=spark) as job:
        hold_longer_than_a_token(job)
        assert job.exit_status() == 0, job.last_line()
    done = Night(secured, model, scored, "long").submit("audit_scores")
    assert done.returncode == 0, done.stdout[-3000:]
    assert published(reader, scored) == ["long-1"] * USERS


def test_the_same_job_without_the_keytab_fails_by_its_expired_token(
    secured: Secured,
    cluster: Cluster,
    model: PinnedModel,
    scored: date,
    reader: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same user by a ticket of `kinit`, which outlasts the test; executors have none but tokens."""
    before = published(reader, scored)
    monkeypatch.setenv("KRB5CCNAME", str(tmp_path / "ticket"))
    secured.realm.get_ticket("scoring/operator", tmp_path / "ticket")
    options = score_options(model, scored, "expired-1")
    with HeldJob(cluster, "score_users", POINT, tmp_path / "job", options) as job:
        hold_longer_than_a_token(job)
        assert job.exit_status() != 0
        assert "TokenExpiredError: InvalidToken: Token has expired" in job.last_line(), job.last_line()
    assert published(reader, scored) == before
