"""Audit and publishing of staged scores on a real Iceberg table, and what readers see meanwhile."""

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest

from jobs.audit_scores import AuditRefusedError, audit
from jobs.audit_scores import main as audit_scores
from jobs.lake.staging import (
    NotStagedError,
    StalePublishError,
    find_published_wap_id,
    find_staged_snapshot,
    publish,
)
from jobs.lake.tables import TablePartition, ensure_tables
from jobs.score_users import stage
from model_registry.versions import PinnedModel

MODEL = PinnedModel("risk_encoder", 3, "ab" * 32, f"hdfs://127.0.0.1/models/risk_encoder-v3-{'ab' * 6}")
DAY = "2026-01-31"
NEXT_DAY = "2026-02-01"


@pytest.fixture
def lake(either_catalog):
    """A session of each kind of catalog, with empty tables."""
    spark = either_catalog
    for table in ("risk_scores", "user_sequences"):
        spark.sql(f"DROP TABLE IF EXISTS lake.risk.{table}")
    ensure_tables(spark)
    return spark


def sequences_of(ds=DAY):
    return TablePartition.parse(f"risk.user_sequences/ds={ds}")


def scores_of(ds=DAY):
    return TablePartition.parse(f"risk.risk_scores/ds={ds}")


def expect_users(spark, *user_ids, ds=DAY):
    """Write the day's sequences: the users that must get a score."""
    rows = [(user_id, ["maps"], [], 1) for user_id in user_ids]
    columns = "user_id string, app_ids array<string>, event_times array<timestamp>, sequence_length int"
    sequences_of(ds).overwrite_with(spark.createDataFrame(rows, columns))


def score_rows(spark, *rows, name=MODEL.name, version=MODEL.version, sha256=MODEL.sha256):
    """Rows of (user_id, risk_score) or (user_id, risk_score, logit) as score_users makes them."""
    whole = [(*row, 0.5)[:3] for row in rows]
    scores = [(user, risk, logit, 1, 0, name, version, sha256, "run") for user, risk, logit in whole]
    columns = (
        "user_id string, risk_score double, logit double, sequence_length int, unknown_apps int, "
        "model_name string, model_version int, model_sha256 string, run_id string"
    )
    return spark.createDataFrame(scores, columns)


def stage_scores(spark, wap_id, *rows, ds=DAY, **model):
    stage(score_rows(spark, *rows, **model), scores_of(ds), wap_id)


def publish_staged(spark, wap_id, ds=DAY):
    publish(spark, scores_of(ds), wap_id, find_staged_snapshot(spark, scores_of(ds), wap_id))


def audit_staged(spark, wap_id="try-1", ds=DAY):
    snapshot_id = find_staged_snapshot(spark, scores_of(ds), wap_id)
    return audit(spark, sequences_of(ds), scores_of(ds), MODEL, wap_id, snapshot_id)


def visible_scores(spark, ds=DAY):
    return {row.user_id: row.risk_score for row in scores_of(ds).read(spark).collect()}


def refusal_of(spark, wap_id="try-1", ds=DAY) -> str:
    with pytest.raises(AuditRefusedError) as refused:
        audit_staged(spark, wap_id, ds)
    return str(refused.value)


def test_staged_scores_are_invisible_until_they_are_published(lake):
    expect_users(lake, "u1", "u2")
    stage_scores(lake, "try-1", ("u1", 0.1), ("u2", 0.9))
    assert visible_scores(lake) == {}
    counts = audit_staged(lake)
    assert visible_scores(lake) == {}
    publish_staged(lake, "try-1")
    assert visible_scores(lake) == {"u1": 0.1, "u2": 0.9}
    assert (counts.scored, counts.mean) == (2, pytest.approx(0.5))


def test_a_rerun_replaces_the_published_day_and_no_other(lake):
    for ds in (DAY, NEXT_DAY):
        stage_scores(lake, f"first-{ds}", ("u1", 0.1), ("u2", 0.2), ds=ds)
        publish_staged(lake, f"first-{ds}", ds)
    stage_scores(lake, "second", ("u1", 0.7))
    assert visible_scores(lake) == {"u1": 0.1, "u2": 0.2}
    publish_staged(lake, "second")
    assert visible_scores(lake) == {"u1": 0.7}
    assert visible_scores(lake, NEXT_DAY) == {"u1": 0.1, "u2": 0.2}


