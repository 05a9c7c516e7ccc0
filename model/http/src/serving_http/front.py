"""What all connections of a process share: their limits, the time each has, and how they end."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import time
from typing import TYPE_CHECKING

from serving_http import listener, memory, statuses
from serving_http.connection import Connection, Phase

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from serving_http.limits import Limits
    from serving_http.messages import Application

# How often connections that are out of time are looked for.
TICK_SECONDS = 0.5
# How long what is on its way to a refused request is read and thrown away.
LINGER_SECONDS = 2.0
# Bodies that began at least so long ago make room for others when there are too many bytes of them.
YIELD_SECONDS = 1.0
# By how much a process may grow before free memory is given back, and how soon that is tried: between requests, and
# where there is always one. What did not help is tried again, less often, for what took the memory may still be under
# way; after so many tries it is what the process needs.
GROWTH, GIVE_BACK_SECONDS, GIVE_BACK_BUSY_SECONDS, GIVE_BACK_MOST_SECONDS, GIVE_BACK_TRIES = 1.1, 2.0, 30.0, 8.0, 16
# Whom a newcomer takes the place of: who has sent nothing, too little, or nothing more, the longest first.
YIELDING = (Phase.NEW, Phase.HEAD, Phase.IDLE)
UNDER_WAY = (Phase.HEAD, Phase.BODY, Phase.BUSY, Phase.WRITING)


class Front:
    """The connections to one application, on the running event loop."""

    def __init__(self, application: Application, limits: Limits) -> None:
        # For the life of the process.
        self.application = application
        self.limits = limits
        self._most_connections = listener.allow_connections(limits.max_connections)
        self.loop = asyncio.get_running_loop()
        self._seconds = {
            Phase.NEW: limits.header_timeout_seconds,
            Phase.HEAD: limits.header_timeout_seconds,
            Phase.BODY: limits.body_timeout_seconds,
            Phase.IDLE: limits.idle_timeout_seconds,
            Phase.WRITING: limits.write_timeout_seconds,
            Phase.CLOSING: limits.write_timeout_seconds,
            Phase.LINGERING: LINGER_SECONDS,
        }
        # As connections come and go: those in each phase, the longest first.
        self._phases: dict[Phase, dict[Connection, None]] = {phase: {} for phase in Phase}
        self._listening: list[asyncio.Server] = []
        self._is_changed = asyncio.Event()
        self._ticking: asyncio.TimerHandle | None = None
        # Of bodies, and of replies that nobody reads.
        self.held_bytes = 0
        self.unsent_bytes = 0
        # When memory was last given back, how soon it may be again, and how much the process needs.
        self._given_back = 0.0
        self._give_back_seconds = GIVE_BACK_SECONDS
        self._give_back_tries = 0
        self._resident_bytes = memory.resident_bytes()
        self.is_draining = False
        self.date_keep = self.date_close = b""
        self._tick()

    @property
    def connections(self) -> int:
        """Return how many connections there are."""
        return sum(map(len, self._phases.values()))

    @property
    def requests(self) -> int:
        """Return how many requests are under way."""
        return len(self._phases[Phase.BUSY])

    async def listen(self, listener: socket.socket, backlog: int) -> None:
        """Take connections from a bound socket."""
        self._listening.append(await self.loop.create_server(lambda: Connection(self), sock=listener, backlog=backlog))

    # ---- the connections' calls

    def admit(self) -> bool:
        """Tell whether there is room for one more connection; one that has long been doing nothing makes room."""
        if self.connections < self._most_connections:
            return True
        for phase in YIELDING:
            for connection in self._phases[phase]:
                connection.abort()
                self.enter(connection, Phase.CLOSING)
                return True
        return False

    def enter(self, connection: Connection, phase: Phase) -> None:
        """Note that a connection begins to do something else."""
        self._phases[connection.phase].pop(connection, None)
        connection.phase = phase
        connection.since = self.loop.time()
        self._phases[phase][connection] = None

    def leave(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        self._phases[connection.phase].pop(connection, None)
        self._is_changed.set()

    def hold(self, holder: Connection, size: int) -> bool:
        """Count bytes of a body that are kept; the one that has been sending longest makes room where there is none.

        One that holds more than its share gets none from those that have only just begun.
        """
        self.held_bytes += size
        sending = self._phases[Phase.BODY]
        while self.held_bytes > self.limits.max_held_body_bytes:
            oldest = next((other for other in sending if other is not holder), None)
            if oldest is None:
                return False
            is_young = self.loop.time() - oldest.since < YIELD_SECONDS
            if is_young and holder.held_bytes > self.limits.max_held_body_bytes // (len(sending) + 1):
                return False
            oldest.refuse(statuses.REQUEST_TIMEOUT, "the body came too slowly while many others were being read")
        return True

    def note_unsent(self, holder: Connection, size: int) -> None:
        """Count bytes of a reply that its client has not read; where there are too many, the oldest such clients go.

        Not to read costs a client nothing, and a reply may be larger than the body that it answers.
        """
        self.unsent_bytes += size - holder.unsent_bytes
        holder.unsent_bytes = size
        if size and self.unsent_bytes > self.limits.max_held_body_bytes:
            for other in [*self._phases[Phase.WRITING], *self._phases[Phase.CLOSING]]:
                if other is not holder and other.unsent_bytes:
                    self.unsent_bytes -= other.unsent_bytes
                    other.unsent_bytes = 0
                    other.abort()
                if self.unsent_bytes <= self.limits.max_held_body_bytes:
                    return

    # ---- time

    def _tick(self) -> None:
        # First: what fails below, for want of a thread perhaps, must not be the last that is done.
        self._ticking = self.loop.call_later(TICK_SECONDS, self._tick)
        date = b"date: " + email.utils.formatdate(usegmt=True).encode() + b"\r\n"
        self.date_keep = date + b"connection: keep-alive\r\n\r\n"
        self.date_close = date + b"connection: close\r\n\r\n"
        for phase, seconds in self._seconds.items():
            for connection in list(self._late(phase, seconds)):
                self._end(connection)
        self._give_back()

    def _give_back(self) -> None:
        """Give memory back after a rush: what took it may have been connections, bodies, or what was made of them."""
        elapsed = self.loop.time() - self._given_back
        if elapsed < self._give_back_seconds or (self.requests and elapsed < GIVE_BACK_BUSY_SECONDS):
            return
        before = memory.resident_bytes()
        if before > GROWTH * self._resident_bytes:
            self._given_back = self.loop.time()
            giving = self.loop.run_in_executor(None, memory.give_back)
            giving.add_done_callback(lambda _: self._note_resident(before))
        else:
            self._begin_to_give_back()

    def _begin_to_give_back(self) -> None:
        self._give_back_seconds, self._give_back_tries = GIVE_BACK_SECONDS, 0

    def _note_resident(self, before: int) -> None:
        """Decide when to try again; take what is left for what is needed once it has not helped for long."""
        left = memory.resident_bytes()
        self._give_back_tries += 1
        if left * GROWTH <= before:
            self._begin_to_give_back()
        elif self._give_back_tries < GIVE_BACK_TRIES:
            self._give_back_seconds = min(GIVE_BACK_MOST_SECONDS, 2 * self._give_back_seconds)
        else:
            self._resident_bytes = left
            self._begin_to_give_back()

    def _late(self, phase: Phase, seconds: float) -> Iterator[Connection]:
        latest = self.loop.time() - seconds
        for connection in self._phases[phase]:
            if connection.since > latest:
                return
            yield connection

    def _end(self, connection: Connection) -> None:
        """End what has taken too long."""
        match connection.phase:
            case Phase.HEAD:
                seconds = self.limits.header_timeout_seconds
                connection.refuse(statuses.REQUEST_TIMEOUT, f"expected a head within {seconds:g} s")
            case Phase.BODY:
                seconds = self.limits.body_timeout_seconds
                connection.refuse(statuses.REQUEST_TIMEOUT, f"expected the whole body within {seconds:g} s")
            case Phase.NEW | Phase.IDLE:
                connection.close()
            case Phase.WRITING | Phase.CLOSING if connection.has_progressed():
                self.enter(connection, connection.phase)
            case _:
                connection.abort()

    # ---- the end

    def begin_drain(self) -> None:
        """Have every reply from now on end its connection, so that clients go elsewhere with their next request."""
        self.is_draining = True

    async def stop(self, seconds: float) -> None:
        """Take no new connections, finish requests under way within `seconds`, close idle connections last."""
        self.begin_drain()
        for server in self._listening:
            server.close()
        until = time.monotonic() + seconds
        while any(self._phases[phase] for phase in UNDER_WAY) and await self._changed(until):
            pass
        for phase in (Phase.NEW, Phase.IDLE):
            for connection in list(self._phases[phase]):
                connection.close()
        until = max(until, time.monotonic() + TICK_SECONDS)
        while self.connections and await self._changed(until):
            pass
        for connections in self._phases.values():
            for connection in list(connections):
                connection.abort()
        if self._ticking is not None:
            self._ticking.cancel()

    async def _changed(self, until: float) -> bool:
        """Wait until a connection is gone; False when the time is over."""
        self._is_changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(until - time.monotonic()):
                await self._is_changed.wait()
        return time.monotonic() < until
