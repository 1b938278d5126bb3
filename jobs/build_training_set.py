"""Build the training set of one date: each label with the installs that were known at its time.

In   landing/labels/            u1,1,2026-01-31,2026-03-02T09:00:00Z
     risk.install_sessions      at one snapshot, which the facts below name
Out  <output>/part-….parquet    u1, 1, 2026-01-31 00:00, ["maps", "chat"], [2026-01-30 10:00:00, …]
     <output>/_training_set.json, written last
         {"table": "risk.install_sessions", "snapshot_id": "8120…", "training_date": "2026-03-31", "examples":
         4000, …}

A label sees only installs that had happened before its `as_of` and had landed by the end of that UTC day. It
is used only if it was observed by the end of the training date. So nothing that was unknown then can leak in.
"""

import json
import logging
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Annotated

import typer
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.command import run_job
from jobs.errors import DataError
from jobs.lake.hadoop_files import HadoopFiles
from jobs.lake.receipts import DayRange, require_receipts
from jobs.lake.tables import CATALOG, current_snapshot, ensure_tables
from jobs.lake.user_sequences import (
    LOOKBACK_DAYS,
    MAX_SEQUENCE_LENGTH,
    collect_sequences,
    keep_landed_in,
    list_installs,
)
from jobs.landing.labels import keep_last_observed, read_labels
from jobs.training_set.reader import FACTS_FILE

logger = logging.getLogger("build_training_set")


class NothingToLearnError(DataError):
    """No label can be used, or all usable labels are the same."""


@dataclass(frozen=True)
class LabelCounts:
    """Counts of labels: each label is an example or in one of the last three counts."""

    examples: int
    positives: int  # examples of label 1
    labels: int
    labels_not_yet_observed: int
    labels_superseded: int  # by one observed later, for the same user and as_of
    labels_without_installs: int  # no install was known at as_of

    def check(self, days: str) -> None:
        """Raise NothingToLearnError, with `days` in it, unless there are examples of label 0 and label 1."""
        if 0 < self.positives < self.examples:
            return
        found = (
            f"all {self.examples} have label {int(self.positives > 0)}" if self.examples else "there are none"
        )
        raise NothingToLearnError(
            f"expected examples of label 0 and of label 1, but {found}: of {self.labels} labels "
            f"{self.labels_not_yet_observed} were observed after the training date, "
            f"{self.labels_superseded} were superseded by a later observation, "
            f"{self.labels_without_installs} have no install that happened before as_of and had landed "
            f"by the end of that day; {days}"
        )


def keep_observed(labels: DataFrame, training_date: date) -> DataFrame:
    """Keep the labels that were observed by the end of the training date, UTC."""
    return labels.where(F.to_date("observed_at") <= F.lit(training_date))


def find_as_of_days(labels: DataFrame) -> DayRange | None:
    """Find the first and the last day of any `as_of`, UTC; None if there are no labels."""
    as_of_day = F.to_date("as_of")
    days = labels.agg(F.min(as_of_day).alias("first"), F.max(as_of_day).alias("last")).collect()[0]
    return DayRange(days.first, days.last) if days.first else None


def known_installs(sessions: DataFrame, labels: DataFrame, lookback_days: int) -> DataFrame:
    """Give each label its user's installs that were known at its `as_of`.

    Returns:
        user_id, as_of, label, event_time, app_id; one row per label and install. A label without installs
        has no row.
    """
    as_of_day = F.to_date("as_of")
    had_landed = F.col("ds").between(F.date_sub(as_of_day, lookback_days - 1), as_of_day)
    had_started = F.col("started_at") < F.col("as_of")
    had_happened = F.col("event_time") < F.col("as_of")

    joined = sessions.join(labels, "user_id").where(had_landed & had_started)
    return list_installs(joined, "user_id", "as_of", "label").where(had_happened)


def build_examples(
    sessions: DataFrame, labels: DataFrame, lookback_days: int, max_sequence_length: int
) -> DataFrame:
    """Make one example for each label whose user had a known install."""
    installs = known_installs(sessions, labels, lookback_days)
    sequences = collect_sequences(installs, ["user_id", "as_of", "label"], max_sequence_length)
    return sequences.select("user_id", "label", "as_of", "app_ids", "event_times")


