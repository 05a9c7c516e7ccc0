"""The server's end of HTTP/2: what RFC 9113 asks of it, and what a peer may not take."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import threading
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from hpack import Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from serving_http import listener
from serving_http.http2 import frames as http2_frames
from serving_http.http2.connection import Connection
from serving_http.http2.frames import ConnectionFault, Reader, literal
from serving_http.http2.headers import Headers
from serving_http.http2.limits import Limits
from serving_http.http2.patience import USELESS_FRAMES
from tests import http2
from tests.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    RESET,
    SETTINGS,
    WINDOW,
    frame,
)
from tests.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from serving_http.http2.request import Request
    from serving_http.http2.streams import Stream

pytestmark = pytest.mark.timed

PRIORITY, PUSH_PROMISE = 2, 5
PADDED = 8
PROTOCOL, FLOW_CONTROL, CLOSED, FRAME_SIZE, REFUSED, COMPRESSION, CALM = 1, 3, 5, 6, 7, 9, 11
SECONDS = 10
LIMITS = Limits(
    streams=10,
    header_bytes=16_384,
    frame_bytes=1 << 20,
    idle_seconds=60,
    first_bytes_seconds=60,
    ping_seconds=60,
    pong_seconds=60,
    write_seconds=60,
)


class Echo:
    """Takes a body; answers with it when it is whole, or with so many bytes of nothing where the path is a number."""

    def __init__(self, stream: Stream, request: Request) -> None:
        self._stream = stream
        self._size = int(request.path[1:] or b"0") if request.path[1:].isdigit() else None
        self._body = bytearray()
        self.has_left = False

    def data(self, piece: memoryview) -> None:
        """Keep it."""
        self._body += piece

    def end(self) -> None:
        """Answer."""
        body = bytes(self._body if self._size is None else self._size)
        self._stream.answer(b"\x88", body, literal(b"x-end", b"1"))

    def left(self) -> None:
        """Remember."""
        self.has_left = True


class Service:
    """Connections on a loop of its own; the `takers` of all requests, in order."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.takers: list[Echo] = []
        self.connections: set[Connection] = set()
        self.port = 0
        self.loop = uvloop.new_event_loop()
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def begin(self, stream: Stream, request: Request) -> Echo:
        """Take a request."""
        self.takers.append(Echo(stream, request))
        return self.takers[-1]

    def opened(self, connection: Connection) -> bool:
        """Count it."""
        self.connections.add(connection)
        return True

    def closed(self, connection: Connection) -> None:
        """Count it no more."""
        self.connections.discard(connection)

    def _run(self) -> None:
        async def listen() -> None:
            self._is_over = asyncio.Event()
            listening = listener.bind("127.0.0.1", 0)
            self.port = listening.getsockname()[1]
            server = await self.loop.create_server(lambda: Connection(self, self._limits), sock=listening)
            self._is_up.set()
            await self._is_over.wait()
            server.close()
            for connection in list(self.connections):
                connection.abort()
            await server.wait_closed()
            await asyncio.sleep(0.01)

        self.loop.run_until_complete(listen())
        self.loop.close()

    def start(self) -> None:
        """Return once it listens."""
        self._thread.start()
        assert self._is_up.wait(SECONDS)

    def do(self, what: str, *arguments: object) -> None:
        """Have every connection do something, on the loop."""
        done = threading.Event()

        def act() -> None:
            for connection in list(self.connections):
                getattr(connection, what)(*arguments)
            done.set()

        self.loop.call_soon_threadsafe(act)
        assert done.wait(SECONDS)

    def stop(self) -> None:
        """End the loop."""
        self.loop.call_soon_threadsafe(self._is_over.set)
        self._thread.join(SECONDS)


@contextlib.contextmanager
def serving(limits: Limits = LIMITS) -> Iterator[Service]:
    """Yield a service that listens."""
    service = Service(limits)
    service.start()
    try:
        yield service
    finally:
        service.stop()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """Yield a service for tests that leave it as it was."""
    with serving() as service:
        yield service


