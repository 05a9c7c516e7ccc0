"""The HTTP layers the api and the model server could stand on: their rates side by side, and what stops them.

Prints the table of docs/http.md; ends with 1 where ours is not the fastest, or lets something through.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import click

from ci import paths
from ci.bench import peer_environments
from ci.bench.http_candidates import CANDIDATES
from ci.bench.load_generator import Load, post, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OURS = "serving_http"
CONNECTIONS = 32
START_SECONDS = 30.0
WAIT_SECONDS = 70.0
PIXELS = [(row * 28 + column) % 256 for row in range(28) for column in range(28)]
# As uvicorn's users know it; ours is compared with the fastest of the others.
LEAST_RATIO = 1.0


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="rounds of each")
@click.option("--seconds", type=click.FloatRange(0.1), default=2.0, show_default=True, help="length of a round")
def main(rounds: int, seconds: float) -> None:
    """Measure every candidate in turn and print the table; exit with 1 below the goal."""
    request = post("/predict", json.dumps({"input": PIXELS}).encode())
    rates: dict[str, list[float]] = {name: [] for name in CANDIDATES}
    findings: dict[str, list[str]] = {}
    with contextlib.ExitStack() as stack:
        ports = {name: stack.enter_context(started(name)) for name in CANDIDATES}
        for _ in range(rounds):
            for name, port in ports.items():
                rates[name].append(run(Load("127.0.0.1", port, request, CONNECTIONS, seconds=seconds)).rate)
        with ThreadPoolExecutor() as pool:
            found = {name: [pool.submit(check, port) for check in CHECKS.values()] for name, port in ports.items()}
        for name, checks in found.items():
            findings[name] = [check.result() for check in checks]
    medians = {name: statistics.median(values) for name, values in rates.items()}
    click.echo("| layer | requests/s | of uvicorn's | " + " | ".join(CHECKS) + " |")
    click.echo("|---|---|---|" + "---|" * len(CHECKS))
    for name, median in sorted(medians.items(), key=lambda item: -item[1]):
        ratio = median / medians["uvicorn, httptools"]
        click.echo(f"| {name} | {median:,.0f} | {ratio:.2f} | " + " | ".join(findings[name]) + " |")
    best = max(median for name, median in medians.items() if name != OURS)
    ratio = medians[OURS] / best
    click.echo(f"ours / the fastest other: {ratio:.2f} (wanted: {LEAST_RATIO:.2f} or more)")
    raise SystemExit(int(ratio < LEAST_RATIO or any(word.startswith("**") for word in findings[OURS])))


@contextlib.contextmanager
def started(name: str) -> Iterator[int]:
    """Run a candidate while the block runs; yield its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    source = paths.ROOT / "model" / "http" / "src"
    environment = {**os.environ, "PYTHONPATH": f"{paths.ROOT}:{source}"}
    command = [str(peer_environments.python("http")), "-m", "ci.bench.http_candidates", name, str(port)]
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        try:
            deadline = time.monotonic() + START_SECONDS
            while not exchanged(port, post("/length", b"hello")).endswith(b"5"):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{name} does not answer")
                time.sleep(0.05)
            yield port
        finally:
            process.terminate()


def exchanged(port: int, data: bytes, seconds: float = 2.0) -> bytes:
    """Send bytes; return what comes back until it is closed, or nothing comes for a while."""
    answer = b""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        while part := connection.recv(65536):
            answer += part
            if not data.startswith(b"GET") and b"\r\n\r\n" in answer:
                break
    return answer


def status_of(answer: bytes) -> str:
    """Return the status of an answer."""
    return answer.split()[1].decode("latin-1") if answer.startswith(b"HTTP/") else "closed"


def upgrade(port: int) -> str:
    """Ask for HTTP/2 with a body, which is the body's all the same (the JDK's client does so with every POST)."""
    head = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
    request = post("/length", b"hello").replace(b"\r\n\r\n", b"\r\n" + head.encode() + b"\r\n")
    answer = exchanged(port, request)
    return "kept" if answer.endswith(b"5") else f"**lost** ({status_of(answer)})"


def large_header(port: int) -> str:
    """Send a header of 12 MiB, which should be refused."""
    answer = exchanged(port, b"GET /length HTTP/1.1\r\nHost: a\r\nx: " + b"a" * (12 << 20) + b"\r\n\r\n", 5.0)
    status = status_of(answer)
    return "**taken**" if status == "200" else status


def head_that_never_ends(port: int) -> str:
    """Begin a request and wait until that is ended."""
    return waited(port, b"GET /length HTTP/1.1\r\nHost: a\r\n")


def body_that_never_ends(port: int) -> str:
    """Send half a body and wait until that is ended."""
    return waited(port, post("/length", bytes(1000))[:-1])


def waited(port: int, data: bytes) -> str:
    """Return after how many seconds a connection is ended, as far as somebody waits for it."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS) as connection:
        connection.sendall(data)
        start = time.monotonic()
        try:
            connection.recv(65536)
        except TimeoutError:
            return f"not in {WAIT_SECONDS:.0f} s"
        return f"{time.monotonic() - start:.0f} s"


CHECKS: dict[str, Callable[[int], str]] = {
    "body beside `Upgrade: h2c`": upgrade,
    "header of 12 MiB": large_header,
    "head that never ends": head_that_never_ends,
    "body that never ends": body_that_never_ends,
}


if __name__ == "__main__":
    main()
