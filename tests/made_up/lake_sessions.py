"""Sessions with another catalog `lake` than the Spark session that they share."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pyspark.sql import SparkSession


@contextmanager
def session_on(spark: SparkSession, catalog: Mapping[str, str]) -> Iterator[SparkSession]:
    """A session of its own on `catalog` (names of Spark's settings); jobs get it by `getOrCreate`."""
    session = spark.newSession()
    for name, value in catalog.items():
        session.conf.set(name, value)
    before = SparkSession._instantiatedSession
    SparkSession._instantiatedSession = session
    try:
        yield session
    finally:
        SparkSession._instantiatedSession = before
