"""The whole scoring job on a local Spark, a real Iceberg table and a tiny real SavedModel."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from jobs.lake.staging import (
    WapIdTakenError,
    check_wap_id,
    find_staged_snapshot,
)
from jobs.lake.tables import TablePartition, ensure_tables
from jobs.score_users import (
    EmptySequencesError,
    NoUsersError,
    count_users,
    distribute_model,
    score_users,
    spread_over,
    stage,
)
from jobs.scoring.reasons import ReasonsOptions
from jobs.scoring.worker_errors import WorkerFailedError, WorkerRefusedError, named_worker_error
from model_registry.errors import HashMismatchError, SignatureRefusedError, UnsignedModelError
from model_registry.hashing import folder_sha256
from model_registry.versions import ModelVersion, PinnedModel
from tests.made_up.signed import sign
from tests.made_up.tiny_model import plain_contributions, plain_logit, save_tiny_model, sigmoid

SEQUENCES = TablePartition.parse("risk.user_sequences/ds=2026-01-31")
SCORES = TablePartition.parse("risk.risk_scores/ds=2026-01-31")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SEQUENCE_COLUMNS = "user_id string, app_ids array<string>, event_times array<timestamp>, sequence_length int"
USERS = {
    "u1": ["maps", "chat"],
    "u2": ["never seen"],
    "u3": ["maps", "game", "bank", "game", "new", "chat"],  # longer than the model reads
    "u4": ["bank"],
}
TOKENS = {"u1": [4, 3], "u2": [1], "u3": [5, 6, 1, 3], "u4": [5]}


@pytest.fixture
def lake(spark):
    """The session, with empty tables."""
    for table in ("risk_scores", "user_sequences"):
        spark.sql(f"DROP TABLE IF EXISTS lake.risk.{table}")
    ensure_tables(spark)
    return spark


def pin(folder: Path, version: int = 1) -> PinnedModel:
    """Give a model's folder the name that it has once it is pinned."""
    model = ModelVersion("tiny", version, folder_sha256(folder))
    folder = folder.rename(folder.with_name(model.dirname))
    return PinnedModel(model.name, model.version, model.sha256, folder.as_uri())


def folder_of(model: PinnedModel) -> Path:
    return Path(model.uri.removeprefix("file://"))


@pytest.fixture(scope="module")
def pinned(tmp_path_factory) -> PinnedModel:
    return pin(save_tiny_model(tmp_path_factory.mktemp("models") / "unnamed"))


@pytest.fixture(scope="module")
def public_key(spark, pinned) -> str:
    """The key that the model is signed by; the model is handed to the workers as the job hands it."""
    key = sign(folder_of(pinned))
    distribute_model(spark, pinned, key)
    return key


def sequence_rows(spark, users):
    rows = [(user_id, app_ids, [NOON] * len(app_ids), len(app_ids)) for user_id, app_ids in users.items()]
    return spark.createDataFrame(rows, SEQUENCE_COLUMNS)


def score_rows(spark, *user_ids):
    """Rows as score_users makes them, without a model."""
    rows = [(user_id, 0.5, 0.0, 1, 0, "tiny", 1, "ab" * 32, "night", None) for user_id in user_ids]
    return spark.createDataFrame(rows, spark.table("lake.risk.risk_scores").drop("ds").schema)


def test_every_user_gets_the_models_own_score_and_the_pinned_models_name(lake, pinned, public_key):
    scores = score_users(sequence_rows(lake, USERS), pinned, public_key, "night", 1, max_tokens_per_batch=8)
    scored = {row.user_id: row for row in scores.collect()}
    assert scored.keys() == USERS.keys()
    for user_id, tokens in TOKENS.items():
        row, logit = scored[user_id], plain_logit(tokens)
        assert (row.logit, row.risk_score) == (pytest.approx(logit), pytest.approx(sigmoid(logit)))
        assert (row.sequence_length, row.unknown_apps) == (len(tokens), tokens.count(1))
        assert (row.model_name, row.model_version, row.model_sha256) == ("tiny", 1, pinned.sha256)
        assert (row.run_id, row.reasons) == ("night", None)


def test_reasons_are_staged_with_the_scores_of_the_riskiest_users(lake, pinned, public_key):
    options = ReasonsOptions(above=sigmoid(plain_logit(TOKENS["u4"])) - 1e-6, top=1)  # u1 and u2 score lower
    scores = score_users(sequence_rows(lake, USERS), pinned, public_key, "night", 1, 8, options)
    stage(scores, SCORES, "try-1")
    snapshot_id = find_staged_snapshot(lake, SCORES, "try-1")
    staged = lake.sql(f"SELECT user_id, reasons FROM lake.risk.risk_scores VERSION AS OF {snapshot_id}")
    reasons = {row.user_id: row.reasons for row in staged.collect()}
    assert reasons == {
        "u1": None,
        "u2": None,
        "u3": None,
        "u4": [("bank", 0, pytest.approx(plain_contributions(TOKENS["u4"])[0]))],
    }


def test_a_table_of_an_earlier_version_gets_the_column_for_reasons(lake):
    lake.sql("ALTER TABLE lake.risk.risk_scores DROP COLUMN reasons")
    ensure_tables(lake)
    stage(score_rows(lake, "u1"), SCORES, "try-1")
    assert lake.table("lake.risk.risk_scores").columns[-1] == "reasons"


def test_scores_have_the_tables_columns_and_types(lake, pinned, public_key):
    scores = score_users(sequence_rows(lake, USERS), pinned, public_key, "night", 1, max_tokens_per_batch=8)
    expected = lake.table("lake.risk.risk_scores").drop("ds").schema
    assert [(field.name, field.dataType) for field in scores.schema] == [
        (field.name, field.dataType) for field in expected
    ]


