"""Bring install logs and labels from local files to the landing zone on HDFS.

In   a folder `INSTALLS` of `ds=YYYY-MM-DD/` folders, each with `_SUCCESS`, or a flat one; a file `LABELS`
Out  `/landing/installs/ds=…/` and `/landing/labels/`, files as they are
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd

from local_cluster.layout import ClusterError
from model_registry.store.webhdfs import webhdfs_client
from settings import Settings

CHUNK_ROWS = 500_000
SUFFIXES = (".jsonl", ".csv", ".parquet")


@dataclass(frozen=True)
class Delivery:
    """Local files by landing day, and the labels with the date by which all of them are known."""

    files: dict[date, list[Path]]
    labels: Path
    training_date: date

    @property
    def days(self) -> list[date]:
        return sorted(self.files)


def find_delivery(installs: Path, labels: Path) -> Delivery:
    """Find the landing days of local files and the training date that their labels allow.

    Raises:
        ClusterError: a folder or file is missing, empty, or not as the contract says.
    """
    if not labels.is_file():
        raise ClusterError(f"LABELS={labels} is not a file: see docs/data_contract.md, Labels")
    frame = read_labels(labels)
    days = sorted(folder for folder in installs.glob("ds=*") if folder.is_dir())
    files = {parse_day(folder): closed_files(folder) for folder in days} or flat_files(installs, frame)
    return Delivery(files, labels, frame["observed_at"].max().date())


def read_labels(path: Path) -> pd.DataFrame:
    """Read `as_of` and `observed_at` of every label, in UTC."""
    columns = ["as_of", "observed_at"]
    try:
        frame = (
            pd.read_parquet(path, columns=columns)
            if path.suffix == ".parquet"
            else pd.read_csv(path)[columns]
        )
        times = pd.DataFrame(
            {name: pd.to_datetime(frame[name], utc=True, format="ISO8601") for name in columns}
        )
    except (KeyError, ValueError, OSError) as error:
        raise ClusterError(
            f"LABELS={path}: expected CSV or Parquet with user_id,label,as_of,observed_at, found: {error}"
        ) from error
    if times.empty or times.isna().to_numpy().any():
        raise ClusterError(
            f"LABELS={path}: expected as_of and observed_at in every row, found no rows or empty fields"
        )
    return times


def parse_day(folder: Path) -> date:
    try:
        return date.fromisoformat(folder.name.removeprefix("ds="))
    except ValueError as error:
        raise ClusterError(f"{folder}: expected a folder such as ds=2026-01-31") from error


def closed_files(folder: Path) -> list[Path]:
    """List the files of a day's folder.

    Raises:
        ClusterError: there is no `_SUCCESS`, so the nightly run would wait for the rest.
    """
    if not (folder / "_SUCCESS").exists():
        raise ClusterError(
            f"{folder} has no _SUCCESS, so its delivery is not complete: `touch {folder}/_SUCCESS`"
        )
    return data_files(folder)


def data_files(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.iterdir() if path.is_file() and not path.name.startswith(("_", "."))
    )


def flat_files(installs: Path, labels: pd.DataFrame) -> dict[date, list[Path]]:
    """Put all files on one landing day: the day of the latest event, or of the latest `as_of` if earlier.

    On a later day every install would land after every label's `as_of`, and training would have no examples.
    """
    files = data_files(installs) if installs.is_dir() else []
    if not files:
        raise ClusterError(f"INSTALLS={installs}: no ds=YYYY-MM-DD folders and no files in it")
    latest = max((time for path in files for time in event_times(path)), default=None)
    if latest is None:
        raise ClusterError(f"INSTALLS={installs}: no readable event_time in {len(files)} files")
    return {min(latest, labels["as_of"].max()).date(): files}


def event_times(path: Path) -> Iterator[pd.Timestamp]:
    """Yield the latest readable `event_time` of each chunk of a file, in UTC.

    Unreadable times are left out here; the extraction rejects their rows.
    """
    for column in event_time_columns(path):
        if pd.api.types.is_datetime64_any_dtype(column):
            times = pd.to_datetime(column, utc=True)
        else:
            text = column.astype("string")
            milliseconds = pd.to_numeric(text, errors="coerce")
            iso = pd.to_datetime(text.where(milliseconds.isna()), errors="coerce", utc=True, format="ISO8601")
            # Epoch milliseconds outside the range of timestamps are not times.
            epoch = pd.to_datetime(milliseconds, errors="coerce", utc=True, unit="ms")
            times = iso.fillna(epoch)
        if times.notna().any():
            yield times.max()


def event_time_columns(path: Path) -> Iterator[pd.Series]:
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        yield pd.read_parquet(path, columns=["event_time"])["event_time"]
        return
    if name.endswith(".csv"):
        chunks = pd.read_csv(
            path, usecols=["event_time"], dtype="string", chunksize=CHUNK_ROWS, on_bad_lines="skip"
        )
        yield from (chunk["event_time"] for chunk in chunks)
        return
    if name.endswith(".jsonl"):
        # A pattern instead of a parser: one broken line must not hide the others.
        pattern = r'"event_time"\s*:\s*"?([^",}]+)'
        lines = pd.read_csv(path, sep="\x01", header=None, dtype="string", chunksize=CHUNK_ROWS, quoting=3)
        yield from (chunk[0].str.extract(pattern)[0] for chunk in lines)
        return
    raise ClusterError(f"{path}: expected one of {', '.join(SUFFIXES)}, optionally followed by .gz")


def land(delivery: Delivery, settings: Settings) -> None:
    """Upload all files; the `_SUCCESS` of a day comes last."""
    client = webhdfs_client(settings.webhdfs_url, settings.hdfs_user)
    for day, paths in delivery.files.items():
        folder = f"{settings.landing_root}/ds={day}"
        client.makedirs(folder)
        for path in paths:
            client.upload(f"{folder}/{path.name}", str(path))
        client.write(f"{folder}/_SUCCESS", b"")
    client.upload(f"{settings.labels_root}/{delivery.labels.name}", str(delivery.labels))


def clear_landing(settings: Settings) -> None:
    """Remove what an earlier demo landed, extracted and scored; models stay."""
    client = webhdfs_client(settings.webhdfs_url, settings.hdfs_user)
    for folder in (settings.landing_root, settings.labels_root, settings.receipts_root, "/lake/risk"):
        client.delete(folder, recursive=True)
    for folder in (settings.landing_root, settings.labels_root, settings.receipts_root):
        client.makedirs(folder)
