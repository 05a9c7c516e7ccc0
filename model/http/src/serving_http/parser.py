"""Bytes to requests: httptools' parser with limits, and without its leap into other protocols."""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING

import httptools

from serving_http import statuses
from serving_http.messages import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving_http.limits import Limits

# What a client that speaks HTTP/2 without asking sends first (RFC 9113, 3.4).
HTTP2_PREFACE = b"PRI * HTTP/2"
# Chunks of five bytes take ten on the wire. A body that takes more, but for so many bytes, is cut into pieces that each
# take a microsecond, or has extensions or trailers without end.
WIRE_OVERHEAD = 2
WASTED_BYTES = 16 << 10
# What every server should take of a path and its query (RFC 9110, 4.1), and no client of ours needs more. It is the one
# part of a head that takes time, since it is looked through and decoded.
TARGET_BYTES = 8 << 10
# Has no Transfer-Encoding: what it says of a body's end cannot be relied on (RFC 9112, 6.1).
OLD_VERSION = "1.0"


class RefusedError(Exception):
    """A request that is answered before it is complete; the connection ends with it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Parser:
    """The requests of one connection.

    `feed` calls `complete(request, is_last)` for each that is whole and `expects_continue()` where a client waits for
    leave to send its body; `hold(size)` is asked before a piece of a body is kept. Once `refused` is set no more is
    taken. `is_in_head` and `is_in_body` tell what is on its way.
    """

    __slots__ = (
        "_body",
        "_complete",
        "_continue",
        "_fields",
        "_head_bytes",
        "_headers",
        "_hold",
        "_is_upgrade",
        "_limits",
        "_parser",
        "_target",
        "_wire_bytes",
        "is_in_body",
        "is_in_head",
        "refused",
    )

    def __init__(
        self,
        limits: Limits,
        complete: Callable[[Request, bool], None],
        expects_continue: Callable[[], None],
        hold: Callable[[int], bool],
    ) -> None:
        # For the life of the connection.
        self._limits = limits
        self._complete = complete
        self._continue = expects_continue
        self._hold = hold
        self._parser = httptools.HttpRequestParser(self)
        self.refused: RefusedError | None = None
        # For the life of a request.
        self.is_in_head = False
        self.is_in_body = False
        self._target = b""
        self._fields: dict[bytes, bytes] = {}
        self._headers = 0
        self._head_bytes = 0
        self._wire_bytes = 0
        self._body: bytes | bytearray = b""
        self._is_upgrade = False

    def feed(self, data: bytes) -> None:
        """Take bytes as they came."""
        self._wire_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._go_on_in_http(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError:
            # One of the methods below failed, which is a fault of ours.
            self.refused = self.refused or RefusedError(statuses.INTERNAL_ERROR, "internal error")
        except httptools.HttpParserError as error:
            self._refuse_malformed(data, error)
        if self.is_in_head and self._wire_bytes > self._limits.max_header_bytes:
            self._refuse_head()

    def _refuse_malformed(self, data: bytes, error: Exception) -> None:
        if data.startswith(HTTP2_PREFACE):
            self._refuse(statuses.VERSION_NOT_SUPPORTED, "expected HTTP/1.1, got HTTP/2")
        else:
            self._refuse(statuses.BAD_REQUEST, f"expected an HTTP/1.1 request: {error}")

    def _refuse(self, status: int, message: str) -> None:
        if self.refused is None:
            self.refused = RefusedError(status, message)

    def _refuse_head(self) -> None:
        most = self._limits.max_header_bytes
        self._refuse(statuses.HEADERS_TOO_LARGE, f"expected a request line and headers of at most {most} bytes")

    def _go_on_in_http(self, rest: bytes) -> None:
        """Go on behind a head that asks for another protocol, which is ignored (RFC 9110, 7.8).

        httptools has stopped there, and takes a body for that protocol's bytes; so a new parser is given the same head
        without the wish.
        """
        method = self._parser.get_method()
        if method == b"CONNECT":
            self._refuse(statuses.METHOD_NOT_ALLOWED, "CONNECT is for proxies, and this is none")
            return
        version = self._parser.get_http_version().encode()
        fields = [name + b": " + value for name, value in self._fields.items() if name != b"upgrade"]
        head = b"\r\n".join([method + b" " + self._target + b" HTTP/" + version, *fields, b"", b""])
        self._parser = httptools.HttpRequestParser(self)
        self.feed(head + rest)

    # ---- httptools' calls

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.is_in_head = True
        self._target = b""
        self._fields = {}
        self._headers = 0
        self._head_bytes = 0
        self._body = b""
        self._is_upgrade = False

    def on_url(self, part: bytes) -> None:
        """Take a part of the request's target."""
        self._target += part
        self._head_bytes += len(part)
        if len(self._target) > TARGET_BYTES:
            self._refuse(statuses.TARGET_TOO_LONG, f"expected a path and a query of at most {TARGET_BYTES} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers, which come behind a body, are left out."""
        if not self.is_in_head:
            return
        self._head_bytes += len(name) + len(value)
        self._headers += 1
        if self._headers > self._limits.max_headers:
            self._refuse(statuses.HEADERS_TOO_LARGE, f"expected at most {self._limits.max_headers} headers")
            return
        name = name.lower()
        fields = self._fields
        if name not in fields:
            fields[name] = value
        elif name == b"host":
            self._refuse(statuses.BAD_REQUEST, "expected one Host header, got several")
        else:
            fields[name] += (b"; " if name == b"cookie" else b", ") + value

    def on_headers_complete(self) -> None:
        """Decide by its head whether a request is taken."""
        self.is_in_head = False
        if self._parser.should_upgrade():
            self._is_upgrade = True
            return
        self.is_in_body = True
        self._wire_bytes = 0
        fields = self._fields
        if self._head_bytes > self._limits.max_header_bytes:
            self._refuse_head()
        if b"transfer-encoding" in fields and self._parser.get_http_version() == OLD_VERSION:
            self._refuse(statuses.BAD_REQUEST, "expected Content-Length: HTTP/1.0 has no Transfer-Encoding")
        length = fields.get(b"content-length", b"0")
        most = self._limits.max_body_bytes
        if length != b"0" and int(length) > most:
            self._refuse(statuses.TOO_LARGE, f"expected a body of at most {most} bytes, got {int(length)}")
        if b"expect" in fields and self.refused is None:
            self._expect(fields[b"expect"].strip().lower(), length)

    def _expect(self, wish: bytes, length: bytes) -> None:
        if wish != b"100-continue":
            shown = wish[:60].decode("latin-1")
            self._refuse(statuses.EXPECTATION_FAILED, f"expected 'Expect: 100-continue', got {shown}")
        elif self._parser.get_http_version() != OLD_VERSION and (
            length != b"0" or b"transfer-encoding" in self._fields
        ):
            self._continue()

    def on_body(self, part: bytes) -> None:
        """Keep a part of the body, as far as there is room."""
        if self.refused is not None:
            return
        most = self._limits.max_body_bytes
        if len(self._body) + len(part) > most:
            self._refuse(statuses.TOO_LARGE, f"expected a body of at most {most} bytes")
        elif not self._hold(len(part)):
            self._refuse(statuses.UNAVAILABLE, "too many bodies are being read")
        elif not self._body:
            self._body = part
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += part

    def on_message_complete(self) -> None:
        """Hand over a request."""
        if self._is_upgrade:
            return
        self.is_in_body = False
        self._wire_bytes = 0
        if self.refused is None:
            body, self._body = bytes(self._body), b""
            self._complete(self._request(body), not self._parser.should_keep_alive())

    def forget(self) -> None:
        """Let go of what has come of a request that will not be whole."""
        self._body = b""
        self._fields = {}

    @property
    def is_wasteful(self) -> bool:
        """Tell whether what a body has taken on the wire is far more than the body."""
        return self.is_in_body and self._wire_bytes > WASTED_BYTES + WIRE_OVERHEAD * len(self._body)

    def _request(self, body: bytes) -> Request:
        target = self._target
        if not target.startswith(b"/") and b"://" in target:
            # Absolute, as proxies are asked (RFC 9112, 3.2.2).
            _, slash, rest = target.partition(b"://")[2].partition(b"/")
            target = slash + rest or b"/"
        raw_path, _, query = target.partition(b"#")[0].decode("latin-1").partition("?")
        path = urllib.parse.unquote(raw_path) if "%" in raw_path else raw_path
        method = self._parser.get_method().decode("latin-1")
        return Request(method, path, raw_path, query, self._fields, body)
