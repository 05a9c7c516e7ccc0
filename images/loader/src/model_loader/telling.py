"""What the loader tells: lines for the log, and the reason that `kubectl describe pod` shows."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from model_store.names import shown

if TYPE_CHECKING:
    from pathlib import Path

# Kubernetes keeps 4,096 bytes of a termination message.
LONGEST_REASON_BYTES = 4000


def tell(line: str) -> None:
    """Write one line to the log, in printable text: names in a store may be made to mislead."""
    print(shown(line), flush=True)


class Reason:
    """Why this container is not done yet, in the file Kubernetes reads when it ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = ""

    def leave(self, text: str) -> None:
        """Have `text` be the reason; "" for none. A file that is not there is not made: no Kubernetes, no reader."""
        self._text = text
        self.repeat()

    def repeat(self) -> None:
        """Leave the last reason again: a signal may have come while it was written."""
        content = shown(self._text).encode("utf-8")[:LONGEST_REASON_BYTES].decode("utf-8", "ignore")
        with contextlib.suppress(OSError):
            if self._path.is_file():
                self._path.write_text(content, encoding="utf-8")
