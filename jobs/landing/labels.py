"""Read labels; one malformed label refuses them all, since a wrong label teaches a wrong model.

In   landing/labels/*.csv or *.parquet   u1,1,2026-01-31,2026-03-02T09:00:00Z
Out  user_id "u1", label 1, as_of 2026-01-31 00:00 UTC, observed_at 2026-03-02 09:00 UTC

A time is written as in installs, or as a date, which means its first moment in UTC.
"""

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.errors import DataError
from jobs.lake.hadoop_files import HadoopFiles
from jobs.landing.event_time import EARLIEST_EVENT, parse_event_time
from jobs.landing.files import Fields, list_data_files
from jobs.landing.rows import read_rows
from jobs.landing.unreadable import naming_unreadable_files

LABEL_FIELDS = Fields(required=("user_id", "label", "as_of", "observed_at"), ids=("user_id",))
DATE = r"^\d{4}-\d{2}-\d{2}$"
# pandas writes a column of integers with gaps as 0.0 and 1.0.
LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}


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
    label = F.lit(None).cast("int")
    for written, value in LABELS.items():
        label = F.when(text == written, F.lit(value)).otherwise(label)
    return label


def parse_moment(text: Column) -> Column:
    return parse_event_time(F.when(text.rlike(DATE), F.concat(text, F.lit("T00:00:00Z"))).otherwise(text))


def first_flaw() -> Column:
    """Describe the first flaw of a label; null if it has none."""
    return (
        F.when(~F.col("readable"), "unparseable")
        .when(F.col("user_id").isNull() | (F.col("user_id") == ""), "user_id is missing")
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


def check_labels(labels: DataFrame) -> None:
    """Raise MalformedLabelsError, with their number and an example, if `parse_labels` found flaws."""
    flawed = labels.where(F.col("flaw").isNotNull())
    example = flawed.orderBy("file", "raw").select("file", "raw", "flaw").first()
    if example is not None:
        raise MalformedLabelsError(
            f"{flawed.count()} malformed labels; for example {example.file}: {example.raw}: {example.flaw}; "
            "expected user_id,label,as_of,observed_at such as u1,1,2026-01-31,2026-03-02T09:00:00Z"
        )


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


def read_labels(spark: SparkSession, folder: str) -> DataFrame:
    """Read and check a folder's labels; the frame is cached.

    Raises:
        LabelsMissingError: there is no such folder.
        UnreadableFileError: a file is not CSV or Parquet, or lacks a column of labels.
        MalformedLabelsError: a row does not follow the contract.
    """
    try:
        landed = list_data_files(HadoopFiles(spark), folder)
    except FileNotFoundError as error:
        raise LabelsMissingError(
            f"{folder} does not exist: expected a folder of CSV or Parquet files"
        ) from error
    with naming_unreadable_files(landed):
        labels = parse_labels(read_rows(spark, landed, LABEL_FIELDS)).persist()
        check_labels(labels)
    return labels