def test_a_refusal_names_id_snapshot_and_every_failed_gate_and_stays_staged(lake):
    expect_users(lake, "u1", "u2", "u3")
    stage_scores(lake, "try-1", ("u1", 7.0), ("u1", 7.0))
    (snapshot,) = lake.sql("SELECT snapshot_id FROM lake.risk.risk_scores.snapshots").collect()
    message = refusal_of(lake)
    for part in (
        "risk.risk_scores/ds=2026-01-31 is not published; wap id 'try-1'",
        f"snapshot {snapshot.snapshot_id}, stays staged",
        "2 scores, expected 3",
        "2 users without a score",
        "1 users with more than one score",
        "2 scores outside 0 to 1",
    ):
        assert part in message
    assert visible_scores(lake) == {}
    assert "without a sequence" not in message


def test_scores_of_another_day_are_refused_even_if_the_audited_day_is_sound(lake):
    for ds in (DAY, NEXT_DAY):
        expect_users(lake, "u1", "u2", ds=ds)
    stage_scores(lake, "yesterday", ("u1", 0.1), ("u2", 0.2))
    publish_staged(lake, "yesterday")
    stage_scores(lake, "try-1", ("u1", 0.3), ("u2", 0.4), ds=NEXT_DAY)
    message = refusal_of(lake, ds=DAY)
    assert "the snapshot also writes other days: {'2026-02-01': 2}" in message
    assert "the snapshot writes no row of 2026-01-31" in message


def test_an_id_that_nothing_was_staged_under_is_an_error(lake):
    with pytest.raises(NotStagedError, match="'try-1'"):
        audit_staged(lake)


def test_an_empty_result_is_refused(lake):
    expect_users(lake, "u1")
    stage_scores(lake, "try-1")
    assert "no scores at all, expected 1" in refusal_of(lake)


def test_an_id_may_hold_quotes(lake):
    stage_scores(lake, 'it\'s "1" `2`', ("u1", 0.1))
    publish_staged(lake, 'it\'s "1" `2`')
    assert visible_scores(lake) == {"u1": 0.1}


def test_publishing_drops_the_branch_and_a_refusal_keeps_it(lake):
    expect_users(lake, "u1", "u2")
    stage_scores(lake, "good", ("u1", 0.1), ("u2", 0.2))
    stage_scores(lake, "bad", ("u1", 7.0))
    publish_staged(lake, "good")
    refusal_of(lake, "bad")
    assert scores_of().open(lake).head("good") is None
    assert scores_of().open(lake).head("bad") is not None


def test_a_second_publish_of_the_same_scores_changes_nothing(lake):
    stage_scores(lake, "try-1", ("u1", 0.1))
    staged = find_staged_snapshot(lake, scores_of(), "try-1")
    for _ in range(2):  # as after a commit whose answer was lost
        publish(lake, scores_of(), "try-1", staged)
    assert visible_scores(lake) == {"u1": 0.1}


def test_the_day_knows_under_which_id_its_scores_were_staged(lake):
    assert find_published_wap_id(lake, scores_of()) is None
    stage_scores(lake, "first", ("u1", 0.1))  # published as it is, since nothing came in between
    stage_scores(lake, "other day", ("u1", 0.1), ds=NEXT_DAY)  # published as a copy
    publish_staged(lake, "first")
    publish_staged(lake, "other day", NEXT_DAY)
    stage_scores(lake, "unpublished", ("u1", 0.1))
    assert find_published_wap_id(lake, scores_of()) == "first"
    assert find_published_wap_id(lake, scores_of(NEXT_DAY)) == "other day"


def test_an_audit_that_is_cleared_after_a_good_night_passes_again(lake):
    expect_users(lake, "u1", "u2")
    stage_scores(lake, "try-1", ("u1", 0.1), ("u2", 0.2))
    for _ in range(2):
        audit_scores(str(sequences_of()), str(scores_of()), MODEL.to_json(), "try-1")
    assert visible_scores(lake) == {"u1": 0.1, "u2": 0.2}


def exit_when_published(message, *_):
    if message.startswith("published"):
        sys.exit("killed")


