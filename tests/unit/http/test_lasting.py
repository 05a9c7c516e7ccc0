"""Work beside the requests outlives what fails in it, and ends when it is cancelled."""

from __future__ import annotations

import asyncio
import logging

import pytest

from serving_http import lasting


def test_work_that_fails_is_told_and_begins_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lasting, "RESTART_SECONDS", 0.01)
    begun: list[int] = []

    async def observed() -> None:
        third = asyncio.Event()

        async def work() -> None:
            begun.append(len(begun))
            if len(begun) < 3:
                raise RuntimeError("can't start new thread")
            third.set()
            await asyncio.Event().wait()

        task = lasting.task(work)
        await asyncio.wait_for(third.wait(), 10)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with caplog.at_level(logging.ERROR):
        asyncio.run(observed())
    assert begun == [0, 1, 2]
    assert caplog.text.count("RuntimeError: can't start new thread") == 2
