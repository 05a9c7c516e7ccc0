"""Small HTTP servers for tests: what one answers is its test's, how it runs and falls silent is here."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Server = TypeVar("Server", bound=HTTPServer)
POLL_SECONDS = 0.01


class Handler(BaseHTTPRequestHandler):
    """What requests are answered by: `get` and `post`, 404 where a test has none. It logs nothing."""

    def do_GET(self) -> None:
        """See http.server."""
        self.get()

    def do_POST(self) -> None:
        """See http.server."""
        self.post()

    def get(self) -> None:
        """Answer a GET."""
        self.reply(404, b"")

    def post(self) -> None:
        """Answer a POST."""
        self.reply(404, b"")

    def body(self) -> bytes:
        """Return the request's body."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def reply(self, status: int, content: bytes, **headers: str) -> None:
        """Send an answer, with headers whose names have `_` for `-`."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Tell nothing."""


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """Run a server in a thread while the block runs."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": POLL_SECONDS})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def serving(handler: Callable[..., Any]) -> Iterator[str]:
    """Answer by a handler on a free port of loopback while the block runs; yield the address."""
    with running(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}"
