"""What can go wrong, and the exit code that says so."""

from __future__ import annotations

from typing import ClassVar


class LoaderError(Exception):
    """A failure told in one sentence that says what to do; `exit_code` is the process's."""

    exit_code: ClassVar[int] = 2


class NotThereError(LoaderError):
    """No model was there in time."""

    exit_code: ClassVar[int] = 1


class RefusedError(LoaderError):
    """A version that is there and is not handed over, now or on another try, until it changes."""
