"""Which unit tests are slow, which of them stay together, and their order."""

import re
from functools import cache
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from settings import REPOSITORY

TAKES_SPARK = re.compile(r"def \w+\([^)]*\bspark\b")
TAKES_DATABASE = re.compile(r"\b(either_catalog|in_postgres|database)\b")


@cache
def needs_spark(file: str) -> bool:
    """Whether a test or a fixture of the file, named from the repository's root, takes the Spark session."""
    return TAKES_SPARK.search((REPOSITORY / file).read_text()) is not None


@cache
def needs_database(file: str) -> bool:
    """Whether a test of the file takes PostgreSQL's session."""
    return TAKES_DATABASE.search((REPOSITORY / file).read_text()) is not None


def is_slow(item: pytest.Item) -> bool:
    return item.get_closest_marker("slow") is not None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put Spark's files first, then other slow ones, so that all processes end at about the same time."""
    for item in items:
        if needs_spark(item.nodeid.split("::")[0]):
            item.add_marker(pytest.mark.slow)

    def place(item: pytest.Item) -> tuple[bool, bool, bool]:
        file = item.nodeid.split("::")[0]
        return not needs_spark(file), not needs_database(file), not is_slow(item)

    items.sort(key=place)


class FewSparks(LoadFileScheduling):
    """Files stay together, since their tests share fixtures; those that need Spark share two sessions.

    `--dist loadgroup` is meant for this, but xdist 3.8 loses the groups under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        if not needs_spark(file):
            return file
        return "spark and PostgreSQL" if needs_database(file) else "spark"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FewSparks:
    return FewSparks(config, log)
