"""Reach a Service of the cluster from here."""

from __future__ import annotations

import contextlib
import re
import subprocess
from typing import TYPE_CHECKING

from ci.steps import StepError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@contextlib.contextmanager
def forwarded(kubectl: Sequence[str], target: str, port: int) -> Iterator[int]:
    """Forward a free local port to `port` of `target` (for example `service/api`) while the block runs."""
    command = [*kubectl, "port-forward", "--address=127.0.0.1", target, f":{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - PIPE was asked for
        try:
            line = process.stdout.readline()
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            if found is None:
                raise StepError(f"kubectl port-forward to {target} did not start", why=line + process.stdout.read())
            yield int(found[1])
        finally:
            process.terminate()
