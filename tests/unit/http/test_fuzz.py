"""Whatever bytes come, each connection is answered or closed, and the next one is served."""

from __future__ import annotations

import asyncio
import contextlib
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.http.running import Running, running

GOOD = b"POST /good HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
# ruff: noqa: E501
PIECES = [
    b"GET / HTTP/1.1\r\n", b"POST /x HTTP/1.1\r\n", b"GET / HTTP/1.0\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\n",
    b"Host: a\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Content-Length: 99999\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Connection: Upgrade\r\n", b"Upgrade: h2c\r\n", b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"\r\n", b"\r\n\r\n", b"\n", b"\r",
    b"hello", b"5\r\nhello\r\n", b"0\r\n\r\n", b"ffffffff\r\n", b"5;x=y\r\n", b": ", b"a: b\r\n", b" folded\r\n", b"\0", b"\xff\xfe", GOOD,
]  # fmt: skip
STREAMS = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=20)), max_size=12).map(b"".join)


async def answered(run: Running, parts: list[bytes]) -> bytes:
    """Send bytes in parts on a connection of their own, then close that side; return all that came back."""
    client = await run.connect()
    with contextlib.suppress(ConnectionError):
        for part in parts:
            await client.send(part)
            await asyncio.sleep(0)
        # Those that wait for more are told so within the time limits of the front.
        async with asyncio.timeout(5):
            return await client.reader.read()
    return b""


@given(STREAMS, st.integers(1, 40))
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_any_bytes_are_answered_and_others_served(stream: bytes, size: int) -> None:
    async def main() -> None:
        async with running(header_timeout_seconds=0.1, body_timeout_seconds=0.1, idle_timeout_seconds=0.1) as run:
            whole = await answered(run, [stream])
            asked = [(request.method, request.target, request.body) for request in run.application.asked]
            run.application.asked.clear()
            pieces = await answered(run, [stream[i : i + size] for i in range(0, len(stream), size)])
            # However it is cut, it is the same requests.
            assert [(request.method, request.target, request.body) for request in run.application.asked] == asked
            for answer in (whole, pieces):
                assert answer == b"" or answer.startswith(b"HTTP/1.1 ")
            client = await run.connect()
            status, told = await client.ask(GOOD)
            assert (status, told["body"]) == (200, "hello")
            await run.until(lambda: run.front.held_bytes == 0)

    asyncio.run(main())


def test_smuggled_request_is_a_body() -> None:
    inner = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"
    outer = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%s\r\n" % (
        len(inner),
        b"Upgrade: h2c\r\nConnection: Upgrade\r\n",
    )

    async def main() -> None:
        async with running(idle_timeout_seconds=0.2) as run:
            answer = await answered(run, [outer + inner])
            assert answer.count(b"HTTP/1.1 200") == 1
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["body"] == inner.decode()

    asyncio.run(main())
