"""One HTTP/1.1 answer, read from the pieces a socket brings (RFC 9112, section 6)."""

from __future__ import annotations

# Longer heads and chunk lines are no answer of a server that is measured here.
LONGEST_LINE_BYTES = 65_536
_BODYLESS = frozenset({204, 304})


class NotHttpError(ValueError):
    """What came is no HTTP answer."""


class Answer:
    r"""The answer that is being read on a connection, then the next one.

    >>> answer = Answer()
    >>> answer.feed(b"HTTP/1.1 200 OK\r\nContent-Le"), answer.feed(b"ngth: 2\r\n\r\n{}")
    (False, True)
    >>> answer.status, bytes(answer.body), answer.closes
    (200, b'{}', False)
    """

    def __init__(self, *, keep_body: bool = True) -> None:
        self.status = 0
        self.body = bytearray()
        self.closes = False
        self._keep_body = keep_body
        self._rest = b""
        # Bytes of the body still to come; None until the head is read.
        self._missing: int | None = None
        self._is_chunked = False
        self._ends_with_connection = False
        self._in_trailer = False

    def feed(self, data: bytes) -> bool:
        """Take what came; tell whether the answer is complete. Raise NotHttpError."""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        while self._missing is None:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._keep(data)
                return False
            self._read_head(data[: end + 2])
            data = data[end + 4 :]
        if self._is_chunked:
            return self._feed_chunks(data)
        if self._keep_body:
            self.body += data
        if self._ends_with_connection:
            return False
        self._missing -= len(data)
        if self._missing < 0:
            raise NotHttpError(f"{-self._missing} bytes more than Content-Length tells")
        return self._missing == 0

    def end(self) -> bool:
        """Tell whether the connection's end is the end of the answer."""
        return self._missing is not None and self._ends_with_connection

    def next(self) -> None:
        """Begin with the next answer."""
        if self.body:
            self.body = bytearray()
        self._missing = None
        self._rest = b""
        self._is_chunked = self._ends_with_connection = self._in_trailer = False

    def _read_head(self, head: bytes) -> None:
        if not head.startswith(b"HTTP/1.") or not head[9:12].isdigit():
            raise NotHttpError(f"expected an HTTP answer, got {head[:40]!r}")
        self.status = int(head[9:12])
        if self.status < 200:  # noqa: PLR2004 - 100 Continue and its kind: the answer is still to come
            return
        head = head.lower()
        self.closes = b"\r\nconnection: close\r\n" in head or head.startswith(b"http/1.0")
        self._is_chunked = b"\r\ntransfer-encoding: chunked\r\n" in head
        self._missing = 0
        start = head.find(b"\r\ncontent-length:")
        if self.status in _BODYLESS or self._is_chunked:
            return
        if start < 0:
            self._ends_with_connection = self.closes = True
            return
        length = head[start + 17 : head.index(b"\r\n", start + 17)].strip()
        if not length.isdigit():
            raise NotHttpError(f"expected a length, got {length[:40]!r}")
        self._missing = int(length)

    def _feed_chunks(self, data: bytes) -> bool:
        while True:
            assert self._missing is not None  # noqa: S101 - the head is read
            if self._missing:
                # A chunk's data and the line end behind it.
                taken = data[: self._missing]
                if self._keep_body:
                    self.body += taken[: max(self._missing - 2, 0)]
                self._missing -= len(taken)
                data = data[len(taken) :]
                if self._missing:
                    return False
            end = data.find(b"\r\n")
            if end < 0:
                self._keep(data)
                return False
            line, data = data[:end], data[end + 2 :]
            if self._in_trailer:
                if not line:
                    return True
                continue
            size = line.partition(b";")[0].strip()
            try:
                length = int(size, 16)
            except ValueError:
                raise NotHttpError(f"expected a chunk's size, got {size[:40]!r}") from None
            self._in_trailer = length == 0
            self._missing = length + 2 if length else 0

    def _keep(self, data: bytes) -> None:
        if len(data) > LONGEST_LINE_BYTES:
            raise NotHttpError(f"no end of a line within {LONGEST_LINE_BYTES} bytes")
        self._rest = data
