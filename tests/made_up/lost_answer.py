"""A proxy that loses one answer: the real server behind it has acted, and the client does not learn it."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

REMEMBERED = 4096  # bytes of a request that are searched


class LosesAnAnswer:
    """Passes everything on to `target`; once armed, it loses the answer to the first request that matches."""

    def __init__(self, target: int, request: bytes) -> None:
        self.target = target
        self.request = re.compile(request, re.DOTALL)
        self.armed = threading.Event()
        self.lost = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]

    def serve(self) -> None:
        with suppress(OSError):  # the listener is closed at the end
            while True:
                self.join_ends(self.listener.accept()[0])

    def join_ends(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self.target))
        seen, drop = bytearray(), threading.Event()

        def must_end_after_request(data: bytes) -> bool:
            if not self.armed.is_set():
                return False
            seen.extend(data)
            del seen[:-REMEMBERED]
            if self.request.search(seen):
                self.armed.clear()
                drop.set()
            return False

        def must_end_before_answer(_data: bytes) -> bool:
            if drop.is_set():
                self.lost.set()
            return drop.is_set()

        for source, sink, must_end in (
            (client, server, must_end_after_request),
            (server, client, must_end_before_answer),
        ):
            threading.Thread(target=pass_on, args=(source, sink, must_end), daemon=True).start()


def pass_on(source: socket.socket, sink: socket.socket, must_end: Callable[[bytes], bool]) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            if must_end(data):
                break
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def losing_one_answer(target: int, request: bytes) -> Iterator[LosesAnAnswer]:
    """Listen on `.port` of 127.0.0.1; `request` is a regular expression of bytes."""
    proxy = LosesAnAnswer(target, request)
    with proxy.listener:
        threading.Thread(target=proxy.serve, daemon=True).start()
        yield proxy
