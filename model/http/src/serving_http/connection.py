"""One connection: its requests one after the other, in the order they came."""

from __future__ import annotations

import asyncio
import enum
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from serving_http import statuses
from serving_http.messages import Reply
from serving_http.parser import Parser, RefusedError

if TYPE_CHECKING:
    from serving_http.front import Front
    from serving_http.messages import Request

LOG = logging.getLogger(__name__)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# Further requests that may wait on a connection while one is under way, in bytes that are not looked at yet.
BACKLOG_BYTES = 64 << 10
FED_BYTES = 16 << 10
# A reply's body is copied to its head, for one call of the network less, up to this.
JOINED_BYTES = 64 << 10
RETRY = ((b"retry-after", b"1"),)


class Phase(enum.Enum):
    """What a connection is doing; the front watches how long."""

    NEW = "nothing has come yet"
    IDLE = "between requests"
    HEAD = "a head is on its way"
    BODY = "a body is on its way"
    BUSY = "a request is under way"
    WRITING = "a reply waits for a slow reader"
    LINGERING = "refused; what is still on its way is thrown away"
    CLOSING = "closed, once all is sent"


WAITING = frozenset({Phase.NEW, Phase.IDLE, Phase.HEAD, Phase.BODY})


class Connection(asyncio.Protocol):
    """A client's connection; what all of them share is the Front's."""

    def __init__(self, front: Front) -> None:
        # For the life of the connection.
        self._front = front
        self._parser = Parser(front.limits, self._complete, self._send_continue, self._hold)
        self._transport: Any = None
        self._queue: deque[tuple[Request, bool]] = deque()
        self._backlog = bytearray()
        self._is_paused = False
        self._is_writable = True
        # Bytes of bodies on their way, waiting and under way; and of a reply that the client has not read.
        self.held_bytes = 0
        self.unsent_bytes = 0
        self.phase = Phase.NEW
        self.since = 0.0
        # For the life of a request.
        self._task: asyncio.Task[Reply] | None = None
        self._request: Request | None = None
        self._is_last = False

    # ---- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read, or refuse where there are too many connections."""
        self._transport = transport
        is_admitted = self._front.admit()
        self._front.enter(self, Phase.NEW)
        if not is_admitted:
            self._refuse(RefusedError(statuses.UNAVAILABLE, "too many connections"))

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the connection; what is under way for it is not waited for any more."""
        del error
        if self._task is not None:
            self._task.cancel()
        self._parser.forget()
        self._queue.clear()
        self._release(self.held_bytes)
        self._front.note_unsent(self, 0)
        self._front.leave(self)

    def eof_received(self) -> bool:
        """Close: a client that has closed its side has left."""
        return False

    def pause_writing(self) -> None:
        """Answer no more requests until the client has read."""
        self._is_writable = False

    def resume_writing(self) -> None:
        """Go on with the next request."""
        self._is_writable = True
        self._front.note_unsent(self, 0)
        if self.phase is Phase.WRITING:
            self._front.enter(self, Phase.IDLE)
            self._proceed()

    def data_received(self, data: bytes) -> None:
        """Parse what comes; while a request is under way it waits."""
        if self.phase in WAITING:
            self._feed(data)
            self._proceed()
        elif self.phase is Phase.BUSY or self.phase is Phase.WRITING:
            self._backlog += data
            if len(self._backlog) > BACKLOG_BYTES and not self._is_paused:
                self._is_paused = True
                self._transport.pause_reading()

    # ---- requests

    def _feed(self, data: bytes) -> None:
        """Parse a piece at a time: one may hold thousands of chunks, and is refused before the next."""
        parser = self._parser
        for start in range(0, len(data), FED_BYTES):
            parser.feed(data[start : start + FED_BYTES])
            if parser.is_wasteful:
                parser.refused = RefusedError(statuses.TOO_LARGE, "expected a body, got little but chunk headers")
            if parser.refused is not None:
                return

    def _complete(self, request: Request, is_last: bool) -> None:  # noqa: FBT001 - as the parser calls it
        self._queue.append((request, is_last))

    def _send_continue(self) -> None:
        # Not before the replies to requests that came before.
        if not self._queue:
            self._transport.write(CONTINUE)

    def _hold(self, size: int) -> bool:
        self.held_bytes += size
        return self._front.hold(self, size)

    def _release(self, size: int) -> None:
        self.held_bytes -= size
        self._front.held_bytes -= size

    def _proceed(self) -> None:
        """Answer what can be answered; then wait for an answer, for the client to read, or for more to come."""
        while self.phase in WAITING:
            if self._queue:
                self._begin(*self._queue.popleft())
            elif self._parser.refused is not None:
                self._refuse(self._parser.refused)
            elif self._backlog:
                data = bytes(self._backlog)
                self._backlog.clear()
                if self._is_paused:
                    self._is_paused = False
                    self._transport.resume_reading()
                self._feed(data)
            else:
                self._wait()
                return

    def _wait(self) -> None:
        phase = self.phase
        if self._parser.is_in_head:
            phase = Phase.HEAD
        elif self._parser.is_in_body:
            phase = Phase.BODY
        elif phase is not Phase.NEW:
            phase = Phase.IDLE
        if phase is not self.phase:
            self._front.enter(self, phase)

    def _begin(self, request: Request, is_last: bool) -> None:  # noqa: FBT001 - as it was queued
        self._request, self._is_last = request, is_last
        is_full = self._front.requests >= self._front.limits.max_requests
        self._front.enter(self, Phase.BUSY)
        try:
            answer = self._front.application.answer(request)
        except Exception:
            LOG.exception("%s failed", request.method)
            answer = self._failed()
        if isinstance(answer, Reply):
            # Nothing that has to be waited for is never too much: probes are answered whatever else is under way.
            self._finish(answer)
        elif is_full:
            answer.close()
            refusal = self._front.application.refusal(statuses.UNAVAILABLE, "too many requests are under way")
            self._finish(refusal, RETRY)
        else:
            self._task = self._front.loop.create_task(answer)
            self._task.add_done_callback(self._answered)

    def _failed(self) -> Reply:
        return self._front.application.refusal(statuses.INTERNAL_ERROR, "internal error")

    def _answered(self, task: asyncio.Task[Reply]) -> None:
        self._task = None
        if task.cancelled():
            # The client has left, or the process ends.
            self._transport.abort()
            return
        if (error := task.exception()) is not None:
            LOG.error("a request failed", exc_info=error)
        if self.phase is Phase.BUSY:
            self._finish(self._failed() if error is not None else task.result())
            self._proceed()

    # ---- replies

    def _finish(self, reply: Reply, more: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        """Send the reply to the request under way, and be ready for the next."""
        request = self._request
        assert request is not None  # noqa: S101 - set as it began
        self._request = None
        self._is_last = self._is_last or self._front.is_draining
        self._write(reply, request.method, more)
        self._release(len(request.body))
        if self._is_last:
            self._close()
        elif self._is_writable:
            self._front.enter(self, Phase.IDLE)
        else:
            self._front.enter(self, Phase.WRITING)
            self._front.note_unsent(self, self._transport.get_write_buffer_size())

    def _write(self, reply: Reply, method: str, more: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        parts = [
            statuses.LINES[reply.status],
            b"content-type: ",
            reply.content_type,
            b"\r\ncontent-length: %d\r\n" % len(reply.body),
        ]
        for name, value in reply.headers + more:
            parts += (name, b": ", value, b"\r\n")
        # Clients of HTTP/1.0 that asked for it must be told that they have it.
        parts.append(self._front.date_close if self._is_last else self._front.date_keep)
        is_joined = len(reply.body) <= JOINED_BYTES
        if is_joined and method != "HEAD":
            parts.append(bytes(reply.body))
        self._transport.write(b"".join(parts))
        if not is_joined and method != "HEAD":
            self._transport.write(reply.body)

    def refuse(self, status: int, message: str) -> None:
        """Answer a request that is not complete, and close."""
        self._refuse(RefusedError(status, message))

    def _refuse(self, error: RefusedError) -> None:
        """Tell why, read on for a moment, for an answer is lost where bytes arrive for a closed connection; close."""
        self._is_last = True
        more = RETRY if error.status == statuses.UNAVAILABLE else ()
        self._write(self._front.application.refusal(error.status, str(error)), "GET", more)
        self._release(self.held_bytes)
        self._parser.forget()
        self._queue.clear()
        self._backlog.clear()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._front.enter(self, Phase.LINGERING)

    def _close(self) -> None:
        self._front.enter(self, Phase.CLOSING)
        self._front.note_unsent(self, self._transport.get_write_buffer_size())
        self._transport.close()

    # ---- the front's calls

    def close(self) -> None:
        """Close a connection between requests; at once where the client does not read."""
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._close()

    def abort(self) -> None:
        """Close at once, whatever is on its way."""
        self._transport.abort()

    def has_progressed(self) -> bool:
        """Tell whether the client has read anything since this was last asked."""
        before = self.unsent_bytes
        self._front.note_unsent(self, self._transport.get_write_buffer_size())
        return self.unsent_bytes < before
