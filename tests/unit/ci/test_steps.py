"""Steps side by side: both are done, and an error of either comes out."""

from __future__ import annotations

import threading

import pytest

from ci.steps import StepError, side_by_side


def test_each_is_done_while_the_other_is() -> None:
    met = threading.Barrier(2)

    def meet(name: str) -> str:
        met.wait(timeout=30)
        return name

    assert side_by_side(lambda: meet("cluster"), lambda: meet("images")) == ("cluster", "images")


def test_error_here_is_raised_though_the_other_is_still_at_work() -> None:
    end = threading.Event()

    def fail() -> None:
        raise StepError("no image")

    try:
        with pytest.raises(StepError, match="no image"):
            side_by_side(lambda: end.wait(timeout=30), fail)
    finally:
        end.set()


def test_error_beside_is_raised_when_this_is_done() -> None:
    done: list[str] = []

    def fail() -> None:
        raise StepError("no cluster")

    with pytest.raises(StepError, match="no cluster"):
        side_by_side(fail, lambda: done.append("images"))
    assert done == ["images"]
