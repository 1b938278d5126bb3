"""A Kerberos realm of its own: a real KDC on 127.0.0.1, whose files all lie below one folder.

In   an empty folder, a free port
Out  krb5.conf for clients; one keytab for each principal, which only its owner may read
"""

import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from local_cluster.layout import UMASK
from local_cluster.services import Service

REALM = "RISK.TEST"

# Names are not looked up in DNS. Five seconds of clock skew: by default an expired ticket is taken for five
# minutes more.
KRB5_CONF = """\
[libdefaults]
    default_realm = {realm}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    udp_preference_limit = 1
    clockskew = 5
[realms]
    {realm} = {{
        kdc = 127.0.0.1:{port}
    }}
[domain_realm]
    localhost = {realm}
"""
KDC_CONF = """\
[kdcdefaults]
    kdc_listen = ""
    kdc_tcp_listen = 127.0.0.1:{port}
[realms]
    {realm} = {{
        database_name = {folder}/principals
        key_stash_file = {folder}/stash
        supported_enctypes = aes256-cts:normal
        max_life = 1h
    }}
[logging]
    kdc = STDERR
"""


@dataclass(frozen=True)
class Realm:
    folder: Path
    port: int

    @property
    def krb5_conf(self) -> Path:
        return self.folder / "krb5.conf"

    def environment(self) -> dict[str, str]:
        """Variables of every process that uses the realm: Kerberos's own library, and Java's."""
        return {
            "KRB5_CONFIG": str(self.krb5_conf),
            "JAVA_TOOL_OPTIONS": f"-Djava.security.krb5.conf={self.krb5_conf}",
        }

    def create(self) -> None:
        """Write the configuration and make the database, with a master key in a stash file."""
        self.folder.mkdir(parents=True, mode=0o777 & ~UMASK)
        values = {"realm": REALM, "port": self.port, "folder": self.folder}
        self.krb5_conf.write_text(KRB5_CONF.format(**values))
        (self.folder / "kdc.conf").write_text(KDC_CONF.format(**values))
        self._run("kdb5_util", "-r", REALM, "create", "-s", "-W", "-P", token_hex(16))

    def add(self, name: str, longest_life: str = "1 hour") -> Path:
        """Add the principal `name@RISK.TEST` with a random key; return its keytab."""
        keytab = self.keytab(name)
        self._administer("addprinc", "-randkey", "-maxlife", longest_life, name)
        self._administer("ktadd", "-k", str(keytab), name)
        return keytab

    def change_key(self, name: str) -> None:
        """Give the principal another key than its keytab holds."""
        self._administer("change_password", "-randkey", name)

    def remove(self, name: str) -> None:
        self._administer("delprinc", "-force", name)

    def keytab(self, name: str) -> Path:
        return self.folder / f"{name.replace('/', '-')}.keytab"

    def get_ticket(self, name: str, cache: Path) -> None:
        """Put a ticket into a cache, as `kinit` does for a person."""
        command = ["kinit", "-c", str(cache), "-k", "-t", str(self.keytab(name)), f"{name}@{REALM}"]
        self._run(*command)

    def service(self) -> Service:
        """The KDC as a supervised process."""
        return Service(
            "kdc", [_program("krb5kdc"), "-n", "-r", REALM], lambda: _listens(self.port), self._variables()
        )

    def _administer(self, *words: str) -> None:
        self._run("kadmin.local", "-r", REALM, *words)

    def _variables(self) -> dict[str, str]:
        return {"KRB5_CONFIG": str(self.krb5_conf), "KRB5_KDC_PROFILE": str(self.folder / "kdc.conf")}

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [_program(program), *words],
            env={**os.environ, **self._variables()},
            capture_output=True,
            text=True,
            umask=UMASK,
        )
        assert done.returncode == 0, f"{program} failed: {done.stdout}{done.stderr}"


def _program(name: str) -> str:
    """Debian puts programs of the KDC where only root's PATH leads."""
    places = [*os.environ["PATH"].split(":"), "/usr/sbin"]
    return next(str(Path(place, name)) for place in places if Path(place, name).exists())


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
