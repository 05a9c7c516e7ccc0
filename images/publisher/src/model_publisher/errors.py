"""What can go wrong, and the exit code that says so."""

from __future__ import annotations

from typing import ClassVar


class PublisherError(Exception):
    """A failure told in one sentence that says what to do; `exit_code` is the process's.

    2: what was given is wrong, and trying again does not help.
    """

    exit_code: ClassVar[int] = 2


class NotGoodEnoughError(PublisherError):
    """A model below a gate, or one that its server does not bless."""

    exit_code: ClassVar[int] = 3


class PassingError(PublisherError):
    """A fault of the store, the workspace, or somebody who does not answer: trying again may help."""

    exit_code: ClassVar[int] = 4
