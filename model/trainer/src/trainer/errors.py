"""What can go wrong, and the exit code that says so."""

from __future__ import annotations

from typing import ClassVar


class TrainerError(Exception):
    """A failure told in one sentence; `exit_code` is the process's."""

    exit_code: ClassVar[int] = 2


class InputError(TrainerError):
    """Bad flags, or data that is missing or damaged."""


class GateError(TrainerError):
    """A model that is not good enough to be published, or that cannot be served."""

    exit_code: ClassVar[int] = 3