def test_an_audit_that_died_between_publishing_and_its_end_passes_again(lake, monkeypatch):
    expect_users(lake, "u1", "u2")
    stage_scores(lake, "try-1", ("u1", 0.1), ("u2", 0.2))
    with monkeypatch.context() as killed:
        killed.setattr("jobs.audit_scores.logger.info", exit_when_published)
        with pytest.raises(SystemExit, match="killed"):
            audit_scores(str(sequences_of()), str(scores_of()), MODEL.to_json(), "try-1")
    audit_scores(str(sequences_of()), str(scores_of()), MODEL.to_json(), "try-1")
    assert visible_scores(lake) == {"u1": 0.1, "u2": 0.2}
    assert scores_of().open(lake).head("try-1") is None


def test_an_audit_of_scores_that_another_run_has_replaced_is_refused(lake):
    expect_users(lake, "u1", "u2")
    stage_scores(lake, "first", ("u1", 0.1), ("u2", 0.2))
    audit_scores(str(sequences_of()), str(scores_of()), MODEL.to_json(), "first")
    stage_scores(lake, "second", ("u1", 0.3), ("u2", 0.4))
    audit_scores(str(sequences_of()), str(scores_of()), MODEL.to_json(), "second")
    with pytest.raises(NotStagedError, match="'first'"):
        audit_scores(str(sequences_of()), str(scores_of()), MODEL.to_json(), "first")
    assert visible_scores(lake) == {"u1": 0.3, "u2": 0.4}


def test_dropping_refused_scores_leaves_all_other_snapshots(lake):
    for wap_id in ("first", "second"):
        stage_scores(lake, wap_id, ("u1", 0.1))
        publish_staged(lake, wap_id)
    stage_scores(lake, "refused", ("u1", 7.0))
    before = lake.sql("SELECT snapshot_id FROM lake.risk.risk_scores.snapshots").count()
    lake.sql("ALTER TABLE lake.risk.risk_scores DROP BRANCH `refused`")
    assert lake.sql("SELECT snapshot_id FROM lake.risk.risk_scores.snapshots").count() == before
    assert scores_of().open(lake).head("refused") is None


def test_staged_scores_outlive_the_expiry_of_snapshots(lake):
    expect_users(lake, "u1", "u2")
    stage_scores(lake, "waiting", ("u1", 0.1), ("u2", 0.2))
    stage_scores(lake, "other day", ("u1", 0.3), ds=NEXT_DAY)
    publish_staged(lake, "other day", NEXT_DAY)
    lake.sql(
        "CALL lake.system.expire_snapshots(table => 'risk.risk_scores', "
        "older_than => TIMESTAMP '2099-01-01 00:00:00', retain_last => 1)"
    )
    audit_staged(lake, "waiting")
    publish_staged(lake, "waiting")
    assert visible_scores(lake) == {"u1": 0.1, "u2": 0.2}


def test_scores_staged_before_the_day_was_replaced_are_refused(lake):
    stage_scores(lake, "slow", ("u1", 0.1))
    stage_scores(lake, "fast", ("u1", 0.2))
    publish_staged(lake, "fast")
    with pytest.raises(
        StalePublishError, match="'slow' was staged, and readers see the scores of wap id 'fast'"
    ):
        publish_staged(lake, "slow")
    assert visible_scores(lake) == {"u1": 0.2}


def test_other_days_published_in_between_do_no_harm(lake):
    stage_scores(lake, "try-1", ("u1", 0.1))
    stage_scores(lake, "other day", ("u1", 0.2), ds=NEXT_DAY)
    publish_staged(lake, "other day", NEXT_DAY)
    publish_staged(lake, "try-1")
    assert (visible_scores(lake), visible_scores(lake, NEXT_DAY)) == ({"u1": 0.1}, {"u1": 0.2})


def test_days_published_at_the_same_moment_are_all_visible(lake):
    days = [date(2026, 3, day).isoformat() for day in (1, 2, 3, 4)]
    for ds in days:
        stage_scores(lake, ds, ("u1", 0.1), ds=ds)
    with ThreadPoolExecutor(len(days)) as threads:
        list(threads.map(lambda ds: publish_staged(lake, ds, ds), days))
    assert [visible_scores(lake, ds) for ds in days] == [{"u1": 0.1}] * 4
