"""A proxy in front of the S3 server that plays what a network and other endpoints do."""

from __future__ import annotations

import contextlib
import http.client
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING

import obstore

from tests.http_server import Handler, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from obstore.store import S3Store

    from tests.s3_server import S3Server


@dataclass
class Faults:
    """What goes wrong, until it is over."""

    # So many requests are answered 503.
    unavailable: int = 0
    # Requests the condition takes out are done and not answered.
    unanswered: Callable[[str, str], bool] = lambda _method, _path: False
    # Replies to GET of a path that ends so are cut off in the middle, so many times.
    truncated: str = ""
    truncations: int = 0
    # If-None-Match is not heeded; the client writes past the proxy then.
    unconditional: S3Store | None = None
    status: int = 0
    seen: list[str] = field(default_factory=list)


class _Proxy(ThreadingHTTPServer):
    def __init__(self, upstream: S3Server, faults: Faults) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.faults = faults


class _Handler(Handler):
    protocol_version = "HTTP/1.1"
    server: _Proxy

    def do(self) -> None:
        body = self.body()
        path = self.path.partition("?")[0]
        self.server.faults.seen.append(f"{self.command} {path}")
        if self.server.faults.unavailable > 0:
            self.server.faults.unavailable -= 1
            self._reply(503, {}, b"")
        elif self.server.faults.status:
            self._reply(
                self.server.faults.status, {}, b"<Error><Code>Played</Code><Message>It is played.</Message></Error>"
            )
        elif self.server.faults.unconditional is not None and self.headers.get("If-None-Match"):
            key = path.split("/", 2)[2]
            result = obstore.put(self.server.faults.unconditional, key, body)
            self._reply(200, {"ETag": result["e_tag"] or ""}, b"")
        else:
            self._forward(path, body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do  # noqa: N815 - http.server's names

    def _forward(self, path: str, body: bytes) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.upstream.port, timeout=60)
        try:
            # Signed with the proxy's own name, which is handed on.
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            reply = connection.getresponse()
            content = reply.read()
        except OSError:
            self.close_connection = True
            return
        finally:
            connection.close()
        if self.server.faults.unanswered(self.command, path):
            self.close_connection = True
            return
        headers = {
            name: value for name, value in reply.getheaders() if name.lower() not in {"transfer-encoding", "connection"}
        }
        is_cut = (
            self.command == "GET" and self.server.faults.truncations > 0 and path.endswith(self.server.faults.truncated)
        )
        if is_cut:
            self.server.faults.truncations -= 1
        self._reply(reply.status, headers, content, is_cut=is_cut)

    def _reply(self, status: int, headers: dict[str, str], content: bytes, *, is_cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        length = headers.get("Content-Length", len(content)) if self.command == "HEAD" else len(content)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if is_cut else content)
        if is_cut:
            self.close_connection = True


@contextlib.contextmanager
def in_front_of(server: S3Server, faults: Faults) -> Iterator[str]:
    """Yield the address of a proxy."""
    with running(_Proxy(server, faults)) as proxy:
        yield f"http://127.0.0.1:{proxy.server_port}"
