"""Every setting of the pipeline, read once from the environment and `.env`.

A setting `port_offset` is the variable `RISK_PORT_OFFSET`; a port `airflow` is `RISK_PORTS__AIRFLOW`.
`.env.example` explains each one. Jobs take arguments instead: only DAGs, the registry's command line and
the one-machine cluster read settings.
"""

import getpass
import os
import stat
from functools import cached_property
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import BaseModel, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

REPOSITORY = Path(__file__).resolve().parent
PREFIX = "RISK_"
OTHER_VARIABLES = {"RISK_CLUSTER_OWNER"}  # the mark of the one-machine cluster's processes
WEEK_MINUTES = 7 * 24 * 60


def hadoop_user() -> str:
    """Name on HDFS without a password: the variable that Hadoop's clients read, or this process's account."""
    return os.environ.get("HADOOP_USER_NAME") or getpass.getuser()


class Ports(BaseModel):
    """Ports of the one-machine cluster before `port_offset` is added: the usual ones of each product."""

    namenode: int = 8020
    namenode_web: int = 9870
    datanode_1: int = 9866
    datanode_1_ipc: int = 9867
    datanode_1_web: int = 9864
    datanode_2: int = 9876
    datanode_2_ipc: int = 9877
    datanode_2_web: int = 9874
    resourcemanager: int = 8032
    resourcemanager_scheduler: int = 8030
    resourcemanager_tracker: int = 8031
    resourcemanager_admin: int = 8033
    resourcemanager_web: int = 8088
    nodemanager: int = 8041
    nodemanager_localizer: int = 8040
    nodemanager_web: int = 8042
    postgres: int = 5432
    mlflow: int = 5000
    airflow: int = 8080

    def shifted(self, offset: int) -> "Ports":
        """Add `offset` to every port, so that two clones can run side by side."""
        return Ports(**{name: port + offset for name, port in self.model_dump().items()})


