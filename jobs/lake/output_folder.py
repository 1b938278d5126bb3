"""An output folder that a job writes beside its place and then moves there.

In   hdfs://…/training_sets/training_date=2026-03-31/run-1, and the name of a file that only an output has
Out  the folder, new or replaced in one step; nothing that the job did not write is ever deleted
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from uuid import uuid4

from jobs.errors import DataError
from jobs.lake.hadoop_files import HadoopFiles

# Spark's own names of what it writes into a folder.
SPARK_FILE = re.compile(r"_SUCCESS|part-[\w.-]+\.parquet")


class OutputFolderError(DataError):
    """The output folder holds something else, or overlaps an input."""


class OutputFolder:
    """A folder to write; `proof` is the name of a file that only the job's own output holds."""

    def __init__(self, files: HadoopFiles, uri: str, proof: str) -> None:
        self._files, self._proof = files, proof
        self.uri = files.qualify(uri).rstrip("/")

    def check(self, inputs: Sequence[str]) -> None:
        """Check the place before any work.

        Raises:
            OutputFolderError: the folder equals, holds or lies in one of `inputs`, or there is something at
                its place that the job did not write.
        """
        place = path_of(self.uri)
        for read in inputs:
            other = path_of(self._files.qualify(read))
            if place == other or place in other.parents or other in place.parents:
                raise OutputFolderError(
                    f"the output {self.uri} equals, holds or lies in {read}, which is not to be written: "
                    "expected a folder apart from it"
                )
        self._is_earlier_output()

    @contextmanager
    def replaced(self) -> Iterator[str]:
        """Yield a folder to write to; at the end of the block it takes the place of an earlier output.

        If the block fails, the earlier output stays as it was.

        Raises:
            OutputFolderError: see `check`; somebody may have written there since.
        """
        parent, name = self.uri.rsplit("/", 1)
        staged = f"{parent}/.{name}.{uuid4().hex}"
        try:
            yield staged
            if self._is_earlier_output():
                self._files.delete(self.uri)
            self._files.move(staged, self.uri)
        finally:
            self._files.delete(staged)

    def _is_earlier_output(self) -> bool:
        """Return whether an earlier output is there; raise OutputFolderError if something else is."""
        try:
            names = {entry.name for entry in self._files.list(self.uri)}
        except FileNotFoundError:
            return False
        foreign = sorted(name for name in names - {self._proof} if not SPARK_FILE.fullmatch(name))
        if foreign or self._proof not in names:
            found = ", ".join(foreign[:3]) if foreign else f"no {self._proof}"
            raise OutputFolderError(
                f"{self.uri} exists and is not replaced, since not all of it is an earlier output; found: "
                f"{found}. Choose another folder, or remove this one yourself"
            )
        return True


def path_of(uri: str) -> PurePosixPath:
    """The path of a full URI: one filesystem may be known by several hosts."""
    return PurePosixPath("/" + re.sub(r"^[a-z]\w*:(//[^/]*)?", "", uri).strip("/"))
