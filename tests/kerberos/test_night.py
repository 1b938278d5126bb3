"""Nights on Spark, YARN and HDFS with Kerberos: published, and forbidden."""

import re
from datetime import date

import pytest
from pyspark.sql import SparkSession

from model_registry.store.webhdfs import WebHdfs
from model_registry.versions import PinnedModel
from tests.faults.harness.scored_days import USERS
from tests.kerberos.nights import Night, published
from tests.kerberos.secured import Secured

pytestmark = pytest.mark.timeout(1200)


def test_a_night_is_published(first_night: list[str]) -> None:
    assert first_night == ["first"] * USERS


def test_a_principal_that_may_not_write_the_lake_publishes_nothing(
    secured: Secured, model: PinnedModel, landed: list[date], reader: SparkSession, webhdfs: WebHdfs
) -> None:
    done = Night(secured, model, landed[1], "forbidden").submit("extract_sessions", name="reader")
    assert done.returncode != 0
    last = done.stdout.splitlines()[-1]
    assert "extract_sessions failed: " in last
    assert re.search(r"PermissionDeniedError: Permission denied: user=reader, access=\w+", last), last
    assert published(reader, landed[1]) == []
    assert not webhdfs.exists("/receipts/extract_sessions/ds=" + landed[1].isoformat())
