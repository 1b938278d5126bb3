"""Jobs side by side in one Spark application."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pyspark.sql import SparkSession


@contextmanager
def own_session_for_each_thread(spark: SparkSession) -> Iterator[None]:
    """Give every thread's jobs a session of their own, as separate drivers have.

    The branch that a job writes to is a setting of its session.
    """
    of_thread = threading.local()

    def get_or_create(_builder: SparkSession.Builder) -> SparkSession:
        if not hasattr(of_thread, "session"):
            of_thread.session = spark.newSession()
        session: SparkSession = of_thread.session
        return session

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SparkSession.Builder, "getOrCreate", get_or_create)
        yield
