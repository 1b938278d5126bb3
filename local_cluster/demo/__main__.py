"""The demo's command line: `python -m local_cluster.demo --help`."""

import sys

import typer

from local_cluster.demo.steps import demo
from local_cluster.layout import ClusterError


def main() -> None:
    """Turn a ClusterError into its message and exit code 1."""
    try:
        typer.run(demo)
    except ClusterError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
