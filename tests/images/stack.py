"""The stack of docker/compose.yaml in podman's containers, without a Docker engine.

In   a project's name, which its containers and volumes carry
Out  images, running services, commands in them, volumes copied into those of another project
"""

import base64
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import requests

from local_cluster.airflow_api import AirflowApi
from local_cluster.supervision import wait_until
from settings import REPOSITORY, Settings

FILES = ("compose.yaml", "compose.tls.yaml")
SERVICES = (
    *("postgres", "namenode", "datanode-1", "datanode-2", "resourcemanager", "nodemanager"),
    *("mlflow", "api-server", "scheduler", "dag-processor", "triggerer"),
)
START_SECONDS = 600


def podman(*words: str) -> str:
    done = subprocess.run(["podman", *words], capture_output=True, text=True)
    assert done.returncode == 0, f"podman {' '.join(words)}: {done.stderr[-2000:]}"
    return done.stdout


def make_secrets() -> dict[str, str]:
    """As docker/.env.example says."""
    return {
        "POSTGRES_PASSWORD": secrets.token_hex(16),
        "AIRFLOW_ADMIN_PASSWORD": secrets.token_hex(16),
        "AIRFLOW_OPERATOR_PASSWORD": secrets.token_hex(16),
        "AIRFLOW_TRAINER_PASSWORD": secrets.token_hex(16),
        "AIRFLOW_VIEWER_PASSWORD": secrets.token_hex(16),
        "AIRFLOW_API_SECRET_KEY": secrets.token_hex(32),
        "AIRFLOW_JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW_FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }


def make_certificate(folder: Path) -> dict[str, str]:
    """A certificate of 127.0.0.1 that is its own authority, and the variables that name it."""
    words = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run(["openssl", "req", *words, *names, *files], check=True, capture_output=True)
    for path in (folder, *folder.iterdir()):
        os.chown(path, 10001, 10001)
    return {
        "TLS_LISTEN_ADDRESS": "127.0.0.1",
        "TLS_FOLDER": str(folder),
        "MLFLOW_BASE_URL": "https://127.0.0.1:5443",
    }


@dataclass(frozen=True)
class Stack:
    """One project's containers and volumes, and the variables that compose gets, secrets among them."""

    project: str
    secrets: dict[str, str]

    def compose(self, *words: str) -> subprocess.CompletedProcess[str]:
        program = str(Path(sys.executable).with_name("podman-compose"))
        files = [word for name in FILES for word in ("--file", str(REPOSITORY / "docker" / name))]
        # Containers of one pod would share an address, and so all ports.
        command = [program, "--in-pod", "false", "--project-name", self.project, *files]
        environment = {**os.environ, **self.secrets}
        return subprocess.run([*command, *words], env=environment, capture_output=True, text=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Containers run during the block; the volumes stay."""
        started = self.compose("up", "--detach")
        try:
            assert started.returncode == 0, started.stderr[-2000:]
            for service in SERVICES:
                wait_until(partial(self.is_healthy, service), f"{service} is not healthy", START_SECONDS)
            yield
        finally:
            self.compose("down")

    def container(self, service: str) -> str:
        return f"{self.project}_{service}_1"

    def is_healthy(self, service: str) -> bool:
        """Run the service's own check: podman leaves it to systemd, which is not here."""
        return subprocess.run(["podman", "healthcheck", "run", self.container(service)]).returncode == 0

    def run_in(self, service: str, *command: str) -> str:
        return podman("exec", self.container(service), *command)

    def stop(self, service: str) -> None:
        podman("stop", self.container(service))

    @property
    def settings(self) -> Settings:
        """As a user of this host reaches the services."""
        return Settings(
            webhdfs_uri="http://namenode:9870", hdfs_user="landing", mlflow_uri="http://127.0.0.1:5000"
        )

    def airflow(self, user: str = "operator") -> AirflowApi:
        url = "http://127.0.0.1:8080"
        log_in = {"username": user, "password": self.secrets[f"AIRFLOW_{user.upper()}_PASSWORD"]}
        answer = requests.post(f"{url}/auth/token", json=log_in, timeout=60)
        answer.raise_for_status()
        return AirflowApi(url, answer.json()["access_token"])

    def volumes(self) -> list[str]:
        """Names of the volumes, without the project's."""
        listed = podman("volume", "ls", "--format", "{{.Name}}").split()
        return [
            name.removeprefix(f"{self.project}_") for name in listed if name.startswith(f"{self.project}_")
        ]

    def back_up(self, folder: Path) -> None:
        """Copy every volume into a file; the stack must be down."""
        for volume in self.volumes():
            podman("volume", "export", f"{self.project}_{volume}", "--output", str(folder / f"{volume}.tar"))

    def restore(self, folder: Path) -> None:
        """Make the volumes anew from such files."""
        for file in folder.glob("*.tar"):
            podman("volume", "create", f"{self.project}_{file.stem}")
            podman("volume", "import", f"{self.project}_{file.stem}", str(file))

    def remove_volumes(self) -> None:
        for volume in self.volumes():
            podman("volume", "rm", "--force", f"{self.project}_{volume}")