def ends_with(connection: socket.socket, wanted: int) -> int:
    """Return the code of the first frame of a kind, GOAWAY or RST_STREAM; what comes before is passed over."""
    for kind, _, _, content in http2.frames(connection):
        if kind == wanted:
            return int.from_bytes(content[4:8] if kind == GOAWAY else content[:4], "big")
    raise AssertionError("the connection ended without a word")


def body_of(connection: socket.socket, wanted: int) -> bytes:
    """Return the body of a stream's answer."""
    body = b""
    for kind, flags, stream, content in http2.frames(connection):
        if stream == wanted:
            assert kind in {HEADERS, DATA}, (kind, content)
            body += content if kind == DATA else b""
            if flags & END_STREAM:
                return body
    raise AssertionError("the connection ended before the stream")


HEAD = http2.headers(b"/echo", 1)
BLOCK = HEAD[9:]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(DATA, 0, 1, b"x"), PROTOCOL),
        (frame(DATA, 0, 2, b"x"), PROTOCOL),
        (frame(HEADERS, END_HEADERS, 2, BLOCK), PROTOCOL),
        (frame(HEADERS, END_HEADERS, 0, BLOCK), PROTOCOL),
        (frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff" + BLOCK[:20]), PROTOCOL),
        (frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"), COMPRESSION),
        (frame(HEADERS, END_HEADERS, 1, b"\xbe"), COMPRESSION),
        (frame(HEADERS, 0, 1, BLOCK) + frame(PING, 0, 0, bytes(8)), PROTOCOL),
        (frame(HEADERS, 0, 1, BLOCK) + frame(CONTINUATION, END_HEADERS, 3, b""), PROTOCOL),
        (frame(HEADERS, 0, 1, BLOCK) + frame(CONTINUATION, 0, 1, bytes(16_000)) * 2, CALM),
        (frame(HEADERS, END_HEADERS, 1, BLOCK + b"\0\1x" + b"\x7f\x81\x7e" + bytes(16_256)), CALM),
        (frame(CONTINUATION, END_HEADERS, 1, b""), PROTOCOL),
        (frame(HEADERS, 0, 1, bytes(20_000)), FRAME_SIZE),
        (http2.headers(b"/", 3) + http2.headers(b"/", 1), CLOSED),
        (HEAD + frame(RESET, 0, 1, bytes(4)) + HEAD, CLOSED),
        (frame(RESET, 0, 1, bytes(4)), PROTOCOL),
        (frame(RESET, 0, 0, bytes(4)), PROTOCOL),
        (HEAD + frame(RESET, 0, 1, bytes(3)), FRAME_SIZE),
        (frame(SETTINGS, 0, 1, b""), PROTOCOL),
        (frame(SETTINGS, 0, 0, bytes(5)), FRAME_SIZE),
        (frame(SETTINGS, 1, 0, bytes(6)), FRAME_SIZE),
        (frame(SETTINGS, 0, 0, b"\0\2\0\0\0\2"), PROTOCOL),
        (frame(SETTINGS, 0, 0, b"\0\4\x80\0\0\0"), FLOW_CONTROL),
        (frame(SETTINGS, 0, 0, b"\0\5\0\0\0\1"), PROTOCOL),
        (frame(PUSH_PROMISE, 0, 1, bytes(8)), PROTOCOL),
        (frame(PING, 0, 0, bytes(7)), FRAME_SIZE),
        (frame(PING, 0, 1, bytes(8)), PROTOCOL),
        (frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL),
        (frame(WINDOW, 0, 0, bytes(4)), PROTOCOL),
        (frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff"), FLOW_CONTROL),
        (frame(WINDOW, 0, 1, b"\0\0\0\1"), PROTOCOL),
        (frame(PRIORITY, 0, 0, bytes(5)), PROTOCOL),
        (frame(PRIORITY, 0, 1, bytes(4)), FRAME_SIZE),
        (frame(PRIORITY, 0, 1, b"\0\0\0\1\0"), PROTOCOL),
        (b"\xff\xff\xff\0\0\0\0\0\1", FRAME_SIZE),
    ],
)  # fmt: skip
def test_what_breaks_the_rules_ends_the_connection_with_a_code(service: Service, sent: bytes, code: int) -> None:
    with http2.connected(service.port) as connection:
        connection.sendall(sent)
        assert ends_with(connection, GOAWAY) == code


def fields(*pairs: tuple[bytes, bytes]) -> bytes:
    """Return a block of headers."""
    return b"".join(literal(name, value) for name, value in pairs)


GOOD = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/x"))


@pytest.mark.parametrize(
    "block",
    [
        fields(*GOOD[:2]),
        fields(*GOOD[1:]),
        fields(*GOOD, (b":path", b"/y")),
        fields(*GOOD, (b":unknown", b"1")),
        fields(*GOOD, (b"x", b"1"), (b":authority", b"y")),
        fields(*GOOD, (b"Upper", b"1")),
        fields(*GOOD, (b"connection", b"close")),
        fields(*GOOD, (b"te", b"gzip")),
        fields(*GOOD, (b"content-length", b"-1")),
        fields(*GOOD, (b"content-length", b"9" * 30)),
    ],
)
def test_a_malformed_request_ends_its_stream_alone(service: Service, block: bytes) -> None:
    with http2.connected(service.port) as connection:
        connection.sendall(frame(HEADERS, END_HEADERS, 1, block))
        assert ends_with(connection, RESET) == PROTOCOL
        connection.sendall(http2.headers(b"/echo", 3) + frame(DATA, END_STREAM, 3, b"still here"))
        assert body_of(connection, 3) == b"still here"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (
            frame(HEADERS, END_HEADERS, 1, BLOCK + literal(b"content-length", b"3")) + frame(DATA, 1, 1, b"four"),
            PROTOCOL,
        ),
        (
            frame(HEADERS, END_HEADERS, 1, BLOCK + literal(b"content-length", b"9")) + frame(DATA, 1, 1, b"four"),
            PROTOCOL,
        ),
        (HEAD + frame(HEADERS, END_HEADERS, 1, literal(b"x", b"1")), PROTOCOL),
        (HEAD + frame(HEADERS, END_HEADERS | END_STREAM, 1, BLOCK), PROTOCOL),
        (HEAD + frame(WINDOW, 0, 1, bytes(4)), PROTOCOL),
        (HEAD + frame(WINDOW, 0, 1, b"\x7f\xff\xff\xff"), FLOW_CONTROL),
    ],
)
def test_what_breaks_a_stream_ends_it_alone(service: Service, sent: bytes, code: int) -> None:
    with http2.connected(service.port) as connection:
        connection.sendall(sent)
        assert ends_with(connection, RESET) == code
        connection.sendall(http2.headers(b"/echo", 3) + frame(DATA, END_STREAM, 3, b"still here"))
        assert body_of(connection, 3) == b"still here"


