"""Commits whose answer is lost, on a real PostgreSQL: the catalog has committed, Iceberg commits again."""

from datetime import date

import pytest

from jobs.lake.staging import find_staged_snapshot, publish, stage_rows
from jobs.lake.tables import TablePartition, ensure_tables
from tests.conftest import jdbc_catalog
from tests.made_up.lake_sessions import session_on
from tests.made_up.lost_answer import losing_one_answer

COMMIT = rb"UPDATE iceberg_tables"
DAY = TablePartition("risk.risk_scores", date(2026, 5, 1))
OTHER_DAY = TablePartition("risk.risk_scores", date(2026, 5, 2))


@pytest.fixture
def losing(spark, database, in_postgres):
    """A proxy before PostgreSQL, and a session whose catalog speaks through it."""
    in_postgres.sql("DROP TABLE IF EXISTS lake.risk.risk_scores")
    ensure_tables(in_postgres)
    port = database.settings.ports.postgres
    with losing_one_answer(port, COMMIT) as proxy:
        settings = jdbc_catalog(spark, database)
        uri = "spark.sql.catalog.lake.uri"
        through = settings | {uri: settings[uri].replace(f":{port}/", f":{proxy.port}/")}
        with session_on(spark, through) as session:
            session.table("lake.risk.risk_scores").count()  # connected
            yield proxy, session


def rows(spark, *users):
    columns = "user_id string, risk_score double, logit double, sequence_length int, unknown_apps int"
    rows = [(user, 0.1, -2.0, 1, 0) for user in users]
    model = {"model_name": "m", "model_version": 1, "model_sha256": "ab", "run_id": "run"}
    frame = spark.createDataFrame(rows, columns)
    for name, value in model.items():
        frame = frame.selectExpr("*", f"{value!r} AS {name}")
    return frame


def users(spark, day=DAY):
    spark.catalog.refreshTable("lake.risk.risk_scores")
    return sorted(row.user_id for row in day.read(spark).collect())


def test_scores_stay_hidden_when_the_answer_to_their_staging_is_lost(losing, in_postgres):
    proxy, session = losing
    proxy.armed.set()
    stage_rows(rows(session, "u1"), DAY, "lost-1")
    assert proxy.lost.is_set()
    assert users(in_postgres) == []
    publish(session, DAY, "lost-1", find_staged_snapshot(session, DAY, "lost-1"))
    assert users(in_postgres) == ["u1"]


@pytest.mark.parametrize("other_day_first", [False, True])
def test_scores_are_published_once_when_the_answer_to_it_is_lost(losing, in_postgres, other_day_first):
    proxy, session = losing
    stage_rows(rows(session, "u1"), DAY, "lost-1")
    staged = find_staged_snapshot(session, DAY, "lost-1")
    if other_day_first:  # then a copy of the snapshot is published, else the snapshot itself
        stage_rows(rows(in_postgres, "u2"), OTHER_DAY, "other")
        publish(in_postgres, OTHER_DAY, "other", find_staged_snapshot(in_postgres, DAY, "other"))
    proxy.armed.set()
    publish(session, DAY, "lost-1", staged)
    assert proxy.lost.is_set()
    assert users(in_postgres) == ["u1"]
    assert users(in_postgres, OTHER_DAY) == (["u2"] if other_day_first else [])


def test_an_overwrite_whose_answer_is_lost_is_done_once(losing, in_postgres):
    proxy, session = losing
    day = TablePartition("risk.rejected_events", date(2026, 5, 1))
    frame = session.createDataFrame([("f", "r", "bad")], "file STRING, raw STRING, reason STRING")
    for _ in range(2):
        proxy.armed.set()
        day.overwrite_with(frame)
        assert proxy.lost.is_set()
        proxy.lost.clear()
    in_postgres.catalog.refreshTable("lake.risk.rejected_events")
    assert day.read(in_postgres).count() == 1
