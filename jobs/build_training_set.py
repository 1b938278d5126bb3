"""Build the training set of one date: each label with the installs that were known at its time.

In   landing/labels/            u1,1,2026-01-31,2026-03-02T09:00:00Z
     risk.install_sessions      at one snapshot, which the facts below name
Out  <output>/part-….parquet    u1, 1, 2026-01-31 00:00, ["maps", "chat"], [2026-01-30 10:00:00, …]
     <output>/_training_set.json
         {"table": "risk.install_sessions", "snapshot_id": "8120…", "training_date": "2026-03-31", "examples":
         4000, …}

A label sees only installs that had happened before its `as_of` and had landed by the end of that UTC day. It
is used only if it was observed by the end of the training date. So nothing that was unknown then can leak in.
The folder appears in one step when all of it is written.
"""

import json
import logging
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import typer
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.command import run_job
from jobs.errors import WrongArgumentsError
from jobs.lake.hadoop_files import HadoopFiles
from jobs.lake.labelled_sequences import build_examples
from jobs.lake.output_folder import OutputFolder
from jobs.lake.receipts import DayRange, require_receipts
from jobs.lake.tables import CATALOG, current_snapshot, ensure_tables, read_days
from jobs.lake.user_sequences import LOOKBACK_DAYS, MAX_SEQUENCE_LENGTH
from jobs.landing.history import find_history_days
from jobs.landing.label_counts import NothingToLearnError, count_labels, find_as_of_days
from jobs.landing.labels import keep_last_observed, keep_observed, read_labels
from jobs.training_set.reader import FACTS_FILE

logger = logging.getLogger("build_training_set")


def check_training_date(training_date: date, today: date) -> None:
    """Refuse a date in the future (UTC): labels that land until then would change the training set."""
    if training_date > today:
        raise WrongArgumentsError(
            f"training date {training_date} is in the future, today is {today} UTC: expected today or earlier"
        )


def warehouses(spark: SparkSession) -> list[str]:
    """The folder below which the catalog keeps its tables; none if the catalog alone knows it."""
    folder = spark.conf.get(f"spark.sql.catalog.{CATALOG}.warehouse", None)
    return [folder] if folder else []


def find_landing_days(sessions: DataFrame) -> dict[str, date | None]:
    """Find the first and the last landing day with sessions; both None if there are no sessions."""
    days = sessions.agg(F.min("ds").alias("first_landing_day"), F.max("ds").alias("last_landing_day"))
    return days.collect()[0].asDict()


def write_training_set(examples: DataFrame, facts: dict[str, object], output: OutputFolder) -> None:
    """Write the examples and the facts, and replace the training set that was there."""
    spark = examples.sparkSession
    # Spark's default, INT96, loses the time zone for every reader except Spark.
    spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    with output.replaced() as staged:
        examples.write.parquet(staged)
        HadoopFiles(spark).write(f"{staged}/{FACTS_FILE}", json.dumps(facts, indent=2, default=str))


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
    check_training_date(training_date, datetime.now(UTC).date())
    spark = SparkSession.builder.appName(f"build_training_set {training_date}").getOrCreate()
    files = HadoopFiles(spark)
    folder = OutputFolder(files, output, FACTS_FILE)
    folder.check([labels, landing_root, receipts_root, *warehouses(spark)])
    ensure_tables(spark)

    all_labels = read_labels(spark, labels)
    observed = keep_observed(all_labels, training_date)
    usable = keep_last_observed(observed).persist()
    as_of_days = find_as_of_days(usable)
    if as_of_days is None:
        raise NothingToLearnError(
            f"none of {all_labels.count()} labels was observed by {training_date}: "
            "choose a later training date, or deliver labels that were observed earlier"
        )

    first = as_of_days.first - timedelta(days=lookback_days - 1)
    history_days = find_history_days(files, landing_root, DayRange(first, training_date))
    window = DayRange(first, max([as_of_days.last, *history_days]))
    require_receipts(files, landing_root, receipts_root, window)
    # After the receipts, each of which is written after its sessions.
    snapshot_id = current_snapshot(spark, sessions)
    seen = read_days(spark, sessions, window, int(snapshot_id))
    examples = build_examples(seen, usable, lookback_days, max_sequence_length, history_days).persist()

    landing_days = find_landing_days(seen)
    counts = count_labels(all_labels, observed, usable, examples)
    counts.check(
        f"training date {training_date}, as_of {as_of_days}, sessions landed "
        f"{landing_days['first_landing_day']} to {landing_days['last_landing_day']}"
    )
    source = {
        "table": sessions,
        "snapshot_id": snapshot_id,
        **landing_days,
        "history_days": history_days,
        "training_date": training_date,
    }
    write_training_set(examples, {**source, **asdict(counts)}, folder)
    logger.info("%s: %s", folder.uri, counts)


if __name__ == "__main__":
    run_job(main)
