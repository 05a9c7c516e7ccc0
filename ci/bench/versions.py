"""What it costs the api that two versions serve side by side, as they do while a new one rolls out.

Two servers with one version each are asked through one api, once both with version 1 and once with versions 1 and 2, in
turn and in several rounds. The ratio of the medians must not fall below the goal: labels and metadata are learned once
for a version, never for a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ci.bench import models
from ci.bench.server import IMAGE, free_port, model_flags, started, wait_for_rest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 5
ROUND_SECONDS = 3.0
CONNECTIONS = 32
GOAL = 0.9
START_TIMEOUT_SECONDS = 60.0
BODY = json.dumps({"input": [pixel for row in IMAGE for pixel in row]}).encode()
REQUEST = (
    b"POST /predict HTTP/1.1\r\nHost: api\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)
) + BODY


def main() -> int:
    """Print both rates and their ratio; return 1 when it is below the goal."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        models.write(folder)
        one, two = stack.enter_context(_api(folder, (1, 1))), stack.enter_context(_api(folder, (1, 2)))
        rates: dict[int, list[float]] = {one: [], two: []}
        for _ in range(ROUNDS):
            for port, measured in rates.items():
                measured.append(asyncio.run(_rate(port)))
    alone, beside = (statistics.median(measured) for measured in rates.values())
    ratio = beside / alone
    print(f"/predict of one image by {CONNECTIONS} connections: one version {alone:.0f}/s, two {beside:.0f}/s")
    print(f"two versions / one version: {ratio:.2f} (goal {GOAL})")
    return 0 if ratio >= GOAL else 1


@contextlib.contextmanager
def _api(folder: Path, versions: tuple[int, int]) -> Iterator[int]:
    """Yield the port of an api in front of two servers of these versions."""
    with contextlib.ExitStack() as stack:
        servers = []
        for i, version in enumerate(versions):
            home = folder / f"{versions}-{i}"
            shutil.copytree(folder / "mnist" / "1", home / "mnist" / str(version))
            grpc_port, rest_port = free_port(), free_port()
            stack.enter_context(started("model_server", *model_flags(grpc_port, rest_port, home)))
            wait_for_rest(rest_port)
            servers.append(f"127.0.0.1:{grpc_port}")
        port = free_port()
        where = ("--host=127.0.0.1", f"--port={port}", f"--server={','.join(servers)}", "--model-task=classification")
        stack.enter_context(started("model_api", *where))
        asyncio.run(_wait_until_ready(port))
        yield port


async def _wait_until_ready(port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, AssertionError):
            await _ask(*await asyncio.open_connection("127.0.0.1", port))
            return
        await asyncio.sleep(0.1)
    sys.exit("the api is not ready")


async def _rate(port: int) -> float:
    """Return the answers a second that CONNECTIONS clients get, each asking again as soon as it is answered."""
    end = time.monotonic() + ROUND_SECONDS
    counts = await asyncio.gather(*(_client(port, end) for _ in range(CONNECTIONS)))
    return sum(counts) / ROUND_SECONDS


async def _client(port: int, end: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    while time.monotonic() < end:
        await _ask(reader, writer)
        count += 1
    writer.close()
    return count


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    body = await reader.readexactly(length)
    assert head.startswith(b"HTTP/1.1 200"), body  # noqa: S101 - a benchmark of errors is none


if __name__ == "__main__":
    raise SystemExit(main())
