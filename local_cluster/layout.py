"""Folders of the one-machine cluster: everything that it writes lies below `home`."""

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from settings import REPOSITORY, Settings

# What the cluster writes holds keys, passwords and users' data: nobody else may read it.
UMASK = 0o077


class ClusterError(Exception):
    """The cluster cannot do what was asked; the message says what to do."""


@dataclass(frozen=True)
class Layout:
    """Folders of one cluster and the tools that it runs."""

    settings: Settings

    @property
    def home(self) -> Path:
        return self.settings.cluster_home.resolve()

    @property
    def conf(self) -> Path:
        """Hadoop's, Spark's and the supervisor's configuration, written anew by each `make up`."""
        return self.home / "conf"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def data(self) -> Path:
        """Data of the services: HDFS blocks, MLflow's and Airflow's databases."""
        return self.home / "data"

    @property
    def run(self) -> Path:
        """Process ids and the supervisor's socket."""
        return self.home / "run"

    @property
    def tmp(self) -> Path:
        return self.home / "tmp"

    @property
    def identities(self) -> Path:
        """Passwords, and the files by which processes act as an identity."""
        return self.data / "identities"

    @property
    def mlflow_auth(self) -> Path:
        """Configuration of MLflow's log-in."""
        return self.data / "mlflow_auth.ini"

    @property
    def postgres_home(self) -> Path:
        """PostgreSQL's programs, which `make install` unpacked."""
        return self.settings.jars_dir / "postgres"

    @property
    def airflow_home(self) -> Path:
        return self.data / "airflow"

    @property
    def python_bin(self) -> Path:
        """Folder of this environment's commands."""
        return Path(sys.executable).parent

    @property
    def spark_home(self) -> Path:
        spec = find_spec("pyspark")
        if spec is None or spec.origin is None:
            raise ClusterError("pyspark is not installed here: run `make install`")
        return Path(spec.origin).parent

    @property
    def iceberg_jar(self) -> Path:
        return self.jar("iceberg-spark-runtime-*")

    def jar(self, pattern: str) -> Path:
        """Find the jar of that name, which `make install` copied.

        Raises:
            ClusterError: it does not exist.
        """
        jars = sorted(self.settings.jars_dir.glob(f"{pattern}.jar"))
        if not jars:
            raise ClusterError(f"no {pattern}.jar in {self.settings.jars_dir}: run `make install`")
        return jars[0]

    @cached_property
    def java_home(self) -> str:
        """`JAVA_HOME`, or the home that `java` itself reports; YARN starts containers with it."""
        if os.environ.get("JAVA_HOME"):
            return os.environ["JAVA_HOME"]
        answer = subprocess.run(
            ["java", "-XshowSettings:properties", "-version"], capture_output=True, text=True, check=True
        )
        lines = (line.split(" = ") for line in answer.stderr.splitlines() if " = " in line)
        return next(value.strip() for name, value in lines if name.strip() == "java.home")

    def make_folders(self) -> None:
        for folder in (
            *(self.conf, self.logs, self.data, self.run, self.tmp),
            *(self.airflow_home, self.identities),
        ):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o777 & ~UMASK)

    @property
    def repository(self) -> Path:
        return REPOSITORY
