"""A reader in a process of its own, which looks at one date of `risk_scores` twenty times a second.

In   lines on standard input: {"ds": "2024-03-01"} begins to watch a date,
     {"folder": "/plain/ds=2024-03-01"} a folder of plain Parquet on HDFS, {} ends the watch
Out  a line for each change of what it reads:
     {"rows": 300, "users": 300, "scores": "9f86…", "models": ["ab12…"], "runs": ["nightly-1"]}
     {"failed": "java.net.ConnectException: Connection refused"}
     and at the end {"looks": 412}

It reads by Iceberg's generic reader, not by Spark. Every look begins at the catalog: nothing is cached.
"""

import hashlib
import io
import json
import select
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import hdfs
import pandas as pd
import requests
from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway
from py4j.protocol import Py4JJavaError
from pyarrow import ArrowException

from local_cluster.configuration import catalog
from local_cluster.layout import Layout
from settings import Settings

SECONDS_BETWEEN_LOOKS = 0.05
COLUMNS = ["user_id", "risk_score", "logit", "model_sha256", "run_id"]
CATALOG_SETTING = "spark.sql.catalog.lake."
Look = Callable[[], dict[str, Any]]


class LookFailedError(Exception):
    """The reader could not read; the message begins with the class of the innermost cause."""


def summarise(rows: Iterable[list[str]]) -> dict[str, Any]:
    """Reduce rows, in the order of COLUMNS; `scores` stands for every user's score to the last bit."""
    users, risk_scores, logits, models, runs = zip(*rows, strict=True) if (rows := list(rows)) else [()] * 5
    scored = sorted(map(" ".join, zip(users, risk_scores, logits, strict=True)))
    return {
        "rows": len(scored),
        "users": len(set(users)),
        "scores": hashlib.sha256("\n".join(scored).encode()).hexdigest()[:16],
        "models": sorted(set(models)),
        "runs": sorted(set(runs)),
    }


class IcebergReader:
    """The table through the cluster's catalog, in a JVM of its own."""

    def __init__(self, layout: Layout) -> None:
        jars = [f"{layout.spark_home}/jars/*", str(layout.iceberg_jar), str(layout.jar("postgresql-*"))]
        port = launch_gateway(
            classpath=":".join([str(layout.conf), *jars]),
            javaopts=["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"],
            java_path=f"{layout.java_home}/bin/java",
            die_on_exit=True,
        )
        jvm: Any = JavaGateway(gateway_parameters=GatewayParameters(port=port)).jvm
        self._iceberg = jvm.org.apache.iceberg
        configuration = jvm.org.apache.hadoop.conf.Configuration()
        # A stopped NameNode fails a look at once, and does not hold it back for ten seconds.
        configuration.setInt("ipc.client.connect.max.retries", 0)
        options = jvm.java.util.HashMap()
        for name, value in catalog(layout, "reader").items():
            if name.startswith(CATALOG_SETTING):
                options.put(name.removeprefix(CATALOG_SETTING), value)
        self._catalog = self._iceberg.CatalogUtil.buildIcebergCatalog("lake", options, configuration)
        self._columns = jvm.java.util.ArrayList()
        for column in COLUMNS:
            self._columns.add(column)

    def look(self, ds: str) -> dict[str, Any]:
        try:
            text = self._read(ds)
        except Py4JJavaError as error:
            raise LookFailedError(innermost_cause(error.java_exception)) from error
        records = text.removeprefix("[").removesuffix("]").replace("Record(", "").split(")")
        return summarise(
            record.removeprefix(", ").split(", ")[: len(COLUMNS)] for record in records if record
        )

    def _read(self, ds: str) -> str:
        """Write all records into one text in Java: one call for all of them, not some for each."""
        name = self._iceberg.catalog.TableIdentifier.parse("risk.risk_scores")
        table = self._catalog.loadTable(name)
        day = self._iceberg.expressions.Expressions.equal("ds", ds)
        scan = self._iceberg.data.IcebergGenerics.read(table).where(day).select(self._columns)
        records = scan.build()
        try:
            return str(self._iceberg.relocated.com.google.common.collect.Iterables.toString(records))
        finally:
            records.close()


def innermost_cause(error: Any) -> str:
    while error.getCause() is not None:
        error = error.getCause()
    return str(error.toString()).splitlines()[0]


class ParquetReader:
    """A folder of plain Parquet, as a table without Iceberg would be read."""

    def __init__(self, settings: Settings) -> None:
        self._hdfs = hdfs.InsecureClient(settings.webhdfs_url, user=settings.hdfs_user_of("scoring"))

    def look(self, folder: str) -> dict[str, Any]:
        try:
            names = [name for name in self._hdfs.list(folder) if name.endswith(".parquet")]
            frames = [self._read(f"{folder}/{name}") for name in names]
        except (hdfs.HdfsError, requests.RequestException, ArrowException) as error:
            raise LookFailedError(f"{type(error).__name__}: {error}".splitlines()[0]) from error
        return summarise(row for frame in frames for row in frame.astype(str).to_numpy().tolist())

    def _read(self, path: str) -> pd.DataFrame:
        with self._hdfs.read(path) as content:
            return pd.read_parquet(io.BytesIO(content.read()), columns=COLUMNS)


def serve(readers: dict[str, Callable[[str], dict[str, Any]]]) -> None:
    """Answer commands until standard input ends."""
    for line in iter(sys.stdin.readline, ""):
        ((kind, place),) = json.loads(line).items()
        watch(partial(readers[kind], place))


def watch(look: Look) -> None:
    """Look until the next line of standard input, and write each change."""
    looks, before = 0, None
    while True:
        begun = time.monotonic()
        try:
            seen = look()
        except LookFailedError as error:
            seen = {"failed": str(error)}
        looks += 1
        if seen != before:
            say(seen)
            before = seen
        rest = max(0.0, SECONDS_BETWEEN_LOOKS - (time.monotonic() - begun))
        if select.select([sys.stdin], [], [], rest)[0]:
            sys.stdin.readline()
            say({"looks": looks})
            return


def say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def main() -> None:
    settings = Settings()
    serve({"ds": IcebergReader(Layout(settings)).look, "folder": ParquetReader(settings).look})


if __name__ == "__main__":
    main()
