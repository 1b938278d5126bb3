"""Answers of a WebHDFS server that is no NameNode, or a hostile one, and DataNodes that are away."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import hdfs
import pytest

from model_registry.errors import (
    DataNodeDownError,
    InvalidModelFolderError,
    NoTicketError,
    TicketRefusedError,
    WebHdfsDownError,
)
from model_registry.store import kerberos, webhdfs
from model_registry.store.model_store import ModelStore
from model_registry.store.webhdfs import WebHdfs, webhdfs_client
from model_registry.versions import ModelVersion
from settings import HdfsLogin

MODEL = ModelVersion("risk_encoder", 1, "ab" * 32)
CLOSED_PORT = 1  # of tcpmux, for which no system listens any more


class Listing(ThreadingHTTPServer):
    """Every folder holds one entry of this name and type; every file has the same bytes."""

    name = "saved_model.pb"
    type = "FILE"
    asks_for_kerberos = False
    dead_datanodes = 0  # redirects to a port where nothing listens, before a file is answered


class Answers(BaseHTTPRequestHandler):
    server: Listing

    def do_GET(self) -> None:
        if self.server.asks_for_kerberos:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Negotiate")
            self.end_headers()
        elif "op=GETFILESTATUS" in self.path:
            self.answer({"FileStatus": {"pathSuffix": "", "type": "DIRECTORY"}})
        elif "op=LISTSTATUS" in self.path:
            status = {"pathSuffix": self.server.name, "type": self.server.type, "modificationTime": 0}
            self.answer({"FileStatuses": {"FileStatus": [status]}})
        elif self.server.dead_datanodes:
            self.server.dead_datanodes -= 1
            self.redirect(f"http://127.0.0.1:{CLOSED_PORT}/datanode")
        else:
            self.answer("bytes of the attacker")

    def redirect(self, url: str) -> None:
        self.send_response(307)
        self.send_header("Location", url)
        self.end_headers()

    def answer(self, content: object) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Listing]:
    with Listing(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


@pytest.fixture
def client(server: Listing) -> hdfs.Client:
    return webhdfs_client(f"http://127.0.0.1:{server.server_port}", "risk")


@pytest.mark.parametrize("name", ["../../../evil", "..", ".", "/etc/evil"])
@pytest.mark.parametrize("kind", ["FILE", "DIRECTORY"])
def test_a_name_that_leads_out_of_the_folder_is_refused_and_nothing_is_written(
    server, client, tmp_path, name, kind
):
    server.name, server.type = name, kind
    store = ModelStore(client, "/models", "hdfs://127.0.0.1:8020")
    with pytest.raises(InvalidModelFolderError, match="leads out of it"):
        store.pull(MODEL, tmp_path / "a" / "b" / "c")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which are not made."""
    pauses: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", pauses.append)
    return pauses


def test_a_file_is_asked_for_until_the_namenode_chooses_a_datanode_that_is_alive(server, client, pauses):
    server.dead_datanodes = 6
    assert WebHdfs(client).read_text("/receipts/a.json") == '"bytes of the attacker"'
    assert len(pauses) == 6


def test_a_datanode_that_stays_away_is_named_in_the_end(server, client, pauses, monkeypatch):
    monkeypatch.setattr(webhdfs, "DATANODE_SECONDS", 0)
    server.dead_datanodes = 100
    with pytest.raises(DataNodeDownError, match=f"127.0.0.1:{CLOSED_PORT} to read /receipts/a.json"):
        WebHdfs(client).read_text("/receipts/a.json")
    assert len(pauses) == 2


def test_a_namenode_that_is_away_is_given_up_after_three_attempts(pauses):
    with pytest.raises(WebHdfsDownError):
        WebHdfs(webhdfs_client(f"http://127.0.0.1:{CLOSED_PORT}", "risk")).read_text("/receipts/a.json")
    assert len(pauses) == 2


def test_a_client_without_a_log_in_is_told_how_to_get_one(server, client):
    server.asks_for_kerberos = True
    with pytest.raises(NoTicketError, match="set RISK_KERBEROS_PRINCIPAL and RISK_KERBEROS_KEYTAB"):
        WebHdfs(client).read_text("/receipts/a.json")


def test_a_log_in_without_its_package_says_how_to_install_it(server, tmp_path, monkeypatch):
    monkeypatch.setattr(kerberos, "gssapi", None)
    keytab = tmp_path / "risk.keytab"
    keytab.touch(mode=0o600)
    login = HdfsLogin(kerberos_principal="risk@EXAMPLE.COM", kerberos_keytab=keytab)
    with pytest.raises(TicketRefusedError, match="apt-get install libkrb5-dev"):
        webhdfs_client(f"http://127.0.0.1:{server.server_port}", "risk", login)


@pytest.mark.usefixtures("pauses")
def test_a_server_that_speaks_no_tls_is_not_taken_for_an_untrusted_one(server):
    client = webhdfs_client(f"https://127.0.0.1:{server.server_port}", "risk")
    with pytest.raises(WebHdfsDownError, match="SSLError"):
        WebHdfs(client).read_text("/receipts/a.json")
