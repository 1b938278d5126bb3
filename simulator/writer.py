"""One part of a landing day as a file: JSON Lines or CSV, both gzipped, or Parquet.

In   good rows, bad rows with their reasons, and the order of both together
Out  installs/ds=2026-01-01/part-00000.jsonl.gz with lines such as
     {"user_id":"u0000012","app_id":"com.calmotter.lab","event_time":1767225600123,"event_type":"install"}

The same rows give the same bytes: no file holds the time at which it was written.
"""

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from enum import StrEnum
from operator import itemgetter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from simulator.bad_rows import FLAWS, UNPARSEABLE
from simulator.rows import Row

GZIP_LEVEL = 1  # higher levels cost more time than all the rest of the simulation
CSV_HEADER = ",".join(Row._fields) + "\n"
TEXT_COLUMNS = pa.schema([(field, pa.string()) for field in Row._fields])

BadRow = tuple[Row, str]  # and its reason


class FileFormat(StrEnum):
    """File format of a day's log."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Reasons for bad rows in this format. Parquet has no lines that could be unparseable."""
        return tuple(FLAWS) if self is FileFormat.PARQUET else (UNPARSEABLE, *FLAWS)


def write_part(
    path: Path,
    rows: Sequence[Row],
    bad_rows: Sequence[BadRow],
    order: NDArray[np.int64],
    file_format: FileFormat,
) -> None:
    """Write one file.

    Args:
        path: without the ending, which depends on the format.
        order: indexes of the good rows followed by the bad ones, `(rows + bad rows,)`.
    """
    _WRITERS[file_format](path, rows, bad_rows, order.tolist())


def _write_jsonl(path: Path, rows: Sequence[Row], bad_rows: Sequence[BadRow], order: list[int]) -> None:
    lines = [_json_line(row) for row in rows] + [_bad_json_line(*bad_row) for bad_row in bad_rows]
    _write_gzip(path.with_suffix(".jsonl.gz"), "".join([lines[index] for index in order]))


def _json_line(row: Row) -> str:
    # Good rows hold nothing to escape, and json.dumps would take several times as long.
    user_id, app_id, event_time, event_type = row
    time = event_time if isinstance(event_time, int) else f'"{event_time}"'
    typed = f',"event_type":"{event_type}"' if event_type else ""
    return f'{{"user_id":"{user_id}","app_id":"{app_id}","event_time":{time}{typed}}}\n'


def _bad_json_line(row: Row, reason: str) -> str:
    if reason == UNPARSEABLE:
        line = _json_line(row)
        return line[: len(line) // 2] + "\n"
    return json.dumps({name: value for name, value in row._asdict().items() if value is not None}) + "\n"


def _write_csv(path: Path, rows: Sequence[Row], bad_rows: Sequence[BadRow], order: list[int]) -> None:
    lines = [_csv_line(row) for row in rows] + [_bad_csv_line(*bad_row) for bad_row in bad_rows]
    _write_gzip(path.with_suffix(".csv.gz"), CSV_HEADER + "".join([lines[index] for index in order]))


def _csv_line(row: Row) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(row)
    return text.getvalue()


def _bad_csv_line(row: Row, reason: str) -> str:
    line = _csv_line(row)
    return line if reason != UNPARSEABLE else f"one field too many,{line}"


def _write_gzip(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode(), GZIP_LEVEL, mtime=0))


def _write_parquet(path: Path, rows: Sequence[Row], bad_rows: Sequence[BadRow], order: list[int]) -> None:
    everything = [*rows, *(row for row, _ in bad_rows)]
    ordered = [everything[index] for index in order]
    columns = [
        [None if value is None else str(value) for value in map(itemgetter(position), ordered)]
        for position in range(len(Row._fields))
    ]
    pq.write_table(pa.table(columns, schema=TEXT_COLUMNS), path.with_suffix(".parquet"))


_WRITERS: dict[FileFormat, Callable[[Path, Sequence[Row], Sequence[BadRow], list[int]], None]] = {
    FileFormat.JSONL: _write_jsonl,
    FileFormat.CSV: _write_csv,
    FileFormat.PARQUET: _write_parquet,
}
