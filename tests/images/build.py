"""Build the images of docker/Dockerfile by buildah, without a Docker engine: python -m tests.images.build

In   Debian's packages, by debootstrap where the base is not there
Out  localhost/risk-scoring/airflow:0.1.0 and the others
"""

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from settings import REPOSITORY

BASE = "docker.io/library/debian:bookworm-slim"
TARGETS = ("hadoop", "airflow", "mlflow", "postgres", "proxy")
# Podman would copy this host's names of the services, which stand for 127.0.0.1, into every container.
CONTAINERS_CONF = """\
[containers]
base_hosts_file = "none"
cgroups = "disabled"
default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
"""


def configure_podman(folder: Path) -> None:
    """Let podman find its configuration by its variable."""
    (folder / "containers.conf").write_text(CONTAINERS_CONF)
    os.environ["CONTAINERS_CONF"] = str(folder / "containers.conf")


def import_base(scratch: Path) -> None:
    """Make Debian's base image with debootstrap, unless it is there: its registry may be out of reach.

    This host's further certificate authorities and pip's setting for them go into it, and into no Dockerfile.
    """
    if subprocess.run(["podman", "image", "exists", BASE]).returncode == 0:
        return
    root = scratch / "base"
    subprocess.run(["debootstrap", "--variant=minbase", "bookworm", str(root)], check=True)
    authorities = Path("/usr/local/share/ca-certificates")
    (root / authorities.relative_to("/")).mkdir(parents=True, exist_ok=True)
    for certificate in authorities.glob("*.crt"):
        (root / certificate.relative_to("/")).write_bytes(certificate.read_bytes())
    (root / "etc/pip.conf").write_text("[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n")
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as packed:
        subprocess.run(["podman", "import", "-", BASE], stdin=packed.stdout, check=True)


def build_images() -> None:
    """Build every target of the Dockerfile."""
    for target in TARGETS:
        subprocess.run(
            # Podman's own format drops HEALTHCHECK; `oci` isolation needs cgroups.
            [
                *(
                    "buildah",
                    "bud",
                    "--pull-never",
                    "--layers",
                    "--format",
                    "docker",
                    "--isolation",
                    "chroot",
                ),
                *("--file", "docker/Dockerfile", "--target", target),
                *("--tag", f"localhost/risk-scoring/{target}:0.1.0", "."),
            ],
            cwd=REPOSITORY,
            check=True,
        )


if __name__ == "__main__":
    with TemporaryDirectory(prefix="base_") as scratch:
        configure_podman(Path(scratch))
        import_base(Path(scratch))
        build_images()