def test_staged_rows_carry_the_day_and_wait_under_the_id(lake):
    stage(score_rows(lake, "u1", "u2"), SCORES, "try-1")
    snapshot_id = find_staged_snapshot(lake, SCORES, "try-1")
    staged = lake.sql(f"SELECT user_id, ds FROM lake.risk.risk_scores VERSION AS OF {snapshot_id}")
    assert sorted(staged.collect()) == [("u1", SCORES.ds), ("u2", SCORES.ds)]
    assert SCORES.read(lake).count() == 0


def test_a_worker_refuses_a_model_by_itself_which_fails_the_job_and_stages_nothing(lake, tmp_path):
    model = pin(save_tiny_model(tmp_path / "unnamed"), version=2)
    distribute_model(lake, model, sign(folder_of(model)))
    (tmp_path / "other").mkdir()
    other_key = sign(save_tiny_model(tmp_path / "other" / "model"))
    scores = score_users(sequence_rows(lake, USERS), model, other_key, "night", 1, max_tokens_per_batch=8)
    with pytest.raises(
        WorkerRefusedError, match=rf"SignatureRefusedError: expected .*{model.dirname}.*Key mis"
    ):
        stage(scores, SCORES, "try-1")
    assert SCORES.open(lake).head("try-1") is None


def test_the_driver_refuses_an_unsigned_model_before_it_is_sent_anywhere(spark, tmp_path):
    model = pin(save_tiny_model(tmp_path / "unnamed"), version=3)
    with pytest.raises(UnsignedModelError, match=rf"{model.dirname}\.sig; found none"):
        distribute_model(spark, model, "MFkw")


def test_the_driver_refuses_a_model_that_was_signed_by_another_key(spark, tmp_path):
    model = pin(save_tiny_model(tmp_path / "unnamed"), version=4)
    sign(folder_of(model))
    (tmp_path / "other").mkdir()
    with pytest.raises(SignatureRefusedError, match="Key mismatch"):
        distribute_model(spark, model, sign(save_tiny_model(tmp_path / "other" / "model")))


def test_the_driver_refuses_a_signed_model_that_is_not_the_pinned_one(spark, tmp_path):
    other = ModelVersion("tiny", 5, "0" * 64)
    folder = save_tiny_model(tmp_path / other.dirname)
    key = sign(folder)
    model = PinnedModel(other.name, other.version, other.sha256, folder.as_uri())
    with pytest.raises(HashMismatchError, match=rf"expected SHA-256 {other.sha256}"):
        distribute_model(spark, model, key)


def test_an_id_can_be_used_for_staging_only_once(lake):
    check_wap_id(lake, SCORES, "try-1")
    stage(score_rows(lake, "u1"), SCORES, "try-1")
    with pytest.raises(WapIdTakenError, match="'try-1'"):
        check_wap_id(lake, SCORES, "try-1")
    check_wap_id(lake, SCORES, "try-2")


def test_a_day_without_sequences_is_an_error(lake):
    with pytest.raises(NoUsersError, match=r"user_sequences/ds=2026-01-31 has no rows"):
        count_users(SEQUENCES.read(lake), SEQUENCES)


def test_a_user_without_installs_is_an_error_before_anything_is_scored(lake):
    SEQUENCES.overwrite_with(sequence_rows(lake, {"u1": ["maps"], "u2": []}))
    with pytest.raises(EmptySequencesError, match="sequence_length 0"):
        count_users(SEQUENCES.read(lake), SEQUENCES)


def test_users_are_counted_without_reading_a_data_file(lake):
    SEQUENCES.overwrite_with(sequence_rows(lake, USERS))
    rows = SEQUENCES.read(lake)
    for file in lake.sql("SELECT file_path FROM lake.risk.user_sequences.files").collect():
        path = lake._jvm.java.nio.file.Path.of(lake._jvm.java.net.URI.create(file.file_path))
        lake._jvm.java.nio.file.Files.delete(path)
    assert count_users(rows, SEQUENCES) == 4


def test_users_meet_in_the_same_batches_however_their_files_are_cut(spark):
    users = sequence_rows(spark, USERS).select("user_id", "app_ids", "event_times")

    def tasks(frame):
        return [[row.user_id for row in task] for task in spread_over(frame, 3).rdd.glom().collect()]

    in_one_file, in_five = (
        users.coalesce(1).orderBy("user_id"),
        users.repartition(5).orderBy(F.desc("user_id")),
    )
    assert tasks(in_one_file) == tasks(in_five)
    assert sorted(user for task in tasks(in_five) for user in task) == sorted(USERS)


@pytest.mark.parametrize(
    ("last_line", "error", "reason"),
    [
        (
            "jobs.sequences.batching.TokenBudgetError: 5 tokens: too many",
            WorkerRefusedError,
            "jobs.sequences.batching.TokenBudgetError: 5 tokens: too many",
        ),
        ("MemoryError: no room", WorkerFailedError, "MemoryError: no room"),
    ],
)
def test_a_workers_report_is_cut_down_to_its_reason(last_line, error, reason):
    report = f"""
  An exception was thrown from the Python worker. Please see the stack trace below.
Traceback (most recent call last):
  File "/jobs/scoring/engine.py", line 7, in score
    raise ValueError("first")
ValueError: first

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/jobs/scoring/engine.py", line 9, in score
{last_line}

JVM stacktrace:
org.apache.spark.SparkException: Job aborted
"""
    named = named_worker_error(report)
    assert (type(named), str(named)) == (error, reason)