def test_trailers_padding_unknown_frames_and_pieces_are_taken(service: Service) -> None:
    with http2.connected(service.port) as connection:
        connection.sendall(frame(99, 255, 7, b"unknown") + HEAD)
        connection.sendall(frame(DATA, PADDED, 1, b"\5padded" + bytes(5)) + frame(DATA, PADDED, 1, b"\0"))
        for byte in frame(DATA, 0, 1, b" in pieces"):
            connection.sendall(bytes([byte]))
        connection.sendall(frame(HEADERS, END_HEADERS | END_STREAM, 1, literal(b"x-trailer", b"1")))
        assert body_of(connection, 1) == b"padded in pieces"


def test_more_streams_than_allowed_are_refused_and_may_be_asked_again(service: Service) -> None:
    with http2.connected(service.port) as connection:
        connection.sendall(b"".join(http2.headers(b"/echo", number) for number in range(1, 2 * LIMITS.streams + 3, 2)))
        assert ends_with(connection, RESET) == REFUSED


def test_answers_wait_for_windows_and_mix(service: Service) -> None:
    # More updates than there may be of frames to no purpose: these have one.
    size = 8_000_000
    with http2.connected(service.port) as connection:
        connection.sendall(frame(SETTINGS, 0, 0, b"\0\4\0\0\3\xe8"))
        ask = b"".join(http2.headers(b"/%d" % size, number) + frame(DATA, 1, number, b"") for number in (1, 3))
        connection.sendall(ask)
        got = {1: 0, 3: 0}
        ended: set[int] = set()
        for kind, flags, stream, content in http2.frames(connection):
            if kind == DATA:
                assert len(content) <= 16_384
                got[stream] += len(content)
                grant = (1_000).to_bytes(4, "big")
                connection.sendall(frame(WINDOW, 0, stream, grant) + frame(WINDOW, 0, 0, grant))
            if stream and flags & END_STREAM:
                ended.add(stream)
            if ended == {1, 3}:
                break
        assert got == {1: size, 3: size}


