"""One request and one reply, and what answers the one with the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from typing import Any

JSON = b"application/json"


class Request(NamedTuple):
    """A complete request: `path` is decoded, `raw_path` is not; names of `headers` are in lower case.

    Of headers that come more than once the values are joined by commas (RFC 9110, 5.3). (Named tuples are made in a
    third of a frozen dataclass's time.)
    """

    method: str
    path: str
    raw_path: str
    query: str
    headers: Mapping[bytes, bytes]
    body: bytes

    @property
    def target(self) -> str:
        """Return path and query as they were sent."""
        return f"{self.raw_path}?{self.query}" if self.query else self.raw_path


class Reply(NamedTuple):
    """An answer; Content-Length, Date and Connection are added on the way out."""

    status: int
    body: bytes | bytearray
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Application(Protocol):
    """What a front asks."""

    def answer(self, request: Request) -> Reply | Coroutine[Any, Any, Reply]:
        """Return the reply, or a coroutine of it, which is cancelled when the client leaves.

        It must not hold the event loop for more than milliseconds.
        """

    def refusal(self, status: int, message: str) -> Reply:
        """Return what a client is told of a request that never became one."""
