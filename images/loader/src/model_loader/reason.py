"""Why this container is not done yet, as `kubectl describe pod` shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_store.telling import leave_reason

if TYPE_CHECKING:
    from pathlib import Path


class Reason:
    """The last reason, in the file Kubernetes reads when the container ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = ""

    def leave(self, text: str) -> None:
        """Have `text` be the reason; "" for none."""
        self._text = text
        self.repeat()

    def repeat(self) -> None:
        """Leave the last reason again: a signal may have come while it was written."""
        leave_reason(self._path, self._text)
