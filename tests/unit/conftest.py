"""Which unit tests are slow, which of them stay together, and their order."""

import re
from functools import cache
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from settings import REPOSITORY

TAKES_SPARK = re.compile(r"def \w+\([^)]*\bspark\b")


@cache
def needs_spark(file: str) -> bool:
    """Whether a test or a fixture of the file, named from the repository's root, takes the Spark session."""
    return TAKES_SPARK.search((REPOSITORY / file).read_text()) is not None


def is_slow(item: pytest.Item) -> bool:
    return item.get_closest_marker("slow") is not None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put Spark's files first, then other slow ones, so that all processes end at about the same time."""
    for item in items:
        if needs_spark(item.nodeid.split("::")[0]):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: (not needs_spark(item.nodeid.split("::")[0]), not is_slow(item)))


class OneSpark(LoadFileScheduling):
    """Files stay together, since their tests share fixtures; those that need Spark share one session.

    `--dist loadgroup` is meant for this, but xdist 3.8 loses the groups under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "spark" if needs_spark(file) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneSpark:
    return OneSpark(config, log)