def test_a_peer_that_resets_or_goes_is_told_to_the_taker(service: Service) -> None:
    before = len(service.takers)
    with http2.connected(service.port) as connection:
        connection.sendall(
            HEAD + http2.headers(b"/echo", 3) + frame(RESET, 0, 1, bytes(4)) + frame(PING, 0, 0, bytes(8))
        )
        for kind, flags, _, _ in http2.frames(connection):
            if kind == PING and flags & 1:
                break
        assert [taker.has_left for taker in service.takers[before:]] == [True, False]
    wait_for(lambda: service.takers[-1].has_left, "the taker knows", SECONDS)


@pytest.mark.parametrize(
    "one",
    [
        frame(PING, 0, 0, bytes(8)),
        frame(SETTINGS, 0, 0, b""),
        frame(PRIORITY, 0, 1, bytes(4) + b"\1"),
        frame(99, 0, 0, b""),
        frame(WINDOW, 0, 0, b"\0\0\0\1"),
        frame(DATA, 0, 1, b"x"),
    ],
    ids=["ping", "settings", "priority", "unknown", "window", "data of no stream"],
)
def test_frames_to_no_purpose_end_the_connection_and_nobody_elses(one: bytes) -> None:
    with serving() as service, http2.connected(service.port) as connection, http2.connected(service.port) as other:
        with contextlib.suppress(ConnectionError, TimeoutError):
            # A stream that is over.
            connection.sendall(HEAD + frame(RESET, 0, 1, bytes(4)))
            connection.sendall(one * 3 * USELESS_FRAMES)
        with contextlib.suppress(ConnectionError):
            assert ends_with(connection, GOAWAY) == CALM
        other.sendall(HEAD + frame(DATA, END_STREAM, 1, b"here"))
        assert body_of(other, 1) == b"here"


def test_streams_reset_as_fast_as_they_come_end_the_connection(service: Service) -> None:
    with http2.connected(service.port) as connection:
        pairs = (http2.headers(b"/echo", number) + frame(RESET, 0, number, bytes(4)) for number in range(1, 10_001, 2))
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"".join(pairs))
            assert ends_with(connection, GOAWAY) == CALM


