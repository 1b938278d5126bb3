"""HDFS and YARN of the one-machine cluster with Kerberos, encrypted data transfer and TLS for WebHDFS.

In   a realm, the services' certificate
Out  supervised processes: KDC, PostgreSQL, NameNode, two DataNodes, ResourceManager, NodeManager
"""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests

from local_cluster import postgres
from local_cluster.access.credentials import OWNER, write_credentials
from local_cluster.access.folders import make_hdfs_folders
from local_cluster.configuration import write_configuration
from local_cluster.environment import service_environment
from local_cluster.layout import Layout
from local_cluster.services import Service, hadoop_command, hadoop_services
from local_cluster.start import format_namenode, make_signing_keys, refuse_taken_ports
from local_cluster.supervision import (
    await_ready,
    start_services,
    start_supervisor,
    write_supervisor_configuration,
)
from model_registry.store.kerberos import keytab_login
from model_registry.store.webhdfs import webhdfs_client
from settings import HdfsLogin, Settings
from tests.kerberos.certificates import Authority
from tests.kerberos.realm import REALM, Realm

HDFS, YARN, HTTP = "hdfs/localhost", "yarn/localhost", "HTTP/localhost"
# Of delegation tokens. A job lasts 30 to 60 s here, so that most of them need no second one.
RENEWED_AFTER_SECONDS, LIFE_SECONDS = 60, 120


