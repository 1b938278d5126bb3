"""A local folder that answers as a NameNode does over WebHDFS, for what the DAGs ask."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


def file_status(path: Path, name: str) -> dict[str, Any]:
    status, is_folder = path.stat(), path.is_dir()
    return {
        "pathSuffix": name,
        "type": "DIRECTORY" if is_folder else "FILE",
        "length": 0 if is_folder else status.st_size,
        "modificationTime": status.st_mtime_ns // 1_000_000,
    }


def remote_exception(exception: str, message: str) -> bytes:
    return json.dumps({"RemoteException": {"exception": exception, "message": message}}).encode()


class Handler(BaseHTTPRequestHandler):
    """Serves `server.root`; folders named in `server.forbidden` are refused as HDFS refuses them."""

    server: "WebHdfsServer"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        name = unquote(url.path).removeprefix("/webhdfs/v1/")
        path, operation = self.server.root / name, parse_qs(url.query)["op"][0]
        self.server.asked.append((operation, f"/{name}"))
        if any(Path(f"/{name}").is_relative_to(folder) for folder in self.server.forbidden):
            message = f'Permission denied: user=risk, access=EXECUTE, inode="/{name}":other:other:drwx------'
            self.answer(403, remote_exception("AccessControlException", message))
        elif not path.exists():
            self.answer(404, remote_exception("FileNotFoundException", f"File does not exist: /{name}"))
        elif operation == "OPEN":
            self.answer(200, path.read_bytes())
        elif operation == "GETFILESTATUS":
            self.answer(200, json.dumps({"FileStatus": file_status(path, "")}).encode())
        else:
            children = path.iterdir() if path.is_dir() else [path]
            statuses = [file_status(child, child.name) for child in children]
            self.answer(200, json.dumps({"FileStatuses": {"FileStatus": statuses}}).encode())

    def answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: tests look at `asked`."""


class WebHdfsServer(ThreadingHTTPServer):
    """On a port of 127.0.0.1; 0 chooses a free one."""

    def __init__(self, root: Path, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.root = root
        self.forbidden: list[str] = []
        self.asked: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def web_hdfs(root: Path, port: int = 0) -> Iterator[WebHdfsServer]:
    with WebHdfsServer(root, port) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