class HdfsLogin(BaseSettings):
    """How this process logs in to HDFS, and whose certificates it trusts there. Jobs read it too.

    Without a principal there is no proof: HDFS believes the name that it is told.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=REPOSITORY / ".env",
        env_ignore_empty=True,  # a variable without a value is the default
        extra="ignore",
        allow_inf_nan=False,
        hide_input_in_errors=True,  # addresses may hold passwords
    )

    kerberos_principal: str = Field(default="", pattern="^([^@ ]+@[^@ ]+)?$")
    kerberos_keytab: Path | None = None
    ca_file: Path | None = None

    @model_validator(mode="after")
    def refuse_half_a_login(self) -> Self:
        if bool(self.kerberos_principal) != bool(self.kerberos_keytab):
            raise ValueError(
                "expected RISK_KERBEROS_PRINCIPAL and RISK_KERBEROS_KEYTAB together, found one of them: set both "
                "for Kerberos, or neither"
            )
        return self

    @field_validator("kerberos_keytab", "ca_file")
    @classmethod
    def refuse_missing_file(cls, path: Path | None) -> Path | None:
        if path and not (path.is_file() and os.access(path, os.R_OK)):
            raise ValueError(f"expected a file that this account may read, found none at {path}")
        return path

    @field_validator("kerberos_keytab")
    @classmethod
    def refuse_shared_keytab(cls, path: Path | None) -> Path | None:
        """Refuse a keytab that others may read: it is as good as a password."""
        mode = stat.S_IMODE(path.stat().st_mode) if path else 0
        if mode & 0o077:
            raise ValueError(
                f"expected a keytab that only its owner may read, found mode {mode:o}: chmod 600 {path}"
            )
        return path


class Settings(HdfsLogin):
    """Addresses of services and options of the nights."""

    # One-machine cluster
    cluster_home: Path = REPOSITORY / ".cluster"
    jars_dir: Path = REPOSITORY / ".cluster" / "jars"
    port_offset: int = Field(default=0, ge=0, le=40_000)
    base_ports: Ports = Field(default=Ports(), validation_alias="RISK_PORTS")

    # Services; empty means the one-machine cluster's own
    hdfs_uri: str = ""
    webhdfs_uri: str = ""
    hdfs_user: str = Field(default_factory=hadoop_user)
    mlflow_uri: str = ""
    model_public_key: Path | None = None
    model_signing_key: Path | None = None
    identities_dir: Path | None = None

    # Spark
    catalog: Literal["jdbc", "hadoop"] = "jdbc"
    spark_master: str = "yarn"
    spark_deploy_mode: str = Field(default="client", pattern="^(client|cluster)$")
    spark_archives: str = ""
    spark_python: str = ""

    # The night
    landing_root: str = "/landing/installs"
    labels_root: str = "/landing/labels"
    receipts_root: str = "/receipts/extract_sessions"
    training_sets_root: str = "/training_sets"
    models_root: str = "/models"
    model_name: str = "risk_encoder"
    experiment: str = "risk_encoder"
    max_sequence_length: int = Field(default=2_048, ge=1)
    lookback_days: int = Field(default=365, ge=1)
    session_gap_seconds: int = Field(default=30 * 60, ge=1)
    max_bad_share: float = Field(default=0.05, ge=0, le=1)
    lowest_volume: float = Field(default=0.5, ge=0, le=1)
    highest_volume: float = Field(default=2.0, ge=1)
    reasons_above: float | None = Field(default=None, ge=0, le=1)
    top_reasons: int = Field(default=3, ge=1)
    landing_timeout_minutes: float = Field(default=6 * 60, gt=0, le=WEEK_MINUTES)
    extraction_timeout_minutes: float = Field(default=2 * 60, gt=0, le=WEEK_MINUTES)
    wait_poll_seconds: float = Field(default=15, gt=0, le=WEEK_MINUTES * 60)
    spark_slots: int = Field(default=2, ge=1)
    gpu_queue: str = "default"

    # The gate before a promotion
    promotion_auc_margin: float = Field(default=0.005, ge=0, le=1)
    promotion_max_ece: float = Field(default=0.05, ge=0, le=1)

    @field_validator("webhdfs_uri", "mlflow_uri")
    @classmethod
    def refuse_password(cls, uri: str) -> str:
        """Refuse an address with a log-in: it would be seen in command lines and on Airflow's pages."""
        if urlsplit(uri).username is not None:
            raise ValueError(
                "expected an address without user and password: MLflow reads MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD from the environment"
            )
        return uri

    @model_validator(mode="after")
    def refuse_unknown_variables(self) -> Self:
        """Refuse a variable RISK_… that is no setting: a mistyped one would silently do nothing."""
        fields = type(self).model_fields
        known = OTHER_VARIABLES | {f"{PREFIX}{name}".upper() for name in fields if name != "base_ports"}
        known |= {"RISK_PORTS"} | {f"RISK_PORTS__{name}".upper() for name in Ports.model_fields}
        env_file = self.model_config.get("env_file")
        given = {*os.environ, *(dotenv_values(env_file) if isinstance(env_file, str | Path) else ())}
        unknown = sorted(
            name for name in given if name.upper().startswith(PREFIX) and name.upper() not in known
        )
        if unknown:
            raise ValueError(
                f"expected only the settings of .env.example, found {', '.join(unknown)} in the environment or "
                ".env: correct the name, or remove the variable"
            )
        return self

    @cached_property
    def ports(self) -> Ports:
        """Ports in force: the base ports moved by `port_offset`."""
        return self.base_ports.shifted(self.port_offset)

    def identity(self, name: str) -> dict[str, str]:
        """Variables by which a process acts as an identity, such as `scoring`, from its file `scoring.env`.

        Without a folder of identities there are none: every process acts as its environment says it does.

        Raises:
            FileNotFoundError: there is a folder, and the identity is not among its files.
        """
        folder = self.identities_dir or self._own_identities
        if folder is None:
            return {}
        path = folder / f"{name}.env"
        if not path.exists():
            raise FileNotFoundError(f"expected a file {path} to act as the identity {name}, found none")
        return {name: value or "" for name, value in dotenv_values(path, interpolate=False).items()}

    @property
    def _own_identities(self) -> Path | None:
        """Those of the one-machine cluster, unless services of another one are meant."""
        folder = self.cluster_home / "data" / "identities"
        is_own = not (self.hdfs_uri or self.webhdfs_uri or self.mlflow_uri)
        return folder if is_own and folder.exists() else None

    def hdfs_user_of(self, identity: str) -> str:
        """Name of an identity on HDFS, without a password."""
        return self.identity(identity).get("HADOOP_USER_NAME", self.hdfs_user)

    @property
    def hdfs_url(self) -> str:
        """File system that Spark reads and writes, such as `hdfs://127.0.0.1:8020`."""
        return self.hdfs_uri or f"hdfs://127.0.0.1:{self.ports.namenode}"

    @property
    def webhdfs_url(self) -> str:
        """The same file system over HTTP, for processes without Java."""
        return self.webhdfs_uri or f"http://127.0.0.1:{self.ports.namenode_web}"

    @property
    def mlflow_tracking_uri(self) -> str:
        """MLflow server that holds runs and model versions."""
        return self.mlflow_uri or f"http://127.0.0.1:{self.ports.mlflow}"

    @property
    def public_key(self) -> Path:
        """PEM file of the key that every model of a night is signed by."""
        return self.model_public_key or self.cluster_home / "data" / "model-signing.pub"

    @property
    def signing_key(self) -> Path:
        """PEM file of its private half, only where versions are promoted."""
        return self.model_signing_key or self.cluster_home / "data" / "model-signing.key"

    @property
    def airflow_url(self) -> str:
        """Airflow's web page and REST API on this machine."""
        return f"http://127.0.0.1:{self.ports.airflow}"
