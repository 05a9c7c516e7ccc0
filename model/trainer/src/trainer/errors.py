"""What can go wrong, and the exit code that says so."""

from __future__ import annotations

from typing import ClassVar


class TrainerError(Exception):
    """A failure told in one sentence; `exit_code` is the process's."""

    exit_code: ClassVar[int] = 2


class InputError(TrainerError):
    """Bad flags or parameters, a recipe that is none, or data that is missing: trying again does not help."""


class StorageError(TrainerError):
    """A folder that cannot be read or written now, or that another run holds: trying again may help."""

    exit_code: ClassVar[int] = 4
