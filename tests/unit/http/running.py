"""A front on the loopback with a small application, and a client of bare bytes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

from serving_http import listener
from serving_http.front import Front
from serving_http.limits import Limits
from serving_http.messages import Reply, Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

TIMEOUT_SECONDS = 10


class Echo:
    """An application that tells what it was asked; `/slow` waits for `go_on`, `/large` is a large answer."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.cancelled = 0
        self.go_on = asyncio.Event()

    def answer(self, request: Request) -> Reply | Coroutine[Any, Any, Reply]:
        """Answer with the request as JSON."""
        self.asked.append(request)
        if request.path == "/slow":
            return self._slow(request)
        if request.path == "/large":
            return Reply(200, bytes(16 << 20), b"application/octet-stream")
        if request.path == "/fails":
            raise ValueError("a fault")
        return self._echo(request)

    def refusal(self, status: int, message: str) -> Reply:
        """Tell the reason."""
        return Reply(status, json.dumps({"error": message}).encode())

    async def _slow(self, request: Request) -> Reply:
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self._echo(request)

    def _echo(self, request: Request) -> Reply:
        told = {
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "body": request.body.decode("latin-1"),
            "headers": {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.items()},
        }
        return Reply(200, json.dumps(told).encode())


class Client:
    """A connection of bare bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self) -> tuple[int, dict[str, str], bytes]:
        """Return the status, the headers and the body of the next reply."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = dict(line.split(": ", 1) for line in head[1:] if line)
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(head[0].split()[1]), headers, body

    async def ask(self, data: bytes) -> tuple[int, Any]:
        """Send bytes; return the status of the reply and its JSON."""
        await self.send(data)
        status, _, body = await self.reply()
        return status, json.loads(body)

    async def is_closed(self) -> bool:
        """Return True once the other side has closed."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read() == b""
            return True

    def close(self) -> None:
        """Leave."""
        self.writer.close()


class Running:
    """A front that listens."""

    def __init__(self, front: Front, application: Echo, port: int) -> None:
        self.front = front
        self.application = application
        self.port = port
        self._clients: list[Client] = []

    async def connect(self) -> Client:
        """Return a new connection."""
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self._clients.append(client)
        return client

    async def until(self, condition: Any) -> None:
        """Return once a condition of the front is true."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while not condition():  # noqa: ASYNC110 - the front tells nobody
                await asyncio.sleep(0.005)

    def close(self) -> None:
        """Close every client."""
        for client in self._clients:
            client.close()


@contextlib.asynccontextmanager
async def running(**limits: Any) -> AsyncIterator[Running]:
    """Run a front while the block runs."""
    application = Echo()
    front = Front(application, Limits(**limits))
    listening = listener.bind("127.0.0.1", 0)
    await front.listen(listening, listener.BACKLOG)
    run = Running(front, application, listening.getsockname()[1])
    try:
        yield run
    finally:
        run.close()
        await front.stop(0)
