"""What is waited for is asked until it is true or the time is over, and once at least."""

from __future__ import annotations

import pytest

from ci.waiting import first_true
from tests.e2e.waiting import wait_for


def test_first_true_result_is_returned() -> None:
    answers = iter([None, "", "there", "later"])
    assert first_true(lambda: next(answers), 10, 0) == (True, "there")


def test_it_is_asked_once_without_any_time_and_its_last_answer_is_told() -> None:
    answers = iter(["", "never asked for"])
    assert first_true(lambda: next(answers), -1, 0) == (False, "")


def test_what_does_not_come_in_time_is_an_error_with_what_was_seen() -> None:
    with pytest.raises(TimeoutError, match=r"the sun: not within 0 s \(last seen: \[\]\)"):
        wait_for(list, "the sun", 0)


def test_failure_of_the_condition_is_not_waited_out() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_for(lambda: 1 // 0, "a quotient", 60)
