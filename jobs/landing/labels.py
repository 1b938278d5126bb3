"""Read labels; one malformed label refuses them all, since a wrong label teaches a wrong model.

In   landing/labels/*.csv, *.parquet or *.jsonl   u1,1,2026-01-31,2026-03-02T09:00:00Z
Out  user_id "u1", label 1, as_of 2026-01-31 00:00 UTC, observed_at 2026-03-02 09:00 UTC

A time is written as in installs, or as a date, which means its first moment in UTC.
"""

from datetime import date
from typing import NamedTuple

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.errors import DataError
from jobs.lake.hadoop_files import HadoopFiles
from jobs.landing.event_rules import LONGEST_USER_ID, SPACE_AROUND, holds_control_character, is_missing
from jobs.landing.event_time import EARLIEST_EVENT, parse_event_time
from jobs.landing.files import Fields, LandedFile, list_data_files
from jobs.landing.rows import read_rows, reading_alone
from jobs.landing.unreadable import naming_unreadable_files

LABEL_FIELDS = Fields(required=("user_id", "label", "as_of", "observed_at"), ids=("user_id",))
DATE = r"^\d{4}-\d{2}-\d{2}$"
# pandas writes a column of integers with gaps as 0.0 and 1.0, and a decimal column has its zeros written out.
LABEL = r"^[01](\.0+)?$"
EXAMPLE_LENGTH = 200  # characters of a malformed label that an error shows


class MalformedLabelsError(DataError):
    """A label row does not follow the contract."""


class ConflictingLabelsError(DataError):
    """A user has label 0 and label 1 for the same moment, observed at the same moment."""


class LabelsMissingError(DataError):
    """There is no folder of labels."""


def parse_labels(rows: DataFrame) -> DataFrame:
    """Parse rows of text.

    Returns:
        file, raw, user_id, label (int), as_of, observed_at, and `flaw`: null for a good row.
    """
    parsed = rows.select(
        "file",
        "raw",
        "readable",
        "user_id",
        parse_label(F.col("label")).alias("label"),
        parse_moment(F.col("as_of")).alias("as_of"),
        parse_moment(F.col("observed_at")).alias("observed_at"),
    )
    return parsed.withColumn("flaw", first_flaw()).drop("readable")


def parse_label(text: Column) -> Column:
    """Parse 0 and 1; anything else, such as 0.73, is null."""
    return F.when(text.rlike(LABEL), F.substring(text, 1, 1).cast("int"))


def parse_moment(text: Column) -> Column:
    return parse_event_time(F.when(text.rlike(DATE), F.concat(text, F.lit("T00:00:00Z"))).otherwise(text))


def first_flaw() -> Column:
    """Describe the first flaw of a label; null if it has none."""
    return (
        F.when(~F.col("readable"), "unparseable")
        .when(is_missing("user_id"), "user_id is missing")
        .when(F.char_length("user_id") > LONGEST_USER_ID, f"user_id is over {LONGEST_USER_ID} characters")
        .when(holds_control_character("user_id"), "user_id has a control character")
        .when(F.col("user_id").rlike(SPACE_AROUND), "user_id begins or ends with white space")
        .when(F.col("label").isNull(), "label is neither 0 nor 1")
        .when(F.col("as_of").isNull(), "as_of is neither a date nor a time with zone")
        .when(F.col("observed_at").isNull(), "observed_at is neither a date nor a time with zone")
        .when(
            F.col("as_of") < F.lit(EARLIEST_EVENT),
            "as_of is before 1971; are these seconds, not milliseconds?",
        )
        # Otherwise a training set built today could hold what lands tomorrow.
        .when(F.to_date("observed_at") < F.to_date("as_of"), "observed_at is before the day of as_of")
    )


class Flaw(NamedTuple):
    """A flaw of labels, the number of labels that have it, and one of them."""

    flaw: str
    labels: int
    file: str
    raw: str  # the first characters of the label as landed


def count_flaws(labels: DataFrame) -> list[Flaw]:
    """Count each flaw that `parse_labels` found, the most frequent first."""
    # Cut before anything is compared or collected: one line may have gigabytes.
    raw = F.substring("raw", 1, EXAMPLE_LENGTH)
    flawed = labels.where(F.col("flaw").isNotNull()).select(
        "flaw", F.struct("file", raw.alias("raw")).alias("row")
    )
    counted = flawed.groupBy("flaw").agg(F.count("*").alias("labels"), F.min("row").alias("example"))
    rows = counted.orderBy(F.desc("labels"), "flaw").collect()  # one row per flaw at most
    return [Flaw(row.flaw, row.labels, row.example.file, row.example.raw) for row in rows]


def check_labels(labels: DataFrame) -> None:
    """Raise MalformedLabelsError, with each flaw's number and an example, if `parse_labels` found flaws."""
    flaws = count_flaws(labels)
    if flaws:
        counts = ", ".join(f"{flaw.flaw} ({flaw.labels})" for flaw in flaws)
        raise MalformedLabelsError(
            f"{sum(flaw.labels for flaw in flaws)} malformed labels: {counts}; "
            f"for example {flaws[0].file}: {flaws[0].raw}; "
            "expected user_id,label,as_of,observed_at such as u1,1,2026-01-31,2026-03-02T09:00:00Z"
        )


def keep_observed(labels: DataFrame, training_date: date) -> DataFrame:
    """Keep the labels that were observed by the end of the training date, UTC."""
    return labels.where(F.to_date("observed_at") <= F.lit(training_date))


def keep_last_observed(labels: DataFrame) -> DataFrame:
    """Keep one label for each user_id and as_of, the one observed last.

    Raises:
        ConflictingLabelsError: a user has both labels for one as_of and one observed_at.
    """
    observations = labels.groupBy("user_id", "as_of", "observed_at").agg(
        F.max("label").alias("label"), (F.min("label") != F.max("label")).alias("is_conflict")
    )
    conflict = (
        observations.where("is_conflict")
        .select("user_id", F.col("as_of").cast("string"), F.col("observed_at").cast("string"))
        .orderBy("user_id", "as_of")
        .first()
    )
    if conflict is not None:
        raise ConflictingLabelsError(
            f"user {conflict.user_id} has label 0 and label 1 as of {conflict.as_of} UTC, "
            f"both observed at {conflict.observed_at} UTC; expected one of them: remove the wrong one"
        )
    return observations.groupBy("user_id", "as_of").agg(F.max_by("label", "observed_at").alias("label"))


def list_label_files(files: HadoopFiles, folder: str) -> list[LandedFile]:
    """List the label files of a folder, or one file.

    Raises:
        LabelsMissingError: there is no such folder.
        UnreadableFileError: a file is not named like JSON Lines, CSV or Parquet.
    """
    try:
        return list_data_files(files, folder)
    except FileNotFoundError as error:
        raise LabelsMissingError(
            f"{folder} does not exist: expected a folder of CSV, Parquet or JSON Lines files"
        ) from error


def read_labels(spark: SparkSession, folder: str) -> DataFrame:
    """Read and check the labels of a folder, or of one file; the frame is cached.

    Raises:
        LabelsMissingError: there is no such folder.
        UnreadableFileError: a file is not JSON Lines, CSV or Parquet, or lacks a column of labels.
        MalformedLabelsError: a row does not follow the contract.
    """
    landed = list_label_files(HadoopFiles(spark), folder)
    with naming_unreadable_files(landed, reading_alone(spark, LABEL_FIELDS)):
        labels = parse_labels(read_rows(spark, landed, LABEL_FIELDS)).persist()
        check_labels(labels)
    return labels
