"""HTTP/1.1 as RFC 9110 and 9112 have it, and limits on everything."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.http.running import TIMEOUT_SECONDS, running

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.unit.http.running import Running

pytestmark = pytest.mark.timed

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def post(body: bytes, *headers: bytes, path: bytes = b"/") -> bytes:
    """Return a POST."""
    lines = [b"POST %s HTTP/1.1" % path, b"Host: a", b"Content-Length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


def on_front(test: Callable[[Running], Awaitable[None]], **limits: Any) -> None:
    """Run a test against a front with these limits."""

    async def main() -> None:
        async with running(**limits) as run:
            await test(run)

    asyncio.run(main())


# ---- requests


@pytest.mark.parametrize(
    "headers",
    [
        (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"),
        (b"Connection: upgrade", b"Upgrade: websocket"),
        (b"Connection: keep-alive, Upgrade", b"upgrade: TLS/1.0"),
    ],
)
def test_upgrade_is_ignored_and_the_body_kept(headers: tuple[bytes, ...]) -> None:
    body = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

    async def test(run: Running) -> None:
        client = await run.connect()
        for _ in range(2):
            status, told = await client.ask(post(body, *headers))
            assert (status, told["method"], told["body"]) == (200, "POST", body.decode())
        # In pieces of a byte, and without a body.
        for part in post(body, *headers):
            await client.send(bytes([part]))
        status, _, told = await client.reply()
        assert json.loads(told)["body"] == body.decode()
        status, told = await client.ask(b"\r\n".join([b"GET /x HTTP/1.1", b"Host: a", *headers, b"", b""]))
        assert (status, told["path"]) == (200, "/x")
        assert [asked.path for asked in run.application.asked] == ["/", "/", "/", "/x"]

    on_front(test)


def test_chunked_upgrade_keeps_its_body() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def test(run: Running) -> None:
        client = await run.connect()
        status, told = await client.ask(head + b"5\r\nhello\r\n0\r\n\r\n" + GET)
        assert (status, told["body"]) == (200, "hello")
        assert (await client.reply())[0] == 200

    on_front(test)


def test_pipelined_requests_are_answered_in_order() -> None:
    async def test(run: Running) -> None:
        client = await run.connect()
        count = 3000
        await client.send(b"".join(post(b"%d" % i, path=b"/slow" if i == 5 else b"/") for i in range(count)))
        await run.until(lambda: run.front.requests == 1)
        run.application.go_on.set()
        answers = [json.loads((await client.reply())[2])["body"] for _ in range(count)]
        assert answers == [str(i) for i in range(count)]

    on_front(test)


def test_http_1_0_closes_unless_asked_to_stay() -> None:
    async def test(run: Running) -> None:
        client = await run.connect()
        await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert (await client.reply())[1]["connection"] == "keep-alive"
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await client.reply())[1]["connection"] == "close"
        assert await client.is_closed()

    on_front(test)


def test_expect_100_continue_is_told_to_go_on() -> None:
    async def test(run: Running) -> None:
        client = await run.connect()
        head, body = post(b"hello", b"Expect: 100-continue").split(b"\r\n\r\n")
        await client.send(head + b"\r\n\r\n")
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await client.ask(body))[1]["body"] == "hello"

    on_front(test)


def test_expect_is_refused_before_a_body_that_is_too_large() -> None:
    async def test(run: Running) -> None:
        client = await run.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.reply())[0] == 413
        assert await client.is_closed()

    on_front(test, max_body_bytes=10)


def test_head_is_answered_without_a_body() -> None:
    async def test(run: Running) -> None:
        client = await run.connect()
        await client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        head = (await client.reader.readuntil(b"\r\n\r\n")).lower()
        assert b"content-length: 0" not in head
        assert (await client.ask(GET))[1]["method"] == "GET"

    on_front(test)


def test_target_may_be_absolute_and_encoded() -> None:
    async def test(run: Running) -> None:
        client = await run.connect()
        _, told = await client.ask(b"GET http://a:1/b%20c?d=%20#e HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (told["path"], told["query"]) == ("/b c", "d=%20")

    on_front(test)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\na: b\r\n folded\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\nhello", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"POST / HTTP/1.1\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n", 417),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20 + b"\r\n", 200),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"a%d: b\r\n" % i for i in range(200)) + b"\r\n", 431),
        (b"GET /" + b"a" * 8100 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"GET /" + b"a" * 8200 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /?" + b"a=%41&" * 12_000, 414),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\na: " + b"b" * 70000, 431),
        (b"POST / HTTP/1.1\r\nContent-Length: 4194305\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"100000\r\n" + bytes(1 << 20), None),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"500000\r\n" + bytes(5 << 20), 413),
        (CHUNKED + b"1\r\na\r\n" * 10_000, 413),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 4_000 + b"0\r\n\r\n",
            200,
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"6\r\nsix by\r\n" * 50_000
            + b"0\r\n\r\n",
            200,
        ),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"a" * 200_000, 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nb: " + b"a" * 200_000, 413),
    ],
    ids=range(29),
)
def test_bytes_are_answered_with(data: bytes, status: int | None) -> None:
    async def test(run: Running) -> None:
        client = await run.connect()
        if status is None:
            await client.send(data)
            await run.until(lambda: run.front.held_bytes == 1 << 20)
            return
        found, told = await client.ask(data)
        assert found == status, told
        assert status == 200 or told["error"]
        if status >= 400:
            assert await client.is_closed()
            await run.until(lambda: run.front.held_bytes == 0)
            assert not run.application.asked

    on_front(test)


def test_fault_is_500_and_the_connection_goes_on() -> None:
    async def test(run: Running) -> None:
        client = await run.connect()
        status, told = await client.ask(b"GET /fails HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (status, told) == (500, {"error": "internal error"})
        assert (await client.ask(GET))[0] == 200

    on_front(test)


def test_requests_before_a_bad_one_are_answered() -> None:
    async def test(run: Running) -> None:
        client = await run.connect()
        await client.send(GET + GET + b"nonsense\r\n\r\n")
        assert [(await client.reply())[0] for _ in range(3)] == [200, 200, 400]

    on_front(test)


# ---- time


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHos", b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhell"])
def test_client_that_stops_sending_is_ended(sent: bytes) -> None:
    async def test(run: Running) -> None:
        client = await run.connect()
        await client.send(sent)
        if sent:
            status, headers, _ = await client.reply()
            assert (status, headers["connection"]) == (408, "close")
        assert await client.is_closed()
        await run.until(lambda: run.front.connections == 0 and run.front.held_bytes == 0)

    on_front(test, header_timeout_seconds=0.3, body_timeout_seconds=0.3)


def test_byte_a_moment_does_not_extend_the_time() -> None:
    async def test(run: Running) -> None:
        client = await run.connect()
        started = time.monotonic()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            for byte in b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200:
                await client.send(bytes([byte]))
                await asyncio.sleep(0.05)
        assert time.monotonic() - started < 8

    on_front(test, header_timeout_seconds=0.5)


def test_idle_connection_is_closed() -> None:
    async def test(run: Running) -> None:
        client = await run.connect()
        await client.ask(GET)
        assert await client.is_closed()

    on_front(test, idle_timeout_seconds=0.3)


def test_client_that_does_not_read_is_ended() -> None:
    async def test(run: Running) -> None:
        client = await run.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        await run.until(lambda: len(run.application.asked) == 1)
        await run.until(lambda: run.front.connections == 0)

    on_front(test, write_timeout_seconds=0.5)


@pytest.mark.parametrize("connection", [b"keep-alive", b"close"])
def test_client_that_reads_slowly_gets_all_of_a_reply(connection: bytes) -> None:
    async def test(run: Running) -> None:
        client = await run.connect()
        await client.send(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: %s\r\n\r\n" % connection)
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b"connection: %s\r\n" % connection in head
        # In twice what it may read nothing for, of which a busy machine may take a second and a half from one read.
        for _ in range(8):
            await asyncio.sleep(0.5)
            await client.reader.readexactly(2 << 20)

    on_front(test, write_timeout_seconds=2.0)


def test_replies_nobody_reads_are_bounded_in_all() -> None:
    async def test(run: Running) -> None:
        for _ in range(8):
            client = await run.connect()
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await client.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        await run.until(lambda: len(run.application.asked) == 8)
        # Replies of 16 MiB each, less what is in the system's buffers.
        await run.until(lambda: 2 <= run.front.connections <= 4)
        assert run.front.unsent_bytes <= 40 << 20
        status, _ = await (await run.connect()).ask(GET)
        assert status == 200

    on_front(test, max_held_body_bytes=40 << 20)


def test_reply_that_is_read_slowly_is_no_longer_counted() -> None:
    async def test(run: Running) -> None:
        client = await run.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        await run.until(lambda: run.front.unsent_bytes > 0)
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        _, _, body = await client.reply()
        assert len(body) == 16 << 20
        await run.until(lambda: run.front.unsent_bytes == 0)

    on_front(test)


# ---- numbers


def test_newcomer_takes_the_place_of_who_does_nothing() -> None:
    async def test(run: Running) -> None:
        silent = [await run.connect() for _ in range(8)]
        await run.until(lambda: run.front.connections == 8)
        newcomer = await run.connect()
        assert (await newcomer.ask(GET))[0] == 200
        assert await silent[0].is_closed()
        assert (await silent[-1].ask(GET))[0] == 200

    on_front(test, max_connections=8)


def test_connection_beyond_the_limit_is_told() -> None:
    async def test(run: Running) -> None:
        for _ in range(2):
            await (await run.connect()).send(post(b"", path=b"/slow"))
        await run.until(lambda: run.front.requests == 2)
        status, headers, _ = await (await run.connect()).reply()
        assert (status, headers["retry-after"]) == (503, "1")

    on_front(test, max_connections=2)


def test_request_beyond_the_limit_is_told_and_the_connection_goes_on() -> None:
    async def test(run: Running) -> None:
        await (await run.connect()).send(post(b"", path=b"/slow"))
        await run.until(lambda: run.front.requests == 1)
        client = await run.connect()
        # What is answered at once, as probes are, is never too much.
        assert (await client.ask(GET))[0] == 200
        await client.send(post(b"", path=b"/slow"))
        status, headers, _ = await client.reply()
        assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "keep-alive")
        run.application.go_on.set()
        await run.until(lambda: run.front.requests == 0)
        assert (await client.ask(post(b"", path=b"/slow")))[0] == 200

    on_front(test, max_requests=1)


def test_slow_bodies_make_room_for_others() -> None:
    half = post(bytes(1000))[:-1]

    async def test(run: Running) -> None:
        slow = [await run.connect() for _ in range(10)]
        for client in slow:
            await client.send(half)
        await run.until(lambda: run.front.held_bytes == 10 * 999)
        await asyncio.sleep(1.1)
        other = await run.connect()
        assert (await other.ask(post(bytes(1000))))[0] == 200
        assert (await slow[0].reply())[0] == 408
        assert (await slow[-1].ask(b"\0"))[0] == 200

    on_front(test, max_held_body_bytes=10_000)


# ---- leaving and ending


def test_request_of_a_client_that_leaves_is_cancelled() -> None:
    async def test(run: Running) -> None:
        client = await run.connect()
        await client.send(post(b"hello", path=b"/slow"))
        await run.until(lambda: run.front.requests == 1)
        client.close()
        await run.until(lambda: run.application.cancelled == 1)
        await run.until(lambda: run.front.connections == 0 and run.front.held_bytes == 0)

    on_front(test)


def test_draining_loses_no_request_of_kept_connections() -> None:
    async def keep_asking(run: Running, replies: list[str]) -> None:
        client = await run.connect()
        while True:
            await client.send(post(b"hello"))
            status, headers, _ = await client.reply()
            assert status == 200
            replies.append(headers["connection"])
            if headers["connection"] == "close":
                return
            await asyncio.sleep(0.02)

    async def test(run: Running) -> None:
        replies: list[str] = []
        asking = [asyncio.create_task(keep_asking(run, replies)) for _ in range(200)]
        await run.until(lambda: len(replies) > 400)
        run.front.begin_drain()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await asyncio.gather(*asking)
        assert replies.count("close") == 200

    on_front(test)


def test_stop_finishes_what_is_under_way_and_closes_idle_connections_last() -> None:
    async def test(run: Running) -> None:
        idle, busy = await run.connect(), await run.connect()
        await idle.ask(GET)
        await busy.send(post(b"", path=b"/slow"))
        await run.until(lambda: run.front.requests == 1)
        stopping = asyncio.create_task(run.front.stop(5))
        await asyncio.sleep(0)
        status, headers, _ = await _replied(idle)
        assert (status, headers["connection"]) == (200, "close")
        run.application.go_on.set()
        assert (await busy.reply())[0] == 200
        await stopping
        assert run.front.connections == 0

    async def _replied(client: Any) -> tuple[int, dict[str, str], bytes]:
        await client.send(GET)
        reply: tuple[int, dict[str, str], bytes] = await client.reply()
        return reply

    on_front(test)
