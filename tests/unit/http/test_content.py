"""Compressed bodies."""

from __future__ import annotations

import asyncio
import gzip
import os
import time
import zlib

import pytest

from serving_http import content
from serving_http.aside import Aside
from serving_http.content import ContentError
from serving_http.messages import Request

pytestmark = pytest.mark.timed

LIMIT = 1 << 20


def decoded(body: bytes, encoding: bytes, limit: int = LIMIT) -> bytes:
    """Return a body as it was."""

    async def run() -> bytes:
        headers = {b"content-encoding": encoding} if encoding else {}
        return await content.decoded(Request("POST", "/", "/", "", headers, body), limit, Aside(1, LIMIT))

    return asyncio.run(run())


@pytest.mark.parametrize("size", [0, 1, 5000, content.QUICK_BYTES, content.QUICK_BYTES + 1, LIMIT])
def test_body_is_what_it_was(size: int) -> None:
    body = os.urandom(size // 2) + bytes(size - size // 2)
    assert decoded(body, b"") == decoded(body, b"identity") == body
    assert decoded(gzip.compress(body), b"gzip") == decoded(gzip.compress(body), b" X-GZIP") == body
    assert decoded(zlib.compress(body), b"deflate") == body


def test_several_members_are_one_body() -> None:
    assert decoded(gzip.compress(b"a" * 200_000) + gzip.compress(b"b") + b"rest", b"gzip") == b"a" * 200_000 + b"b"


@pytest.mark.parametrize("piece", [1, 7, content.PIECE_BYTES])
@pytest.mark.parametrize("quick", [1, 100, content.QUICK_BYTES])
def test_members_are_found_wherever_they_begin(piece: int, quick: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "PIECE_BYTES", piece)
    monkeypatch.setattr(content, "QUICK_BYTES", quick)
    texts = [b"", b"a" * 3000, b"", os.urandom(50), b"b"]
    assert decoded(b"".join(map(gzip.compress, texts)), b"gzip") == b"".join(texts)


@pytest.mark.parametrize(
    "body",
    [
        # Streams of nothing, one after the other; blocks of nothing in one stream.
        gzip.compress(b"") * ((4 << 20) // 20),
        gzip.compress(b"")[:10] + b"\x00\x00\x00\xff\xff" * ((4 << 20) // 5),
    ],
    ids=["streams", "blocks"],
)
def test_what_holds_nothing_is_refused_in_linear_time(body: bytes) -> None:
    inflater = content.Inflater(body, content.WINDOWS[b"gzip"], 4 << 20)
    start = time.monotonic()
    assert not inflater.advance(content.QUICK_BYTES)
    # What the event loop is held for.
    assert time.monotonic() - start < 0.05
    with pytest.raises(ContentError):
        inflater.finish()
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (gzip.compress(bytes(LIMIT + 1)), b"gzip", 413),
        (gzip.compress(bytes(1 << 30)), b"gzip", 413),
        (gzip.compress(b"hello", mtime=0)[:-9], b"gzip", 400),
        (b"", b"gzip", 400),
        (b"hello", b"gzip", 400),
        (b"hello", b"br", 415),
        (b"hello", b"gzip, gzip", 415),
    ],
    # gzip writes the time, which names nothing.
    ids=["a byte too many", "a bomb", "cut off", "empty", "none", "another", "two"],
)
def test_body_is_refused(body: bytes, encoding: bytes, status: int) -> None:
    with pytest.raises(ContentError) as caught:
        decoded(body, encoding)
    assert caught.value.status == status


def test_work_takes_turns_within_the_budget() -> None:
    async def run() -> None:
        aside, running, most = Aside(4, 10), 0, 0

        def work() -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            running -= 1

        await asyncio.gather(*(aside.run(6, work) for _ in range(50)), aside.run(1000, work))
        assert most == 1

    asyncio.run(run())
