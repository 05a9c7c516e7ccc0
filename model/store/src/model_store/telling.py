"""What a container beside the store tells: lines for its log, and the reason that `kubectl describe pod` shows.

Both are printable text: names in a store or a model may be made to mislead.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from model_store.names import shown

if TYPE_CHECKING:
    from pathlib import Path

# Kubernetes keeps 4,096 bytes of a termination message.
LONGEST_REASON_BYTES = 4000


def tell(line: str) -> None:
    """Write one line to the log."""
    print(shown(line), flush=True)


def leave_reason(path: Path, text: str) -> None:
    """Write why the container ends where Kubernetes reads it; a file that is not there is not made."""
    content = shown(text).encode("utf-8")[:LONGEST_REASON_BYTES].decode("utf-8", "ignore")
    with contextlib.suppress(OSError):
        if path.is_file():
            path.write_text(content, encoding="utf-8")
