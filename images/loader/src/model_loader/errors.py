"""What can go wrong, and the exit code that says so."""

from __future__ import annotations

from typing import ClassVar


class LoaderError(Exception):
    """A failure told in one sentence; `exit_code` is the process's."""

    exit_code: ClassVar[int] = 2


class VerificationError(LoaderError):
    """A published model that is not what its manifest says."""


class NotPublishedError(LoaderError):
    """No model was published in time."""

    exit_code: ClassVar[int] = 1
