"""Which unit tests are slow, which of them stay together, and their order."""

import pytest


@pytest.hookimpl(tryfirst=True)  # before pytest deselects by marker, and xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group tests that share fixtures which cost seconds: a file's, and those of all files that need Spark.

    Groups start in this order, the slow ones first, so that all processes end at about the same time.
    """
    with_spark = {item.path for item in items if "spark" in getattr(item, "fixturenames", ())}
    for item in items:
        if item.path in with_spark:
            item.add_marker(pytest.mark.slow)
        group = "spark" if item.path in with_spark else item.nodeid.split("::")[0].removesuffix(".py")
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: (item.path not in with_spark, item.get_closest_marker("slow") is None))
