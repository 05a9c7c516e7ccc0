"""Calls over HTTP/2: what grpcio's server is asked and answers, and what a server may do to them."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import trustme
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from model_api.channel import Channel
from model_api.room import Room
from model_api.tls import Tls
from serving_codec.status import Code, ServingError
from serving_http.http2 import frames

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

# More than any message here.
ROOM = Room(64 << 20)
SECONDS = 20.0


class Service(grpc.GenericRpcHandler):
    """Answers any method: `/t/echo` with the request, and more by name."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}
        self.cancelled = threading.Event()
        self.server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", -1)])
        self.server.add_generic_rpc_handlers((self,))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of a method (grpc.GenericRpcHandler)."""
        handler = getattr(self, handler_call_details.method.rpartition("/")[2], None)
        return None if handler is None else grpc.unary_unary_rpc_method_handler(handler)

    def echo(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Answer with the request."""
        self.seen = {"left": context.time_remaining(), **dict(context.invocation_metadata())}
        return request

    def refuse(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Refuse in words of more than one alphabet."""
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"nö 100 % {request.decode()}")
        raise AssertionError

    def hang(self, _request: bytes, context: grpc.ServicerContext) -> bytes:
        """Answer never, and note that the caller has left."""
        context.add_callback(self.cancelled.set)
        while context.is_active():
            time.sleep(0.01)
        return b""


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """Yield a running service."""
    service = Service()
    yield service
    service.server.stop(None).wait()


def on_channel(port: int, test: Callable[[Channel], Awaitable[None]]) -> None:
    """Run a test with a channel to a port."""

    async def main() -> None:
        channel = Channel("127.0.0.1", port, None)
        try:
            await test(channel)
        finally:
            await channel.close(0)

    asyncio.run(main())


def test_messages_of_any_size_come_back(service: Service) -> None:
    async def test(channel: Channel) -> None:
        for size in (0, 1, 16_384, 65_536, 1 << 20, 20 << 20):
            assert await channel.call(b"/t/echo", bytes(size), SECONDS, ROOM) == bytes(size)
        messages = [bytes([i]) * (50_000 * i) for i in range(40)]
        assert (
            await asyncio.gather(*(channel.call(b"/t/echo", message, SECONDS, ROOM) for message in messages))
            == messages
        )
        assert 15 < service.seen["left"] <= SECONDS

    on_channel(service.port, test)


def test_error_comes_with_its_code_and_words(service: Service) -> None:
    async def test(channel: Channel) -> None:
        for path, code, words in (
            (b"/t/refuse", Code.FAILED_PRECONDITION, "nö 100 % of all"),
            (b"/t/nothing", Code.UNIMPLEMENTED, "Method not found!"),
        ):
            with pytest.raises(ServingError) as caught:
                await channel.call(path, b"of all", SECONDS, ROOM)
            assert (caught.value.code, caught.value.message) == (code, words)

    on_channel(service.port, test)


def test_deadline_and_a_caller_that_leaves_end_the_call_at_the_server(service: Service) -> None:
    async def test(channel: Channel) -> None:
        with pytest.raises(ServingError) as caught:
            await channel.call(b"/t/hang", b"", 0.2, ROOM)
        assert caught.value.code is Code.DEADLINE_EXCEEDED
        assert await asyncio.to_thread(service.cancelled.wait, SECONDS)
        service.cancelled.clear()
        call = asyncio.ensure_future(channel.call(b"/t/hang", b"", SECONDS, ROOM))
        await asyncio.sleep(0.1)
        call.cancel()
        assert await asyncio.to_thread(service.cancelled.wait, SECONDS)
        assert await channel.call(b"/t/echo", b"on", SECONDS, ROOM) == b"on"

    on_channel(service.port, test)


def test_stopping_server_finishes_calls_and_a_lost_one_is_found_again() -> None:
    service = Service()

    async def test(channel: Channel) -> None:
        assert await channel.call(b"/t/echo", b"1", SECONDS, ROOM) == b"1"
        call = asyncio.ensure_future(channel.call(b"/t/hang", b"", 1, ROOM))
        await asyncio.sleep(0.1)
        stopped = service.server.stop(0.2)
        with pytest.raises(ServingError) as caught:
            await call
        assert caught.value.code in {Code.CANCELLED, Code.UNAVAILABLE}
        await asyncio.to_thread(stopped.wait)
        with pytest.raises(ServingError) as caught:
            await channel.call(b"/t/echo", b"2", SECONDS, ROOM)
        assert caught.value.code is Code.UNAVAILABLE
        again = grpc.server(ThreadPoolExecutor(2), handlers=[service])
        again.add_insecure_port(f"127.0.0.1:{service.port}")
        again.start()
        async with asyncio.timeout(SECONDS):
            while not channel.is_connected:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
        assert await channel.call(b"/t/echo", b"3", SECONDS, ROOM) == b"3"
        again.stop(None)

    on_channel(service.port, test)


BEGIN = frames.frame(frames.SETTINGS, 0, 0, b"")
FRAMES = st.builds(
    frames.frame,
    st.integers(0, 12),
    st.sampled_from([0, 1, 4, 5, 8, 0x20, 0xFF]),
    st.sampled_from([0, 1, 2, 3, 2**31]),
    st.one_of(st.binary(max_size=40), st.sampled_from([b"\x88", b"\0\x0bgrpc-status\x010", b"\0\0\0\0\1x"])),
)


class Scripted(asyncio.Protocol):
    """A server that says what it is told to: something at once, and something once it is asked."""

    def __init__(self, first: bytes, then: bytes = b"") -> None:
        self._first, self._then = first, then
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Speak first."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._first)

    def data_received(self, data: bytes) -> None:
        """Answer once, and hang up."""
        if self._then and self.transport is not None and frames.PREFACE not in data:
            self.transport.write(self._then)
            self.transport.close()


def against(server: Callable[[], Scripted], seconds: float) -> ServingError | None:
    """Return what a call to a server ends with."""
    scripted: list[Scripted] = []

    def accepted() -> Scripted:
        scripted.append(server())
        return scripted[-1]

    async def main() -> ServingError | None:
        listening = await asyncio.get_running_loop().create_server(accepted, "127.0.0.1", 0)
        channel = Channel("127.0.0.1", listening.sockets[0].getsockname()[1], None)
        try:
            async with asyncio.timeout(5):
                await channel.call(b"/t/echo", b"?", seconds, ROOM)
        except ServingError as error:
            return error
        finally:
            await channel.close(0)
            listening.close()
            for one in scripted:
                if one.transport is not None:
                    one.transport.abort()
            await asyncio.sleep(0.01)
        return None

    return asyncio.run(main())


# The scripted server's loop may end with a connection accepted and not yet made.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@given(st.lists(st.one_of(FRAMES, st.binary(max_size=60)), max_size=6))
@settings(max_examples=80, suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.generate))
def test_no_bytes_of_a_server_leave_a_caller_waiting(parts: list[bytes]) -> None:
    against(lambda: Scripted(BEGIN, b"".join(parts)), 0.3)


def test_port_that_speaks_something_else_is_no_server() -> None:
    error = against(lambda: Scripted(b"HTTP/1.1 400 Bad Request\r\n\r\n"), SECONDS)
    assert error is not None
    assert error.code is Code.UNAVAILABLE


HEADERS_BEGUN = frames.frame(frames.HEADERS, 0, 1, frames.literal(b"grpc-status", b"0"))


@pytest.mark.parametrize(
    ("then", "words"),
    [
        (HEADERS_BEGUN + frames.frame(frames.PING, 0, 0, bytes(8)), "a block of headers has not ended"),
        (frames.frame(frames.CONTINUATION, frames.END_HEADERS, 1, b"\x88"), "a continuation of no headers"),
        (frames.window_update(0, 0), "a window grows by 0"),
        (frames.window_update(0, frames.LARGEST_WINDOW), "the window is too large"),
        (frames.settings({frames.MAX_FRAME_SIZE: 1}), "MAX_FRAME_SIZE"),
    ],
    ids=["headers", "continuation", "no window", "window", "settings"],
)
def test_server_that_breaks_http2_is_let_go_with_the_reason(then: bytes, words: str) -> None:
    error = against(lambda: Scripted(BEGIN, then), SECONDS)
    assert error is not None
    assert (error.code, error.message.endswith(words)) == (Code.UNAVAILABLE, True), error.message


# asyncio leaves the socket to the collector where OpenSSL does not take the name.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_name_that_no_certificate_can_have_is_told_and_tried_again(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.crt")
    tls = Tls(tmp_path / "ca.crt", None, None, "models..svc")

    async def main() -> None:
        listening = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
        channel = Channel("127.0.0.1", listening.sockets[0].getsockname()[1], tls)
        try:
            for _ in range(2):
                with pytest.raises(ServingError, match="label empty or too long"):
                    await channel.call(b"/t/echo", b"", SECONDS, ROOM)
        finally:
            await channel.close(0)
            listening.close()

    asyncio.run(main())
