"""Write a day's rows to a branch of an Iceberg table, and move `main` to them in one step.

In   risk.user_sequences/ds=2026-01-31, its rows, the snapshot that the job saw when it began
Out  the rows are the day's rows on `main`, or nothing has changed for readers:

    BranchingOffError      the table would show rows to readers at once
    PartitionChangedError  another job wrote the day meanwhile

`main` is moved by a change of references alone, never by a commit of rows. If the answer to a commit of rows
is lost, Iceberg 1.12 commits again (`SnapshotProducer.commit`). It then moves the branch back to this
snapshot, whatever was committed in between. Or, where a check fails now because of the job's own rows, it
deletes the files of the snapshot that it has committed, and the table cannot be read any more. On a branch of
its own the first is harmless, and there are no checks. A change of references writes no files and is not
repeated.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import uuid4

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, IllegalArgumentException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random_exponential

from jobs.errors import DataError
from jobs.lake.clock import check_clock
from jobs.lake.hadoop_files import HadoopFiles
from jobs.lake.receipts import DayRange

BRANCH_SETTING = "spark.wap.branch"
BRANCHING = ("write.wap.enabled", "true")
MAIN = "main"
# Several dates move `main` at once; a move takes a tenth of a second.
MOST_MOVES = 60


class BranchingOffError(DataError):
    """The table would show rows to readers at once."""


class TableDamagedError(DataError):
    """The catalog knows the table, but a file that describes it is gone."""


class PartitionChangedError(Exception):
    """Another job wrote the partition meanwhile; a retry reads what is there now."""


class MovedMeanwhileError(Exception):
    """Another job moved `main` first; to be tried again on top of it."""


def is_lost_race(error: BaseException) -> bool:
    """Return whether another job has changed the table first, or the answer to this job's change was lost."""
    if isinstance(error, Py4JJavaError):
        return bool(error.java_exception.getClass().getSimpleName() == "CommitFailedException")
    if isinstance(error, IllegalArgumentException):  # Iceberg looks at `main` once more before it moves it
        return "Cannot fast-forward" in str(error)
    return isinstance(error, MovedMeanwhileError)


until_it_wins = retry(
    retry=retry_if_exception(is_lost_race),
    wait=wait_random_exponential(multiplier=0.1, max=2),
    stop=stop_after_attempt(MOST_MOVES),
    reraise=True,
)


@dataclass(frozen=True)
class DataFile:
    """A file below a table, as Iceberg recorded it when it was written."""

    path: str
    size: int  # bytes
    rows: int


