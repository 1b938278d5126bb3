"""Download of training sets from HDFS, without Java.

In   hdfs://127.0.0.1:8020/training_sets/training_date=2026-01-31/run-1, or a local folder
Out  a local folder; a downloaded one is removed at the end of the block
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import hdfs

from jobs.training_set.reader import TrainingSetError
from model_registry.store.webhdfs import WebHdfs, webhdfs_client
from settings import hadoop_user


@contextmanager
def local_folder(location: str, webhdfs_url: str) -> Iterator[Path]:
    """Yield the folder; one on HDFS is downloaded through WebHDFS first.

    Raises:
        TrainingSetError: there is no such folder.
    """
    if not location.startswith("hdfs://"):
        if not Path(location).is_dir():
            raise TrainingSetError(f"{location} is not a folder on this machine, nor an hdfs:// location")
        yield Path(location)
        return
    client = webhdfs_client(webhdfs_url, hadoop_user())
    with TemporaryDirectory(prefix="training_set_") as scratch:
        yield download(client, urlsplit(location).path, Path(scratch))


def download(client: hdfs.Client, hdfs_path: str, into: Path) -> Path:
    """Download the folder `hdfs_path` below `into` and return its local path.

    Raises:
        TrainingSetError: there is no such folder.
        ModelRegistryError: HDFS does not answer, or refuses this user.
    """
    if not WebHdfs(client).exists(hdfs_path) or client.status(hdfs_path)["type"] != "DIRECTORY":
        raise TrainingSetError(f"{hdfs_path} is not a folder on the HDFS behind {client.url}")
    return Path(client.download(hdfs_path, str(into)))
