"""Answers of a WebHDFS server that is no NameNode, or a hostile one."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import hdfs
import pytest

from model_registry.errors import InvalidModelFolderError
from model_registry.store.model_store import ModelStore
from model_registry.store.webhdfs import webhdfs_client
from model_registry.versions import ModelVersion

MODEL = ModelVersion("risk_encoder", 1, "ab" * 32)


class Listing(ThreadingHTTPServer):
    """Every folder holds one entry of this name and type; every file has the same bytes."""

    name = "saved_model.pb"
    type = "FILE"


class Answers(BaseHTTPRequestHandler):
    server: Listing

    def do_GET(self) -> None:
        if "op=GETFILESTATUS" in self.path:
            self.answer({"FileStatus": {"pathSuffix": "", "type": "DIRECTORY"}})
        elif "op=LISTSTATUS" in self.path:
            status = {"pathSuffix": self.server.name, "type": self.server.type, "modificationTime": 0}
            self.answer({"FileStatuses": {"FileStatus": [status]}})
        else:
            self.answer("bytes of the attacker")

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