class LakeTable:
    """An Iceberg table, through Iceberg's own classes in Spark's JVM.

    Source: https://iceberg.apache.org/docs/latest/java-api-quickstart/
    """

    def __init__(self, spark: SparkSession, name: str) -> None:
        self._spark = spark
        jvm: Any = spark._jvm
        self._iceberg = jvm.org.apache.iceberg
        self.name = name
        # Iceberg looks the catalog up in the session of the thread, which a new thread has not.
        jvm.SparkSession.setActiveSession(spark._jsparkSession)
        # Says why a catalog cannot be loaded, such as a refused password. Without it the next call looks in
        # Spark's own catalog, whose error names another thing.
        spark._jsparkSession.sessionState().catalogManager().catalog(name.split(".")[0])
        with naming_missing_metadata(name):
            self._table: Any = self._iceberg.spark.Spark3Util.loadIcebergTable(spark._jsparkSession, name)

    def refresh(self) -> None:
        self._table.refresh()

    def head(self, branch: str) -> int | None:
        """Id of the snapshot that a branch points to; None if there is none."""
        reference = self._table.refs().get(branch)
        return None if reference is None else int(reference.snapshotId())

    def parent(self, snapshot_id: int) -> int | None:
        parent = self._table.snapshot(snapshot_id).parentId()
        return None if parent is None else int(parent)

    def knows(self, snapshot_id: int) -> bool:
        """Whether the snapshot has not expired."""
        return self._table.snapshot(snapshot_id) is not None

    def files(self, ds: date, snapshot_id: int | None) -> frozenset[str]:
        """Paths of a day's data files in a snapshot; none where there is no snapshot."""
        return frozenset(file.path for file in self.data_files(DayRange(ds, ds), snapshot_id))

    def data_files(self, days: DayRange, snapshot_id: int | None) -> list[DataFile]:
        """List the data files of some days in a snapshot; none where there is no snapshot."""
        if snapshot_id is None:
            return []
        expressions = self._iceberg.expressions.Expressions
        not_before = expressions.greaterThanOrEqual("ds", days.first.isoformat())
        not_after = expressions.lessThanOrEqual("ds", days.last.isoformat())
        tasks = (
            self._table.newScan().useSnapshot(snapshot_id).filter(not_before).filter(not_after).planFiles()
        )
        try:
            return [
                DataFile(str(file.location()), int(file.fileSizeInBytes()), int(file.recordCount()))
                for file in (task.file() for task in each(tasks))
            ]
        finally:
            tasks.close()

    def schemas(self) -> frozenset[str]:
        """Columns that the table has or had, with their ids: `struct<1: user_id: optional string, …>`."""
        return frozenset(describe_columns(schema) for schema in self._table.schemas().values())

    def columns(self) -> dict[str, str]:
        """Names of the columns and their types, as Spark writes them: "app_ids" -> "array<string>"."""
        schema = self._iceberg.spark.SparkSchemaUtil.convert(self._table.schema()).json()
        fields = StructType.fromJson(json.loads(schema))
        return {field.name: field.dataType.simpleString() for field in fields}

    def allow_branching(self) -> None:
        """Let writes go to branches; tables of earlier versions did without."""
        name, value = BRANCHING
        if self._table.properties().get(name) != value:
            self._table.updateProperties().set(name, value).commit()

    def check_branching(self) -> None:
        """Check that Spark writes to branches.

        Raises:
            BranchingOffError: without the table property, Spark ignores the branch and writes to `main`.
        """
        name, value = BRANCHING
        if self._table.properties().get(name) != value:
            raise BranchingOffError(
                f"{self.name} needs the table property {name}={value}, without which readers see rows before "
                "their audit: set it first"
            )

    def write(self, frame: DataFrame, ds: date, branch: str, properties: dict[str, str]) -> int:
        """Replace a day's rows on a branch, which is made from `main`; return the branch's snapshot.

        Args:
            properties: of the snapshot, such as the id under which it is staged.

        Raises:
            BranchingOffError, ClockSkewError: nothing is written.
        """
        self.check_branching()
        check_clock(HadoopFiles(self._spark), self._table.location())
        with writing_to_branch(self._spark, branch):
            writer = frame.withColumn("ds", F.lit(ds)).writeTo(self.name)
            for name, value in properties.items():
                writer = writer.option(f"snapshot-property.{name}", value)
            # A static filter: a dynamic overwrite by an empty frame would leave the old rows in place.
            writer.overwrite(F.col("ds") == F.lit(ds))
        self.refresh()
        written = self.head(branch)
        if written is None:
            raise BranchingOffError(f"{self.name}: the rows of {ds} were written past the branch {branch!r}")
        return written

    @until_it_wins
    def move_main(self, ds: date, branch: str, since: int | None, properties: dict[str, str]) -> None:
        """Make the branch's rows of the day the day's rows on `main`, and drop the branch.

        Args:
            since: the snapshot from which on nobody else may have written the day.

        Raises:
            PartitionChangedError: somebody has; `main` and the branch stay as they are.
        """
        self.refresh()
        main, staged = self.head(MAIN), self.head(branch)
        if staged is None:
            return  # an earlier try has moved `main` and dropped the branch, and its answer was lost
        now = self.files(ds, main)
        if now == self.files(ds, staged):
            self.drop(branch)
            return
        if now != self.files(ds, since):
            raise PartitionChangedError(
                f"{self.name}/ds={ds} was written by another job after this one had begun with snapshot "
                f"{since}: nothing is replaced; run this job again"
            )
        if self.parent(staged) == main:
            self._move(branch, branch)
        else:
            self._move(branch, self._copy_onto_main(ds, staged, main, properties))

    def _copy_onto_main(self, ds: date, staged: int, main: int | None, properties: dict[str, str]) -> str:
        """Commit the day's files of a snapshot again, on a new branch from `main`; return its name."""
        copy = f"copy-of-{staged}-{uuid4().hex}"
        overwrite = self._table.newOverwrite().overwriteByRowFilter(self._day(ds)).toBranch(copy)
        for file in each(self._table.snapshot(staged).addedDataFiles(self._table.io())):
            overwrite.addFile(file)
        for name, value in properties.items():
            overwrite.set(name, value)
        overwrite.commit()
        self.refresh()
        committed = self.head(copy)
        if committed is None or self.parent(committed) != main:
            self.drop(copy)
            raise MovedMeanwhileError(self.name)
        return copy

    def _move(self, branch: str, target: str) -> None:
        """Move `main` forward to `target`, the branch or its copy, and drop both, in one change."""
        try:
            change = self._table.manageSnapshots().fastForwardBranch(MAIN, target)
            for done_with in {branch, target}:
                change = change.removeBranch(done_with)
            change.commit()
        except (Py4JJavaError, IllegalArgumentException):
            if target != branch:
                self.drop(target)
            raise

    @until_it_wins
    def drop(self, branch: str) -> None:
        """Drop a branch; no error if there is none."""
        self.refresh()
        if self.head(branch) is not None:
            self._table.manageSnapshots().removeBranch(branch).commit()

    def _day(self, ds: date) -> Any:
        return self._iceberg.expressions.Expressions.equal("ds", ds.isoformat())