class Beat:
    """The longest turn of a loop, in the time of its thread on a processor: what else the machine does is left out."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._last = 0.0
        self.longest = 0.0
        loop.call_soon_threadsafe(self._beat)

    def _beat(self) -> None:
        now = time.thread_time()
        self.longest = max(self.longest, now - self._last if self._last else 0.0)
        self._last = now
        self._loop.call_soon(self._beat)


def test_a_turn_of_the_loop_is_short_whatever_comes_at_once() -> None:
    with serving() as service, http2.connected(service.port) as connection:
        beat = Beat(service.loop)
        connection.sendall(
            http2.headers(b"/1", 1) + frame(DATA, 0, 1, b"x") * 200_000 + frame(DATA, END_STREAM, 1, b"")
        )
        assert len(body_of(connection, 1)) == 1
        assert beat.longest < 0.03


def test_settings_that_change_windows_again_and_again_hold_nobody() -> None:
    streams = 1000
    with (
        serving(dataclasses.replace(LIMITS, streams=streams)) as service,
        http2.connected(service.port) as connection,
    ):
        connection.sendall(b"".join(http2.headers(b"/echo", number) for number in range(1, 2 * streams, 2)))
        wait_for(lambda: len(service.takers) == streams, "all have begun", SECONDS)
        beat = Beat(service.loop)
        connection.sendall(frame(SETTINGS, 0, 0, b"".join(b"\0\4\0\0\0" + bytes([size % 2]) for size in range(2700))))
        connection.sendall(frame(PING, 0, 0, bytes(8)))
        next(kind for kind, flags, _, _ in http2.frames(connection) if kind == PING and flags & 1)
        assert beat.longest < 0.03


def test_who_breaks_a_rule_and_reads_nothing_is_let_go() -> None:
    with serving() as service, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(SECONDS)
        connection.connect(("127.0.0.1", service.port))
        wide = (2**31 - 1).to_bytes(4, "big")
        asked = (
            http2.headers(b"/9000000", number) + frame(DATA, END_STREAM, number, b"") for number in range(1, 20, 2)
        )
        connection.sendall(
            http2.PREFACE
            + frame(SETTINGS, 0, 0, b"\0\4" + wide)
            + frame(WINDOW, 0, 0, (2**31 - 1 - 65_535).to_bytes(4, "big"))
            + b"".join(asked)
            + frame(DATA, 0, 0, b"")
        )
        wait_for(lambda: bool(service.takers), "it has asked", SECONDS)
        wait_for(lambda: not service.connections, "it is let go", SECONDS)


def test_draining_answers_what_is_under_way_and_then_closes() -> None:
    with serving() as service, http2.connected(service.port) as connection:
        connection.sendall(HEAD + frame(PING, 0, 0, bytes(8)))
        received = http2.frames(connection)
        next(kind for kind, flags, _, _ in received if kind == PING and flags & 1)
        service.do("drain")
        kinds = []
        for kind, flags, stream, content in received:
            if kind == GOAWAY:
                kinds.append(int.from_bytes(content[:4], "big"))
                if len(kinds) == 1:
                    # Sent before the peer knows, and answered.
                    connection.sendall(http2.headers(b"/echo", 3) + frame(DATA, END_STREAM, 3, b"late"))
            elif kind == PING and not flags & 1:
                connection.sendall(frame(PING, 1, 0, content))
            if len(kinds) == 2 and kind == GOAWAY:
                connection.sendall(http2.headers(b"/echo", 5) + frame(DATA, END_STREAM, 1, b"first"))
            if stream == 1 and flags & END_STREAM:
                kinds.append(-1)
        assert kinds == [http2_frames.LAST_STREAM, 3, -1]


UNREAD = http2.headers(b"/900000", 1) + frame(DATA, END_STREAM, 1, b"")


@pytest.mark.parametrize(
    ("limits", "sent"),
    [
        ({"first_bytes_seconds": 1}, b"PRI * HT"),
        ({"idle_seconds": 1}, http2.PREFACE + frame(SETTINGS, 0, 0, b"")),
        ({"ping_seconds": 1, "pong_seconds": 1}, http2.PREFACE + frame(SETTINGS, 0, 0, b"") + HEAD),
        ({"write_seconds": 1}, http2.PREFACE + frame(SETTINGS, 0, 0, b"") + UNREAD),
    ],
    ids=["silent", "idle", "no pong", "reads nothing"],
)  # fmt: skip
def test_who_keeps_a_connection_for_nothing_is_let_go(limits: dict[str, Any], sent: bytes) -> None:
    with (
        serving(dataclasses.replace(LIMITS, **limits)) as service,
        socket.create_connection(("127.0.0.1", service.port), timeout=SECONDS) as connection,
    ):
        connection.sendall(sent)
        wait_for(lambda: bool(service.connections), "it is taken", SECONDS)

        def is_gone() -> bool:
            service.do("sweep", service.loop.time())
            return not service.connections

        wait_for(is_gone, "it is let go", SECONDS)


def test_another_protocol_is_closed_without_a_word(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=SECONDS) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while connection.recv(1000):
                pass


# ---- bytes

FRAMES = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 4, 6, 99]), st.sampled_from([0, 1, 4, 5]), st.integers(0, 9), st.binary(max_size=50)
    ),
    max_size=8,
)


@given(FRAMES, st.lists(st.integers(1, 40), min_size=1, max_size=30))
@settings(max_examples=300, deadline=None)
def test_frames_are_read_alike_however_they_are_cut(sent: list[tuple[int, int, int, bytes]], cuts: list[int]) -> None:
    data = b"".join(frame(*one) for one in sent)
    reader = Reader(1000, 1000)
    got: list[tuple[int, int, int, bytes]] = []
    at = turn = 0
    while at < len(data):
        size = cuts[turn % len(cuts)]
        reader.feed(data[at : at + size])
        at, turn = at + size, turn + 1
        while (taken := reader.next()) is not None:
            kind, flags, number, content = taken
            got.append((kind, flags, number, bytes(content)))
    whole = [(kind, flags & 1 if kind == DATA else flags, number, content) for kind, flags, number, content in sent]
    assert joined(got) == joined(whole)


def joined(frames: list[tuple[int, int, int, bytes]]) -> list[tuple[int, int, int, bytes]]:
    """Return frames with data of a stream in one, up to its end: of how many pieces it came is of no account."""
    made: list[tuple[int, int, int, bytes]] = []
    for kind, flags, number, content in frames:
        if kind == DATA and made and made[-1][:3] == (DATA, 0, number):
            content = made.pop()[3] + content  # noqa: PLW2901
        made.append((kind, flags, number, content))
    return made


def test_a_frame_that_is_too_large_is_refused_before_it_has_come() -> None:
    for kind, largest in ((HEADERS, 100), (DATA, 200)):
        reader = Reader(100, 200)
        reader.feed((largest + 1).to_bytes(3, "big") + bytes((kind, 0, 0, 0, 0, 1)))
        with pytest.raises(ConnectionFault):
            reader.next()


TEXT = st.binary(min_size=1, max_size=8).map(lambda raw: raw.hex().encode())
BLOCKS = st.lists(st.lists(st.tuples(TEXT, TEXT, st.booleans()), min_size=1, max_size=4), min_size=1, max_size=12)


@given(BLOCKS, st.lists(st.integers(0, 11), max_size=30))
@settings(max_examples=300, deadline=None)
def test_equal_blocks_mean_the_same_only_while_the_table_stays(
    blocks: list[list[tuple[bytes, bytes, bool]]], order: list[int]
) -> None:
    encoder, headers = Encoder(), Headers(1 << 20, tuple)
    for index in order:
        wanted = blocks[index % len(blocks)]
        assert headers.decode(encoder.encode(wanted)) == tuple((name, value) for name, value, _ in wanted)


def test_large_blocks_are_not_remembered_without_end() -> None:
    headers = Headers(16_384, list)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(250):
        headers.decode(literal(b"x", b"%d" % number + bytes(15_000)))
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 1 << 20
