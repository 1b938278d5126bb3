"""Say what the pipeline would do with install logs and labels, without a cluster: `make check-data`.

In   installs in folders ds=YYYY-MM-DD/, in a flat folder or in one file; labels in a folder or in one file
Out  on the terminal: rows accepted and rejected with reasons, gaps between days, labels that make no example
     exit status 65 if anything would be refused; the last line says why

Rows and labels are read and judged by the code of `extract_sessions` and `build_training_set`, on a Spark in
this process.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer
from pyspark.sql import DataFrame, SparkSession

from jobs.command import parse_share, run_job
from jobs.data_check import page
from jobs.data_check.installs import (
    DayCounts,
    count_copies,
    count_days,
    count_rejected,
    judge_delivery,
    keep_installs,
)
from jobs.data_check.labels import choose_training_date, examine_labels, find_label_days
from jobs.errors import DataError, WrongArgumentsError
from jobs.lake.hadoop_files import HadoopFiles
from jobs.lake.user_sequences import LOOKBACK_DAYS
from jobs.landing.delivery import Delivery, check_names, find_delivery
from jobs.landing.event_rules import FIELDS, MAX_BAD_SHARE
from jobs.landing.labels import list_label_files, read_labels
from jobs.landing.rows import reading_alone
from jobs.landing.unreadable import naming_unreadable_files


class RefusedFilesError(DataError):
    """The pipeline would refuse these files."""


@dataclass(frozen=True)
class Plan:
    """What the demo lands, and when it trains: paths and days as text."""

    days: dict[str, list[str]]  # files of each landing day
    history_days: list[str]  # landing days that bring a history at once
    labels: list[str]
    training_date: str


def local_session() -> SparkSession:
    """Start Spark in this process, on all cores."""
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    return (
        SparkSession.builder.master("local[*]")
        .appName("check_data")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "2g")
        # 650,000 rows took 48 s of processor time with the quick compiler alone, 63 s with both.
        .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        .config("spark.log.level", "ERROR")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "4")
        .getOrCreate()
    )


def to_uri(place: str) -> str:
    """Write a local path as a URI for Hadoop; a URI stays as it is."""
    return place if "://" in place else f"file:{Path(place).expanduser().absolute()}"


def to_path(uri: str) -> str:
    return uri.removeprefix("file:")


@contextmanager
def collecting(refused: list[str]) -> Iterator[None]:
    """Add the message of a DataError to `refused` and go on, so that one run shows all that is wrong."""
    try:
        yield
    except DataError as error:
        refused.append(page.printable(str(error)))


def say(*lines: str) -> None:
    print(*map(page.printable, lines), sep="\n", flush=True)


def check_installs(spark: SparkSession, delivery: Delivery, today: date) -> tuple[DataFrame, list[DayCounts]]:
    """Print what would become of the rows; return the installs, and the counts of each landing day in order.

    Raises:
        UnreadableFileError, NoEventsError: the extraction would fail.
    """
    with naming_unreadable_files(delivery.files, reading_alone(spark, FIELDS)):
        judged = judge_delivery(spark, delivery, today)
        events = count_copies(judged).persist()
        counts = count_days(judged, events, sorted(delivery.days))
        say(*page.describe_delivery(delivery, [day.ds for day in counts]))
        say(*page.describe_rows(counts, count_rejected(judged)), "")
    return keep_installs(events), counts


def check_bad_shares(counts: list[DayCounts], max_bad_share: float) -> None:
    """Raise RefusedFilesError if more rows of a day are bad than an extraction allows."""
    bad = [day for day in counts if day.rejected > max_bad_share * day.landed]
    if bad:
        first = bad[0]
        raise RefusedFilesError(
            f"on {len(bad)} of {len(counts)} landing days more than {max_bad_share:.1%} of the rows are rejected; "
            f"on {first.ds} {first.rejected} of {first.landed}: repair them as said beside their reasons"
        )


def check(
    spark: SparkSession, installs: str, labels: str, max_bad_share: float, lookback_days: int, today: date
) -> Plan:
    """Print what would become of local files, or of files on the cluster; `today` is the UTC day.

    Raises:
        RefusedFilesError: everything that would be refused.
    """
    files = HadoopFiles(spark)
    refused: list[str] = []
    say(f"installs in {installs}")
    with collecting(refused):
        delivery = find_delivery(files, to_uri(installs))
        check_names(delivery.files)
        accepted, counts = check_installs(spark, delivery, today)
        with collecting(refused):
            check_bad_shares(counts, max_bad_share)
    say(f"labels in {labels}")
    with collecting(refused):
        label_files = list_label_files(files, to_uri(labels))
        check_names(label_files)
        landed_labels = read_labels(spark, to_uri(labels))
        say(*page.describe_labels(find_label_days(landed_labels)))
    if not refused:
        days = [day.ds for day in counts]
        history_days = days if delivery.history else sorted(delivery.history_days)
        with collecting(refused):
            training_date = choose_training_date(landed_labels, history_days, today)
            findings = examine_labels(accepted, landed_labels, training_date, lookback_days, history_days)
            say(*page.describe_findings(findings, training_date))
            findings.check(training_date)
    if refused:
        raise RefusedFilesError("; ".join(refused))
    say("", "Nothing would be refused.")
    landed = delivery.days or {days[0]: delivery.history}
    return Plan(
        days={str(day): [to_path(file.uri) for file in landed[day]] for day in days},
        history_days=[str(day) for day in history_days],
        labels=[to_path(file.uri) for file in label_files],
        training_date=str(training_date),
    )


def check_plan(plan: Path, inputs: Sequence[str]) -> None:
    """Raise WrongArgumentsError if the plan would be written over an input or into its folder."""
    place = plan.expanduser().resolve()
    for read in inputs:
        other = Path(to_path(to_uri(read))).resolve()
        if other == place or other in place.parents:
            raise WrongArgumentsError(
                f"the plan {plan} equals or lies in {read}, which is only read: expected a file apart from it"
            )


def main(
    installs: Annotated[str, typer.Option(help="folder of ds=YYYY-MM-DD/ folders, flat folder, or one file")],
    labels: Annotated[str, typer.Option(help="folder of labels, or one file")],
    max_bad_share: Annotated[
        float,
        typer.Option(
            parser=parse_share, metavar="SHARE", help="largest share of bad rows in a day's delivery"
        ),
    ] = MAX_BAD_SHARE,
    lookback_days: Annotated[
        int, typer.Option(min=1, help="landing days that an example looks back over, as_of's included")
    ] = LOOKBACK_DAYS,
    plan: Annotated[
        Path | None, typer.Option(help="file to write for the demo: what to land, and when to train")
    ] = None,
) -> None:
    """Print what would become of installs and labels; exit status 65 if anything would be refused."""
    today = datetime.now(UTC).date()
    if plan:
        check_plan(plan, [installs, labels])
    planned = check(local_session(), installs, labels, max_bad_share, lookback_days, today)
    if plan:
        plan.write_text(json.dumps(asdict(planned)))


if __name__ == "__main__":
    run_job(main)
