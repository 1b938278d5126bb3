"""Audit and publishing of staged scores on a real Iceberg table, and what readers see meanwhile."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest

from jobs.audit_scores import AuditRefusedError, audit
from jobs.lake.staging import (
    AmbiguousWapIdError,
    DuplicatePublishError,
    NotStagedError,
    StalePublishError,
    publish,
)
from jobs.lake.tables import TablePartition, ensure_tables
from jobs.score_users import stage
from model_registry.versions import PinnedModel

MODEL = PinnedModel("risk_encoder", 3, "ab" * 32, f"hdfs://127.0.0.1/models/risk_encoder-v3-{'ab' * 6}")
DAY = "2026-01-31"
NEXT_DAY = "2026-02-01"


@pytest.fixture
def lake(spark):
    """The session, with empty tables."""
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


def visible_scores(spark, ds=DAY):
    return {row.user_id: row.risk_score for row in scores_of(ds).read(spark).collect()}


def refusal_of(spark, wap_id="try-1", ds=DAY) -> str:
    with pytest.raises(AuditRefusedError) as refused:
        audit(spark, sequences_of(ds), scores_of(ds), MODEL, wap_id)
    return str(refused.value)


def test_staged_scores_are_invisible_until_they_are_published(lake):
    expect_users(lake, "u1", "u2")
    stage_scores(lake, "try-1", ("u1", 0.1), ("u2", 0.9))
    assert visible_scores(lake) == {}
    counts = audit(lake, sequences_of(), scores_of(), MODEL, "try-1")
    assert visible_scores(lake) == {}
    publish(lake, scores_of(), "try-1")
    assert visible_scores(lake) == {"u1": 0.1, "u2": 0.9}
    assert (counts.scored, counts.mean) == (2, pytest.approx(0.5))


def test_a_rerun_replaces_the_published_day_and_no_other(lake):
    for ds in (DAY, NEXT_DAY):
        stage_scores(lake, f"first-{ds}", ("u1", 0.1), ("u2", 0.2), ds=ds)
        publish(lake, scores_of(ds), f"first-{ds}")
    stage_scores(lake, "second", ("u1", 0.7))
    assert visible_scores(lake) == {"u1": 0.1, "u2": 0.2}
    publish(lake, scores_of(), "second")
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
        "all 2 scores are the same: 7.0",
    ):
        assert part in message
    assert visible_scores(lake) == {}
    assert "without a sequence" not in message


def test_scores_of_another_day_are_refused_even_if_the_audited_day_is_sound(lake):
    for ds in (DAY, NEXT_DAY):
        expect_users(lake, "u1", "u2", ds=ds)
    stage_scores(lake, "yesterday", ("u1", 0.1), ("u2", 0.2))
    publish(lake, scores_of(), "yesterday")
    stage_scores(lake, "try-1", ("u1", 0.3), ("u2", 0.4), ds=NEXT_DAY)
    message = refusal_of(lake, ds=DAY)
    assert "the snapshot also writes other days: {'2026-02-01': 2}" in message
    assert "the snapshot writes no row of 2026-01-31" in message


def test_an_id_that_nothing_was_staged_under_is_an_error(lake):
    with pytest.raises(NotStagedError, match="'try-1'"):
        audit(lake, sequences_of(), scores_of(), MODEL, "try-1")


def test_an_empty_result_stages_nothing_and_is_an_error(lake):
    expect_users(lake, "u1")
    stage_scores(lake, "try-1")
    with pytest.raises(NotStagedError):
        audit(lake, sequences_of(), scores_of(), MODEL, "try-1")


def test_an_id_of_two_snapshots_is_an_error(lake):
    for _ in range(2):
        stage_scores(lake, "try-1", ("u1", 0.1))
    with pytest.raises(AmbiguousWapIdError, match="'try-1'"):
        audit(lake, sequences_of(), scores_of(), MODEL, "try-1")


def test_an_id_may_hold_quotes(lake):
    stage_scores(lake, 'it\'s "1"', ("u1", 0.1))
    publish(lake, scores_of(), 'it\'s "1"')
    assert visible_scores(lake) == {"u1": 0.1}


def test_a_second_publish_of_the_same_id_is_refused(lake):
    stage_scores(lake, "try-1", ("u1", 0.1))
    publish(lake, scores_of(), "try-1")
    with pytest.raises(DuplicatePublishError, match="'try-1'"):
        publish(lake, scores_of(), "try-1")


def test_scores_staged_before_the_day_was_replaced_are_refused(lake):
    stage_scores(lake, "slow", ("u1", 0.1))
    stage_scores(lake, "fast", ("u1", 0.2))
    publish(lake, scores_of(), "fast")
    with pytest.raises(StalePublishError, match="'slow'"):
        publish(lake, scores_of(), "slow")
    assert visible_scores(lake) == {"u1": 0.2}


def test_other_days_published_in_between_do_no_harm(lake):
    stage_scores(lake, "try-1", ("u1", 0.1))
    stage_scores(lake, "other day", ("u1", 0.2), ds=NEXT_DAY)
    publish(lake, scores_of(NEXT_DAY), "other day")
    publish(lake, scores_of(), "try-1")
    assert (visible_scores(lake), visible_scores(lake, NEXT_DAY)) == ({"u1": 0.1}, {"u1": 0.2})


def test_days_published_at_the_same_moment_are_all_visible(lake):
    days = [date(2026, 3, day).isoformat() for day in (1, 2, 3, 4)]
    for ds in days:
        stage_scores(lake, ds, ("u1", 0.1), ds=ds)
    with ThreadPoolExecutor(len(days)) as threads:
        list(threads.map(lambda ds: publish(lake, scores_of(ds), ds), days))
    assert [visible_scores(lake, ds) for ds in days] == [{"u1": 0.1}] * 4
