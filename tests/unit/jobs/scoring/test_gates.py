"""Each gate with the fewest scores that break it, beside scores that break none."""

from datetime import date

import pytest

from jobs.scoring.gates import count_scores, failed_gates
from model_registry.versions import PinnedModel

MODEL = PinnedModel("risk_encoder", 3, "ab" * 32, f"hdfs://127.0.0.1/models/risk_encoder-v3-{'ab' * 6}")
DAY = date(2026, 1, 31)
NEXT_DAY = date(2026, 2, 1)


def failed(
    spark,
    users,
    scores,
    name=MODEL.name,
    version=MODEL.version,
    sha256=MODEL.sha256,
    written=None,
    unknown_apps=1,
):
    """Gates that (user_id, risk_score[, logit]) rows break, when exactly `users` must have a score."""
    sequences = spark.createDataFrame([(user,) for user in users], "user_id string")
    rows = [(*(*row, 0.5)[:3], 2, unknown_apps, name, version, sha256) for row in scores]
    columns = (
        "user_id string, risk_score double, logit double, sequence_length int, unknown_apps int, "
        "model_name string, model_version int, model_sha256 string"
    )
    counts = count_scores(sequences, spark.createDataFrame(rows, columns), MODEL)
    return failed_gates(counts, MODEL, written or {DAY: len(scores)}, DAY)


@pytest.mark.parametrize(
    ("users", "scores"),
    [
        (["u1", "u2"], [("u1", 0.1), ("u2", 0.2)]),
        (["u1", "u2"], [("u1", 0.0), ("u2", 1.0)]),  # both ends of the range
        (["u1"], [("u1", 0.1)]),  # the score of a single user is always constant
        (["u1", "u2", "u3"], [("u1", 0.1), ("u2", 0.1), ("u3", 0.2)]),
    ],
)
def test_sound_scores_pass_every_gate(spark, users, scores):
    assert failed(spark, users, scores) == []


@pytest.mark.parametrize(
    ("scores", "gates"),
    [
        ([], ["no scores at all, expected 2", "0 scores, expected 2", "2 users without a score"]),
        ([("u1", 0.1)], ["1 scores, expected 2", "1 users without a score"]),
        # The number of rows alone looks right.
        ([("u1", 0.1), ("u3", 0.2)], ["1 users without a score", "1 scored users without a sequence"]),
        ([("u1", 0.1), ("u1", 0.2)], ["1 users without a score", "1 users with more than one score"]),
        (
            [("u1", 0.1), ("u2", 0.2), ("u2", 0.2)],
            ["3 scores, expected 2", "1 users with more than one score"],
        ),
        (
            [("u1", 0.1), ("u2", 0.2), (None, 0.3)],
            ["3 scores, expected 2", "1 scored users without a sequence"],
        ),
        ([("u1", 0.1), ("u2", None)], ["1 null or infinite scores or logits"]),
        ([("u1", 0.1), ("u2", 0.2, None)], ["1 null or infinite scores or logits"]),
        ([("u1", 0.1), ("u2", 0.2, float("nan"))], ["1 null or infinite scores or logits"]),
        ([("u1", 0.1), ("u2", 0.2, float("-inf"))], ["1 null or infinite scores or logits"]),
        (
            [("u1", 0.1), ("u2", float("nan"))],
            ["1 null or infinite scores or logits", "1 scores outside 0 to 1"],
        ),
        ([("u1", 0.1), ("u2", 1.5)], ["1 scores outside 0 to 1"]),
        ([("u1", 0.1), ("u2", -0.001)], ["1 scores outside 0 to 1"]),
    ],
)
def test_scores_break_exactly_these_gates(spark, scores, gates):
    assert failed(spark, ["u1", "u2"], scores) == gates


MANY = [f"u{number}" for number in range(100)]


def test_many_users_who_all_have_the_same_score_break_a_gate(spark):
    scores = [(user, 0.1) for user in MANY]
    assert failed(spark, MANY, scores) == ["all 100 scores are the same: 0.1"]
    assert failed(spark, MANY, [*scores[:-1], (MANY[-1], 0.2)]) == []


def test_few_users_or_users_of_unknown_apps_may_have_the_same_score(spark):
    assert failed(spark, MANY[:2], [(user, 0.1) for user in MANY[:2]]) == []
    assert failed(spark, MANY, [(user, 0.1) for user in MANY], unknown_apps=2) == []


@pytest.mark.parametrize(
    ("other", "seen"),
    [
        ({"name": "old_encoder"}, f"old_encoder 3 {MODEL.sha256}"),
        ({"version": 2}, f"risk_encoder 2 {MODEL.sha256}"),
        ({"sha256": "cd" * 32}, f"risk_encoder 3 {'cd' * 32}"),
        ({"version": None}, f"risk_encoder {MODEL.sha256}"),
    ],
)
def test_scores_of_another_model_break_a_gate_that_names_both(spark, other, seen):
    (gate,) = failed(spark, ["u1", "u2"], [("u1", 0.1), ("u2", 0.2)], **other)
    pinned = f"risk_encoder 3 {MODEL.sha256}"
    assert gate == f"2 scores by another model, such as {seen}, expected {pinned}"


def test_a_snapshot_may_write_no_other_day(spark):
    gates = failed(spark, ["u1"], [("u1", 0.1)], written={DAY: 1, NEXT_DAY: 4})
    assert gates == ["the snapshot also writes other days: {'2026-02-01': 4}"]


def test_a_snapshot_must_write_the_audited_day(spark):
    gates = failed(spark, ["u1"], [("u1", 0.1)], written={NEXT_DAY: 1})
    assert gates[-1] == "the snapshot writes no row of 2026-01-31"
