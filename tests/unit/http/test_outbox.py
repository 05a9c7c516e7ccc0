"""What a connection sends while windows open and close, and what it keeps meanwhile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from serving_http.http2 import frames
from serving_http.http2.frames import ConnectionFault, frame
from serving_http.http2.outbox import Outbox

DATA, HEADERS = frames.DATA, frames.HEADERS
END = frames.END_HEADERS | frames.END_STREAM


class Stream:
    """A stream that counts how often somebody looks at its window."""

    def __init__(self, number: int, window: int) -> None:
        self.number = number
        self.is_ended = True
        self.looks = 0
        self._window = window

    @property
    def window(self) -> int:
        """See Sender."""
        self.looks += 1
        return self._window

    @window.setter
    def window(self, size: int) -> None:
        self._window = size


class Sent:
    """An outbox, with what it has sent, which streams are over, and a clock."""

    def __init__(self) -> None:
        self.now = 1.0
        self.frames: list[bytes] = []
        self.over: list[int] = []
        loop: Any = SimpleNamespace(time=lambda: self.now)
        self.box = Outbox(loop, lambda stream: self.over.append(stream.number))
        self.box.transport = SimpleNamespace(write=self.frames.append)

    def taken(self) -> bytes:
        """Return what was sent since this was last asked."""
        data = b"".join(self.frames)
        self.frames.clear()
        return data


@pytest.fixture
def sent() -> Sent:
    """Return an outbox that has sent nothing."""
    return Sent()


def test_widening_one_stream_looks_at_no_other_however_many_wait(sent: Sent) -> None:
    streams = [Stream(number, 0) for number in range(1, 2001, 2)]
    for stream in streams:
        sent.box.answer(stream, b"h", b"body", b"t")
    before = [stream.looks for stream in streams]
    sent.taken()
    sent.box.widen_stream(streams[0], 1)
    assert sent.taken() == frame(DATA, 0, 1, b"b")
    sent.box.widen(1)
    assert [stream.looks for stream in streams[1:]] == before[1:]


def test_what_waits_goes_in_order_and_trailers_with_what_they_end(sent: Sent) -> None:
    one, two = Stream(1, 100), Stream(3, 100)
    sent.box.window = 3
    sent.box.answer(one, b"", b"first", b"t")
    sent.box.answer(two, b"", b"second", b"t")
    assert sent.taken() == frame(DATA, 0, 1, b"fir")
    sent.box.widen(5)
    assert sent.taken() == frame(DATA, 0, 1, b"st") + frame(HEADERS, END, 1, b"t") + frame(DATA, 0, 3, b"sec")
    sent.box.widen(100)
    assert sent.taken() == frame(DATA, 0, 3, b"ond") + frame(HEADERS, END, 3, b"t")
    assert sent.over == [1, 3]


def test_an_answer_overtakes_others_but_nothing_of_its_own_stream(sent: Sent) -> None:
    shut, stream = Stream(1, 0), Stream(3, 4)
    sent.box.answer(shut, b"", b"waits", b"t")
    sent.box.send(stream, b"", b"first ")
    sent.box.send(stream, b"", b"second")
    sent.box.answer(stream, b"", b"", b"t")
    assert sent.taken() == frame(DATA, 0, 3, b"firs")
    sent.box.answer(Stream(5, 9), b"", b"goes", b"t")
    assert sent.over == [5]
    sent.taken()
    sent.box.widen_stream(stream, 100)
    expected = frame(DATA, 0, 3, b"t ") + frame(DATA, 0, 3, b"second") + frame(HEADERS, END, 3, b"t")
    assert sent.taken() == expected
    assert sent.over == [5, 3]


def test_an_answer_without_a_body_waits_for_no_window(sent: Sent) -> None:
    sent.box.window = 0
    sent.box.answer(Stream(1, -5), b"", b"", b"t")
    assert sent.taken() == frame(HEADERS, END, 1, b"t")
    assert sent.over == [1]


def test_a_request_ends_its_stream_with_its_last_byte(sent: Sent) -> None:
    stream = Stream(1, 4)
    sent.box.ask(stream, b"h", b"whole")
    sent.box.ask(Stream(3, 9), b"h", b"too")
    sent.box.widen_stream(stream, 9)
    head = frame(HEADERS, frames.END_HEADERS, 1, b"h")
    other = frame(HEADERS, frames.END_HEADERS, 3, b"h") + frame(DATA, frames.END_STREAM, 3, b"too")
    assert sent.taken() == head + frame(DATA, 0, 1, b"whol") + other + frame(DATA, frames.END_STREAM, 1, b"e")


def test_nothing_is_sent_while_the_network_takes_no_more(sent: Sent) -> None:
    stream = Stream(1, 100)
    sent.box.pause()
    sent.box.answer(stream, b"", b"body", b"t")
    sent.box.widen(1)
    sent.box.widen_stream(stream, 1)
    assert sent.taken() == b""
    sent.box.resume()
    assert sent.taken() == frame(DATA, 0, 1, b"body") + frame(HEADERS, END, 1, b"t")


def test_stalled_is_told_from_the_last_progress_while_something_waits(sent: Sent) -> None:
    stream = Stream(1, 1)
    assert sent.box.stalled_since == 0
    sent.box.answer(stream, b"", b"body", b"t")
    assert sent.box.stalled_since == 1
    sent.now = 2
    sent.box.widen(1)
    assert sent.box.stalled_since == 1
    sent.box.widen_stream(stream, 1)
    assert sent.box.stalled_since == 2
    assert sent.box.unsent_bytes == 2
    sent.box.drop(stream)
    assert (sent.box.stalled_since, sent.box.unsent_bytes) == (0, 0)


def test_settings_change_the_windows_of_streams_and_what_fits_goes(sent: Sent) -> None:
    stream = Stream(1, 0)
    sent.box.first_window = 0
    sent.box.answer(stream, b"", b"body", b"t")
    sent.box.obey({frames.INITIAL_WINDOW_SIZE: 2}, [stream])
    assert sent.taken() == frame(DATA, 0, 1, b"bo")
    sent.box.obey({frames.INITIAL_WINDOW_SIZE: 0}, [stream])
    assert stream.window == -2
    sent.box.obey({frames.INITIAL_WINDOW_SIZE: 9}, [stream])
    assert sent.over == [1]


def test_windows_that_grow_by_nothing_or_too_much_are_a_fault(sent: Sent) -> None:
    for size, code in ((0, frames.PROTOCOL_ERROR), (frames.LARGEST_WINDOW, frames.FLOW_CONTROL_ERROR)):
        with pytest.raises(ConnectionFault) as caught:
            sent.box.widen(size)
        assert caught.value.code == code