def count_labels(
    labels: DataFrame, observed: DataFrame, usable: DataFrame, examples: DataFrame
) -> LabelCounts:
    """Count labels by what became of them; each frame was made from the one before it."""
    landed, known, current, used = (frame.count() for frame in (labels, observed, usable, examples))
    return LabelCounts(
        examples=used,
        positives=examples.where(F.col("label") == 1).count(),
        labels=landed,
        labels_not_yet_observed=landed - known,
        labels_superseded=known - current,
        labels_without_installs=current - used,
    )


def find_landing_days(sessions: DataFrame) -> dict[str, date | None]:
    """Find the first and the last landing day with sessions; both None if there are no sessions."""
    days = sessions.agg(F.min("ds").alias("first_landing_day"), F.max("ds").alias("last_landing_day"))
    return days.collect()[0].asDict()


def write_training_set(examples: DataFrame, facts: dict[str, object], output: str) -> None:
    """Write the examples, then the facts: a folder without them is not finished."""
    spark = examples.sparkSession
    # Spark's default, INT96, loses the time zone for every reader except Spark.
    spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    examples.write.parquet(output)
    HadoopFiles(spark).write(f"{output}/{FACTS_FILE}", json.dumps(facts, indent=2, default=str))


def main(
    sessions: Annotated[str, typer.Option(help="table of sessions: risk.install_sessions")],
    labels: Annotated[str, typer.Option(help="folder of labels: hdfs://…/landing/labels")],
    training_date: Annotated[
        date,
        typer.Option(
            parser=date.fromisoformat, metavar="YYYY-MM-DD", help="labels observed later are left out"
        ),
    ],
    output: Annotated[
        str, typer.Option(help="folder to write: hdfs://…/training_sets/training_date=…/<run>")
    ],
    landing_root: Annotated[str, typer.Option(help="folder of the landing days: hdfs://…/landing/installs")],
    receipts_root: Annotated[
        str, typer.Option(help="folder of receipts: hdfs://…/receipts/extract_sessions")
    ],
    lookback_days: Annotated[
        int, typer.Option(min=1, help="landing days that an example looks back over, as_of's included")
    ] = LOOKBACK_DAYS,
    max_sequence_length: Annotated[
        int, typer.Option(min=1, help="installs to keep of each user, the last ones")
    ] = MAX_SEQUENCE_LENGTH,
) -> None:
    """Build the training set of one date; a rerun replaces the output folder."""
    spark = SparkSession.builder.appName(f"build_training_set {training_date}").getOrCreate()
    ensure_tables(spark)
    files = HadoopFiles(spark)
    files.delete(output)

    all_labels = read_labels(spark, labels)
    observed = keep_observed(all_labels, training_date)
    usable = keep_last_observed(observed).persist()
    as_of_days = find_as_of_days(usable)
    if as_of_days is None:
        raise NothingToLearnError(
            f"none of {all_labels.count()} labels was observed by {training_date}: "
            "choose a later training date, or deliver labels that were observed earlier"
        )

    window = DayRange(as_of_days.first - timedelta(days=lookback_days - 1), as_of_days.last)
    require_receipts(files, landing_root, receipts_root, window)
    snapshot_id = current_snapshot(spark, sessions)
    at_snapshot = spark.sql(f"SELECT * FROM {CATALOG}.{sessions} VERSION AS OF {snapshot_id}")
    seen = keep_landed_in(at_snapshot, window)
    examples = build_examples(seen, usable, lookback_days, max_sequence_length).persist()

    landing_days = find_landing_days(seen)
    counts = count_labels(all_labels, observed, usable, examples)
    counts.check(
        f"training date {training_date}, as_of {as_of_days}, sessions landed "
        f"{landing_days['first_landing_day']} to {landing_days['last_landing_day']}"
    )
    source = {"table": sessions, "snapshot_id": snapshot_id, **landing_days, "training_date": training_date}
    write_training_set(examples, {**source, **asdict(counts)}, output)
    logger.info("%s: %s", output, counts)


if __name__ == "__main__":
    run_job(main)
