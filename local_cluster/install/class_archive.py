"""Archive the classes that Spark loads: drivers and executors then map one file instead of reading 280 jars.

In   the jars of `make install`
Out  .cluster/jars/spark-classes.jsa, 190 MB

`make install` calls `python -m local_cluster.install.class_archive`. A small job's driver and executor spend
most of their time on loading classes: 32 s of processor time with the archive, 44 s without
(`extract_sessions` of 18,000 rows on 2 cores). A JVM whose jars are not the archived ones ignores the
archive. Source: https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from local_cluster.environment import client_environment
from local_cluster.layout import ClusterError, Layout
from settings import Settings

# A job here runs for seconds. A small job took 25 s of processor time with the quick compiler alone, and 44 s
# with both compilers.
SHORT_JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
WARM_UP = Path(__file__).parent / "warm_up.py"


def class_path(layout: Layout) -> str:
    """The archived jars, in order: a JVM uses the archive only if its class path begins with exactly these.

    Folders, such as the configuration's, cannot be archived and come after them.
    """
    added = [layout.iceberg_jar, layout.jar("postgresql-*")]
    return ":".join(map(str, [*added, *sorted((layout.spark_home / "jars").glob("*.jar"))]))


def archive(layout: Layout) -> Path:
    return layout.settings.jars_dir / "spark-classes.jsa"


def jvm_options(layout: Layout) -> str:
    """JVM options of drivers and executors."""
    return " ".join([*SHORT_JVM, f"-XX:SharedArchiveFile={archive(layout)}"])


def write_archive(layout: Layout) -> None:
    """Run a small Spark program without a cluster and archive the classes that it loads.

    Raises:
        ClusterError: the program failed; the message ends with its last lines.
    """
    with tempfile.TemporaryDirectory(dir=layout.settings.jars_dir) as scratch:
        written = Path(scratch, "classes.jsa")
        conf = {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.ui.enabled": "false",
            "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
            "spark.sql.catalog.lake": "org.apache.iceberg.spark.SparkCatalog",
            "spark.sql.catalog.lake.type": "hadoop",
            "spark.sql.catalog.lake.warehouse": f"file:{scratch}/lake",
            "spark.sql.warehouse.dir": f"file:{scratch}/warehouse",
        }
        command = [f"{layout.java_home}/bin/java", *SHORT_JVM, f"-XX:ArchiveClassesAtExit={written}"]
        command += [
            "--add-opens=java.base/java.nio=ALL-UNNAMED",
            "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
        ]
        command += ["-cp", class_path(layout), "org.apache.spark.deploy.SparkSubmit", "--master", "local[2]"]
        command += [part for name, value in conf.items() for part in ("--conf", f"{name}={value}")]
        environment = {**os.environ, **client_environment(layout), "SPARK_LOCAL_DIRS": scratch}
        ran = subprocess.run(
            [*command, str(WARM_UP)],
            env=environment,
            cwd=scratch,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode != 0 or not written.exists():
            last_lines = "\n".join((ran.stdout + ran.stderr).splitlines()[-20:])
            raise ClusterError(
                f"Spark's classes could not be archived, exit status {ran.returncode}:\n{last_lines}"
            )
        written.rename(archive(layout))


def main() -> None:
    """Turn a ClusterError into its message and exit code 1."""
    try:
        write_archive(Layout(Settings()))
    except ClusterError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
