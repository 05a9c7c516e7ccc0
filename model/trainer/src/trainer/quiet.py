"""TensorFlow's own messages at its import, which would drown the story of a training."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

STANDARD_ERROR = 2
# On processors where it uses oneDNN it says so at each import, whatever the log level (its core/util/port.cc).
NOISE = re.compile(rb"WARNING: All log messages before absl::InitializeLog\(\)|I\d{4} [\d:. ]+port\.cc:\d+\] oneDNN ")


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Leave NOISE out of what is written to standard error while the block runs; all else comes at its end.

    C++ writes to the file itself, so that is what is put aside. Nothing of it is lost when the block fails.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    aside = os.dup(STANDARD_ERROR)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), STANDARD_ERROR)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(aside, STANDARD_ERROR)
            os.close(aside)
            kept.seek(0)
            told = b"".join(line for line in kept if not NOISE.match(line))
            if told:
                os.write(STANDARD_ERROR, told)
