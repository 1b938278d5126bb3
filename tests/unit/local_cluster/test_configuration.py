"""Settings that every Spark job gets: what its event log shows of a password."""

import subprocess
import sys
from pathlib import Path

import pytest

from local_cluster.configuration import SECURITY

CODE = """
import sys
from pyspark.sql import SparkSession
builder = SparkSession.builder.master("local[1]")
for name, value in (word.split("=", 1) for word in sys.argv[1:]):
    builder = builder.config(name, value)
builder.getOrCreate().range(1).count()
"""
PASSWORD = "spark.sql.catalog.lake.jdbc.password"


def event_log(folder: Path, **security: str) -> str:
    """What Spark writes of an application whose catalog has a password."""
    settings = security | {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": folder.as_uri(),
        "spark.eventLog.compress": "false",
        "spark.ui.enabled": "false",
        PASSWORD: "canary-4c1d",
    }
    words = [f"{name}={value}" for name, value in settings.items()]
    subprocess.run([sys.executable, "-c", CODE, *words], check=True, capture_output=True)
    return "".join(path.read_text() for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
def test_the_event_log_of_a_job_shows_that_there_is_a_password_and_not_which(tmp_path: Path) -> None:
    text = event_log(tmp_path, **SECURITY)
    assert PASSWORD in text
    assert "canary-4c1d" not in text


@pytest.mark.slow
def test_without_redaction_the_event_log_would_show_it(tmp_path: Path) -> None:
    assert "canary-4c1d" in event_log(tmp_path, **{"spark.redaction.regex": "nothing"})
