"""Files as they would land, in a temporary folder."""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.lake.receipts import hash_delivery


def uri(path: Path) -> str:
    """URI as Hadoop writes it: Path.as_uri would percent-encode the = of ds=2026-01-31."""
    return f"file:{path}"


def land(folder: Path, **files: str | bytes | pa.Table) -> str:
    """Write files into `folder`, where `__` in a name stands for a dot, and return the folder's URI."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        if isinstance(content, pa.Table):
            pq.write_table(content, path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    return uri(folder)


def land_complete(folder: Path, **files: str | bytes | pa.Table) -> str:
    return land(folder, _SUCCESS="", **files)


def jsonl(*rows: dict[str, object] | str) -> str:
    """JSON lines, one per row; a string is written as it is."""
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


def gz(content: str | bytes) -> bytes:
    # Without a time stamp: a test is named after these bytes, and all pytest workers must find the same name.
    return gzip.compress(content.encode() if isinstance(content, str) else content, mtime=0)


@dataclass(frozen=True)
class LocalEntry:
    """A file or folder as a listing shows it."""

    name: str
    size: int
    modified_ms: int


class LocalFiles:
    """Local folders, as receipts are compared by."""

    def list(self, folder: str) -> list[LocalEntry]:
        statuses = ((path.name, path.stat()) for path in Path(folder).iterdir())
        return [
            LocalEntry(name, status.st_size, status.st_mtime_ns // 1_000_000) for name, status in statuses
        ]

    def read(self, path: str) -> str:
        return Path(path).read_text()


def write_receipts(root: Path, *days: str) -> None:
    """Write what an extraction of `root/landing` leaves below `root/receipts`."""
    for day in days:
        delivery = hash_delivery(LocalFiles(), str(root / "landing" / f"ds={day}"))
        land(root / "receipts", **{f"ds={day}.json": json.dumps({"ds": day, "delivery": delivery})})
