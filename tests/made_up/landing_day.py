"""Files as they would land, in a temporary folder."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


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
