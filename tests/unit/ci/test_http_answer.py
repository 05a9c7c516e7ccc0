"""What is read of an HTTP answer, however a socket cuts it."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.bench import http_answer
from ci.bench.http_answer import Answer, NotHttpError

ANSWERS = {
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello": (200, b"hello", False),
    b"HTTP/1.1 204 No Content\r\n\r\n": (204, b"", False),
    b"HTTP/1.1 503 Busy\r\ncontent-length:0\r\nConnection: close\r\n\r\n": (503, b"", True),
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok": (200, b"ok", False),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nX: y\r\n\r\n": (
        200,
        b"hello",
        False,
    ),
}


def test_examples_are_true() -> None:
    assert doctest.testmod(http_answer).failed == 0


@given(st.sampled_from(sorted(ANSWERS)), st.data())
def test_pieces_of_any_size_make_the_same_answer(content: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(content) - 1))))
    answer = Answer()
    for _ in range(2):
        pieces = [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]
        assert [answer.feed(piece) for piece in pieces] == [False] * len(cuts) + [True]
        assert (answer.status, bytes(answer.body), answer.closes) == ANSWERS[content]
        answer.next()


def test_an_answer_without_length_ends_with_its_connection() -> None:
    answer = Answer()
    assert not answer.feed(b"HTTP/1.1 200 OK\r\n\r\nhel")
    assert not answer.feed(b"lo")
    assert answer.end()
    assert answer.closes
    assert bytes(answer.body) == b"hello"


def test_an_answer_with_a_length_does_not_end_before_it() -> None:
    answer = Answer()
    answer.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
    assert not answer.end()


@pytest.mark.parametrize(
    "content",
    [
        b"220 smtp ready\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"x" * 70_000,
    ],
    ids=["other protocol", "no number", "too long", "no chunk", "endless line"],
)
def test_what_is_no_answer_is_refused(content: bytes) -> None:
    with pytest.raises(NotHttpError):
        Answer().feed(content)
