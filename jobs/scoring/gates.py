"""The gates that staged scores must pass before readers see them.

In   a day's rows of user_sequences and of the staged risk_scores, and the pinned model
Out  ScoreCounts, counted in one pass, and a phrase for every gate that fails:
     "3 users without a score"
"""

from dataclasses import dataclass
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from model_registry.versions import PinnedModel

# Fewer users may have the same installs, or none that the model knows, and so rightly the same score.
FEWEST_DIFFERENT = 100


@dataclass(frozen=True)
class ScoreCounts:
    """Counts of one pass over a day's staged scores and sequences: of rows, unless the name says users."""

    expected: int  # rows of user_sequences
    scored: int
    users_without_score: int
    users_without_sequence: int
    users_scored_twice: int  # or more often
    not_finite: int  # null, NaN or infinite score or logit
    out_of_range: int
    with_known_apps: int  # of the installs that the model read, at least one is of an app that it knows
    of_another_model: int
    another_model: str | None  # an example, for the message
    lowest: float | None
    highest: float | None
    mean: float | None


def is_not_finite(value: Column) -> Column:
    return value.isNull() | F.isnan(value) | (F.abs(value) == float("inf"))


def is_of_another_model(model: PinnedModel) -> Column:
    """Return whether a row's model differs from `model`; true for nulls."""
    return ~(
        F.col("model_name").eqNullSafe(model.name)
        & F.col("model_version").eqNullSafe(model.version)
        & F.col("model_sha256").eqNullSafe(model.sha256)
    )


def count_scores(sequences: DataFrame, scores: DataFrame, model: PinnedModel) -> ScoreCounts:
    """Compare a day's scores with its sequences in one Spark job, whose only shuffle is by user."""
    of_another_model = is_of_another_model(model)
    risk_score = F.col("risk_score")
    expected_rows = sequences.select("user_id", F.lit(1).alias("expected"), F.lit(0).alias("scored"))
    scored_rows = scores.select(
        "user_id",
        "risk_score",
        F.lit(0).alias("expected"),
        F.lit(1).alias("scored"),
        (is_not_finite(risk_score) | is_not_finite(F.col("logit"))).cast("int").alias("not_finite"),
        (~risk_score.between(0.0, 1.0)).cast("int").alias("out_of_range"),
        (F.col("unknown_apps") < F.col("sequence_length")).cast("int").alias("with_known_apps"),
        of_another_model.cast("int").alias("of_another_model"),
        F.when(of_another_model, F.concat_ws(" ", "model_name", "model_version", "model_sha256")).alias(
            "another_model"
        ),
    )
    rows = scored_rows.unionByName(expected_rows, allowMissingColumns=True)
    (counts,) = count_findings(count_by_user(rows)).collect()
    return ScoreCounts(**counts.asDict())


def count_by_user(rows: DataFrame) -> DataFrame:
    """Add up the rows of each user in the sequences, the scores or both."""
    counts = ("expected", "scored", "not_finite", "out_of_range", "with_known_apps", "of_another_model")
    return rows.groupBy("user_id").agg(
        *(F.sum(name).alias(name) for name in counts),
        F.min("another_model").alias("another_model"),
        F.min("risk_score").alias("lowest"),
        F.max("risk_score").alias("highest"),
        F.sum("risk_score").alias("total"),
    )


def count_findings(users: DataFrame) -> DataFrame:
    """Add up all users into the one row of `ScoreCounts`."""

    def count(name: str) -> Column:
        return F.coalesce(F.sum(name), F.lit(0)).alias(name)

    return users.agg(
        count("expected"),
        count("scored"),
        F.count_if(F.col("scored") == 0).alias("users_without_score"),
        F.count_if(F.col("expected") == 0).alias("users_without_sequence"),
        F.count_if(F.col("scored") > 1).alias("users_scored_twice"),
        count("not_finite"),
        count("out_of_range"),
        count("with_known_apps"),
        count("of_another_model"),
        F.min("another_model").alias("another_model"),
        F.min("lowest").alias("lowest"),
        F.max("highest").alias("highest"),
        (F.sum("total") / F.sum("scored")).alias("mean"),
    )


def failed_gates(
    counts: ScoreCounts, model: PinnedModel, written_days: dict[date, int], ds: date
) -> list[str]:
    """List a phrase with figures for every gate that fails; an empty list means the scores may be published.

    `written_days` holds the number of rows that the snapshot writes to each day.
    """
    is_constant = (
        counts.with_known_apps >= FEWEST_DIFFERENT
        and counts.not_finite == 0
        and counts.lowest == counts.highest
    )
    other_days = {day.isoformat(): rows for day, rows in written_days.items() if day != ds}
    gates = [
        (counts.scored == 0, f"no scores at all, expected {counts.expected:,}"),
        (counts.scored != counts.expected, f"{counts.scored:,} scores, expected {counts.expected:,}"),
        (counts.users_without_score > 0, f"{counts.users_without_score:,} users without a score"),
        (
            counts.users_without_sequence > 0,
            f"{counts.users_without_sequence:,} scored users without a sequence",
        ),
        (counts.users_scored_twice > 0, f"{counts.users_scored_twice:,} users with more than one score"),
        (counts.not_finite > 0, f"{counts.not_finite:,} null or infinite scores or logits"),
        (counts.out_of_range > 0, f"{counts.out_of_range:,} scores outside 0 to 1"),
        (is_constant, f"all {counts.scored:,} scores are the same: {counts.lowest}"),
        (
            counts.of_another_model > 0,
            f"{counts.of_another_model:,} scores by another model, such as {counts.another_model}, expected "
            f"{model.name} {model.version} {model.sha256}",
        ),
        (bool(other_days), f"the snapshot also writes other days: {other_days}"),
        (ds not in written_days, f"the snapshot writes no row of {ds}"),
    ]
    return [sentence for failed, sentence in gates if failed]
