"""A test authority and the certificate that it signs for this machine's services.

Out  ca.pem, which clients trust; localhost.p12, the key and certificate of every service
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from local_cluster.layout import UMASK


@dataclass(frozen=True)
class Authority:
    folder: Path
    password: str  # of localhost.p12

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def key_store(self) -> Path:
        return self.folder / "localhost.p12"


def create_authority(folder: Path) -> Authority:
    """Make an authority, and let it sign a certificate for localhost and 127.0.0.1."""
    folder.mkdir(parents=True, mode=0o777 & ~UMASK)
    authority = Authority(folder, token_hex(16))
    key = ["-newkey", "rsa:2048", "-noenc", "-days", "2"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE"]
    _openssl(
        folder, "req", "-x509", *key, "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem"
    )
    _openssl(
        folder,
        *("req", "-x509", *key, "-subj", "/CN=localhost", *names, *signed),
        *("-keyout", "localhost.key", "-out", "localhost.pem"),
    )
    _openssl(
        folder,
        *("pkcs12", "-export", "-in", "localhost.pem", "-inkey", "localhost.key", "-name", "localhost"),
        *("-out", "localhost.p12", "-passout", "stdin"),
        stdin=authority.password,
    )
    return authority


def _openssl(folder: Path, *words: str, stdin: str = "") -> None:
    done = subprocess.run(
        ["openssl", *words], cwd=folder, input=stdin, capture_output=True, text=True, umask=UMASK
    )
    assert done.returncode == 0, f"openssl {words[0]} failed: {done.stderr}"
