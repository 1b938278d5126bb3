"""Write, audit, publish: stage scores on a branch that no reader sees, then make them visible in one step.

In   risk.risk_scores/ds=2026-01-31, its rows, and a write-audit-publish id: nightly-2026-01-31-1
Out  a branch of the table, named by the id, with one snapshot 2819138466029160431; after `publish` its rows
     are the day's rows on `main`, which readers see, and the branch is gone

    WapIdTakenError    scores are already staged under the id
    NotStagedError     no branch carries the id
    StalePublishError  another run replaced the day's published scores after these were staged

Source: https://iceberg.apache.org/docs/latest/branching/
"""

from datetime import date

from pyspark.sql import DataFrame, SparkSession

from jobs.errors import DataError
from jobs.lake.branches import PartitionChangedError
from jobs.lake.receipts import DayRange
from jobs.lake.tables import CATALOG, TablePartition, read_days

# A property of the staged snapshot, and of the one that publishes it.
WAP_ID_PROPERTY = "wap.id"


class WapIdTakenError(DataError):
    """Scores are already staged under this id: a second snapshot would replace what is being audited."""


class NotStagedError(DataError):
    """No branch of the table carries the write-audit-publish id."""


class StalePublishError(DataError):
    """The published scores of the day changed after these were staged."""


def check_wap_id(spark: SparkSession, scores: TablePartition, wap_id: str) -> None:
    """Check that the id names no other scores.

    Raises:
        WapIdTakenError: there is a branch of that name.
    """
    staged = scores.open(spark).head(wap_id)
    if staged is not None:
        raise WapIdTakenError(
            f"scores are already staged in {scores.table} under wap id {wap_id!r} (snapshot {staged}): "
            "give every attempt its own id, such as run id and try number"
        )


def stage_rows(frame: DataFrame, scores: TablePartition, wap_id: str) -> int:
    """Write the day's scores to a branch named `wap_id`, and return its snapshot."""
    return scores.open(frame.sparkSession).write(frame, scores.ds, wap_id, {WAP_ID_PROPERTY: wap_id})


def find_staged_snapshot(spark: SparkSession, scores: TablePartition, wap_id: str) -> int:
    """Find the snapshot staged under `wap_id`.

    Raises:
        NotStagedError: no branch carries the id.
    """
    staged = scores.open(spark).head(wap_id)
    if staged is None:
        raise NotStagedError(
            f"no branch of {scores.table} is named {wap_id!r}: score_users did not finish under that wap id, "
            "or its branch was dropped; score the day again"
        )
    return staged


def find_published_wap_id(spark: SparkSession, scores: TablePartition) -> str | None:
    """Find the wap id under which the day's visible scores were staged.

    Returns:
        None if the day has no scores, or the snapshot that published them has expired.
    """
    spark.catalog.refreshTable(scores.name)
    row = spark.sql(
        f"SELECT s.summary['{WAP_ID_PROPERTY}'] AS wap_id "
        f"FROM {scores.name}.entries e JOIN {scores.name}.snapshots s "
        "ON e.snapshot_id = s.snapshot_id WHERE e.status < 2 AND e.data_file.partition.ds = :ds",
        args={"ds": scores.ds},
    ).first()
    return None if row is None else row.wap_id


def count_written_rows(spark: SparkSession, table: str, snapshot_id: int) -> dict[date, int]:
    """Count the rows that this snapshot adds to each day, from the table's metadata."""
    added = spark.sql(
        f"SELECT data_file.partition.ds AS ds, sum(data_file.record_count) AS written "
        f"FROM {CATALOG}.{table}.entries VERSION AS OF {snapshot_id} "
        f"WHERE snapshot_id = {snapshot_id} AND status = 1 GROUP BY 1"
    )
    return {row.ds: int(row.written) for row in added.collect()}


def read_staged(spark: SparkSession, scores: TablePartition, snapshot_id: int) -> DataFrame:
    """Read the day as readers will see it after the snapshot is published.

    Raises:
        TableDamagedError: a file below it is not as it was written.
    """
    return read_days(spark, scores.table, DayRange(scores.ds, scores.ds), snapshot_id)


def publish(spark: SparkSession, scores: TablePartition, wap_id: str, snapshot_id: int) -> None:
    """Make the audited snapshot of the branch `wap_id` visible, and drop the branch.

    Other days may be published at the same moment.

    Raises:
        StalePublishError: nothing changes for readers, and the branch stays.
    """
    table = scores.open(spark)
    staged = table.head(wap_id)
    if staged is None and find_published_wap_id(spark, scores) == wap_id:
        return
    if staged != snapshot_id:
        raise StalePublishError(
            f"expected snapshot {snapshot_id} of {scores.table} on the branch {wap_id!r}, found {staged}: it "
            "was staged again or dropped after its audit; score the day again"
        )
    staged_on = table.parent(snapshot_id)
    try:
        if staged_on is not None and not table.knows(staged_on):
            raise PartitionChangedError(f"snapshot {staged_on}, on which it was staged, has expired")
        table.move_main(scores.ds, wap_id, staged_on, {WAP_ID_PROPERTY: wap_id})
    except PartitionChangedError as error:
        raise StalePublishError(
            f"CONFLICT: {scores} was replaced after wap id {wap_id!r} was staged, and readers see the scores "
            f"of wap id {find_published_wap_id(spark, scores)!r}; these stay on their branch, score the day "
            f"again if they are the right ones ({error})"
        ) from error
