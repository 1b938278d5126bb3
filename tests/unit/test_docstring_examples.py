"""Examples in docstrings print what they say, wherever there is one."""

import doctest
import importlib

import pytest

import tests.unit.dags.conftest  # noqa: F401 (imports of Airflow write to its home: a temporary one)
from settings import REPOSITORY

PACKAGES = ("bench", "dags", "jobs", "local_cluster", "model_registry", "simulator")
# Others are not even imported: most need Spark or Airflow.
MODULES = sorted(
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
    for package in PACKAGES
    for path in (REPOSITORY / package).rglob("*.py")
    if ">>> " in path.read_text()
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name):
    failed, attempted = doctest.testmod(importlib.import_module(name))
    assert attempted > 0
    assert failed == 0, "the report is in the captured output"