@contextmanager
def naming_missing_metadata(name: str) -> Iterator[None]:
    """Turn Iceberg's failure to find a table's metadata file into an error that says what to do.

    Raises:
        TableDamagedError: the file is gone; an outage of the file system is another error.
    """
    try:
        yield
    except Py4JJavaError as error:
        if error.java_exception.getClass().getSimpleName() != "NotFoundException":
            raise
        raise TableDamagedError(
            f"expected the files of {name} that the catalog names, found none: "
            f"{error.java_exception.getMessage()}. Bring the file back, or copy the newest metadata file that is "
            "left to its name, which undoes the last change (docs/operations.md); nothing was written"
        ) from error


def describe_columns(schema: Any) -> str:
    """Write the columns of Iceberg's `Schema` with their ids: `struct<1: user_id: optional string, …>`.

    All are written as optional: Spark writes a file's column as required if the frame says so, whatever the
    table says.
    """
    return str(schema.asStruct().toString()).replace(": required ", ": optional ")


def open_table(spark: SparkSession, name: str) -> LakeTable | None:
    """Open a table as it is now; None if there is no such table."""
    try:
        table = LakeTable(spark, name)
    except AnalysisException as error:
        if error.getCondition() in ("TABLE_OR_VIEW_NOT_FOUND", "SCHEMA_NOT_FOUND"):
            return None
        raise
    table.refresh()
    return table


@contextmanager
def writing_to_branch(spark: SparkSession, branch: str) -> Iterator[None]:
    """Send every write of this session to a table with branching to `branch`."""
    # Iceberg 1.12 has no such option of a single write.
    spark.conf.set(BRANCH_SETTING, branch)
    try:
        yield
    finally:
        spark.conf.unset(BRANCH_SETTING)


def each(iterable: Any) -> Iterator[Any]:
    """Go through a Java Iterable, which py4j does not make one of Python's."""
    entries = iterable.iterator()
    while entries.hasNext():
        yield entries.next()