@dataclass(frozen=True)
class Secured:
    """Addresses and log-ins of the running services."""

    layout: Layout
    realm: Realm
    authority: Authority

    @property
    def settings(self) -> Settings:
        return self.layout.settings

    def login(self, name: str, ca_file: Path | None = None) -> HdfsLogin:
        """The log-in of a principal; with another authority, if one is given."""
        return HdfsLogin(
            kerberos_principal=f"{name}@{REALM}",
            kerberos_keytab=self.realm.keytab(name),
            ca_file=ca_file or self.authority.certificate,
        )

    def start(self) -> None:
        """Bring every service up from nothing, and give each identity its folders."""
        layout, services = self.layout, self.services()
        layout.make_folders()
        make_signing_keys(self.settings)
        passwords = write_credentials(layout.identities)
        refuse_taken_ports(layout)
        write_configuration(layout, self.configuration())
        write_supervisor_configuration(layout, services)
        start_supervisor(layout)
        postgres.initialise(layout, passwords[OWNER])
        self._bring_up(services[:2])
        postgres.create_databases(layout, passwords)
        format_namenode(layout)
        self._bring_up(services[2:])
        superuser = webhdfs_client(self.settings.webhdfs_url, "", self.login(HDFS))
        make_hdfs_folders(self.settings, superuser)

    def _bring_up(self, services: list[Service]) -> None:
        start_services(self.layout, services)
        for service in services:
            await_ready(self.layout, service)

    @contextmanager
    def acting_as(self, identity: str) -> Iterator[None]:
        """Let this process log in as another principal, and be that identity elsewhere, during the block."""
        login = {
            "RISK_KERBEROS_PRINCIPAL": f"{identity}@{REALM}",
            "RISK_KERBEROS_KEYTAB": str(self.realm.keytab(identity)),
        }
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**self.settings.identity(identity), **login}.items():
                patch.setenv(name, value)
            yield

    def hadoop_fs(self, name: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run Hadoop's own client, `hadoop fs`, with a ticket of this principal in a cache."""
        cache = self.layout.tmp / f"{name.replace('/', '_')}.ticket"
        self.realm.get_ticket(name, cache)
        command = hadoop_command(self.layout, "org.apache.hadoop.fs.FsShell", 128)
        return subprocess.run(
            [*command, *words],
            env={**service_environment(self.layout), "KRB5CCNAME": str(cache)},
            capture_output=True,
            text=True,
        )

    def services(self) -> list[Service]:
        ports = self.settings.ports
        ready: dict[str, Callable[[], bool]] = {
            "namenode": self._is_writable,
            "datanode-1": lambda: self._answers(ports.datanode_1_web),
            "datanode-2": lambda: self._answers(ports.datanode_2_web),
        }
        https = {
            name: ["-D", f"dfs.datanode.https.address=127.0.0.1:{port}"]
            for name, port in (("datanode-1", ports.datanode_1_web), ("datanode-2", ports.datanode_2_web))
        }
        hadoop = [
            replace(
                service,
                command=[*service.command, *https.get(service.name, [])],
                is_ready=ready.get(service.name, service.is_ready),
            )
            for service in hadoop_services(self.layout)
        ]
        return [self.realm.service(), postgres.postgres_service(self.layout), *hadoop]

    def configuration(self) -> dict[str, Mapping[str, str]]:
        """What Kerberos changes in the files of the one-machine cluster."""
        ports, keytab = self.settings.ports, self.realm.keytab

        def of(prefix: str, name: str, keytab_key: str) -> dict[str, str]:
            return {
                f"{prefix}.kerberos.principal": f"{name}@{REALM}",
                f"{prefix}.{keytab_key}": str(keytab(name)),
            }

        key_store = {
            "location": str(self.authority.key_store),
            "type": "PKCS12",
            "password": self.authority.password,
            "keypassword": self.authority.password,
        }
        return {
            "core-site.xml": {
                "hadoop.security.authentication": "kerberos",
                "hadoop.security.authorization": "true",
            },
            "hdfs-site.xml": {
                **of("dfs.namenode", HDFS, "keytab.file"),
                **of("dfs.datanode", HDFS, "keytab.file"),
                **of("dfs.web.authentication", HTTP, "kerberos.keytab"),
                # Without it WebHDFS has no log-in, and refuses everybody.
                **of("hadoop.http.authentication", HTTP, "kerberos.keytab"),
                "hadoop.http.authentication.type": "kerberos",
                # Without privileged ports a DataNode must prove itself by SASL, and serve its pages by TLS.
                "dfs.data.transfer.protection": "privacy",
                "dfs.block.access.token.enable": "true",
                "dfs.http.policy": "HTTPS_ONLY",
                "dfs.namenode.https-address": f"127.0.0.1:{ports.namenode_web}",
                "dfs.datanode.hostname": "localhost",
                "dfs.namenode.delegation.token.renew-interval": str(RENEWED_AFTER_SECONDS * 1000),
                "dfs.namenode.delegation.token.max-lifetime": str(LIFE_SECONDS * 1000),
            },
            "yarn-site.xml": {
                "yarn.resourcemanager.principal": f"{YARN}@{REALM}",
                "yarn.resourcemanager.keytab": str(keytab(YARN)),
                "yarn.nodemanager.principal": f"{YARN}@{REALM}",
                "yarn.nodemanager.keytab": str(keytab(YARN)),
                # Containers find the realm as every other process of the test does.
                "yarn.nodemanager.env-whitelist": "JAVA_HOME,HADOOP_CONF_DIR,PATH,LANG,TZ,RISK_CLUSTER_OWNER,JAVA_TOOL_OPTIONS",
            },
            # With Kerberos an application master in the driver never registers with the ResourceManager.
            "spark-defaults.conf": {"spark.yarn.unmanagedAM.enabled": "false"},
            "ssl-server.xml": {f"ssl.server.keystore.{name}": value for name, value in key_store.items()},
        }

    def _answers(self, web_port: int) -> bool:
        return bool(self._beans(web_port, "Hadoop:service=DataNode,*"))

    def _is_writable(self) -> bool:
        """Whether both DataNodes are registered and the NameNode has left safe mode."""
        beans = self._beans(self.settings.ports.namenode_web, "Hadoop:service=NameNode,name=*")
        values = {name: value for bean in beans for name, value in bean.items()}
        return values.get("NumLiveDataNodes") == 2 and not values.get("Safemode")

    def _beans(self, web_port: int, query: str) -> list[dict[str, object]]:
        url = f"https://localhost:{web_port}/jmx?qry={query}"
        login = keytab_login(f"{HDFS}@{REALM}", self.realm.keytab(HDFS))
        try:
            answer = requests.get(url, timeout=5, verify=str(self.authority.certificate), auth=login)
        except requests.RequestException:
            return []  # not up yet: the caller asks again until its deadline
        beans: list[dict[str, object]] = answer.json()["beans"] if answer.ok else []
        return beans
