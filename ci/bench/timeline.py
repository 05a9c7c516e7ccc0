"""Where a request's time goes in the api: every step of it timed while 32 clients ask, and the batches they share.

Steps are timed from outside, by wrapping them, which costs each about a microsecond; waiting is what is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ci.bench import models
from ci.bench.load_generator import post
from ci.bench.server import free_port, model_flags, started, wait_for_rest
from model_api import answers, app, batcher, channel, config, gateway, inputs
from model_api.gateway import Gateway
from model_api.room import Room
from model_api.servers import Servers, followed
from serving_http import connection, listener, parser
from serving_http.front import Front
from serving_http.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

PIXELS = [(row * 28 + column) % 256 for row in range(28) for column in range(28)]
LOAD = """
import sys
from ci.bench.load_generator import Load, run
port, clients, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
report = run(Load("127.0.0.1", port, bytes.fromhex(sys.stdin.read()), clients, seconds=seconds))
print(report.rate, report.milliseconds(0.5))
"""
MICROSECONDS = 1e6
STEPS: tuple[tuple[str, Any, str, bool], ...] = (
    ("HTTP: bytes to a request", parser.Parser, "feed", False),
    ("JSON to a tensor", inputs, "read", False),
    ("waiting for the answer of the batch", batcher.Batcher, "submit", True),
    ("answers of a batch", answers, "answers", False),
    ("HTTP: reply to bytes, and the send", connection.Connection, "_write", False),
    ("everything of a request", app.App, "_answered", True),
    ("a batch: joined, asked, told", batcher.Batcher, "_run", True),
    ("a batch: message to bytes, the call, bytes to arrays", gateway.Gateway, "_ask", True),
    ("a batch: the call by HTTP/2", channel.Channel, "call", True),
)


class Clock:
    """How often each step was taken, and how long it took in all."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = defaultdict(int)
        self.seconds: dict[str, float] = defaultdict(float)

    def note(self, name: str, start: float) -> None:
        """Count a step that began at a time."""
        self.counts[name] += 1
        self.seconds[name] += time.perf_counter() - start

    def wrapped(self, name: str, step: Callable[..., Any], *, is_coroutine: bool) -> Callable[..., Any]:
        """Return a step that counts itself."""

        def timed(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return step(*arguments, **options)
            finally:
                self.note(name, start)

        async def awaited(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return await step(*arguments, **options)
            finally:
                self.note(name, start)

        return awaited if is_coroutine else timed


async def measured(server_port: int, clients: int, seconds: float) -> tuple[Clock, str]:
    """Serve in this process while another asks; return the times, and what the clients saw."""
    clock = Clock()
    for name, owner, attribute, is_coroutine in STEPS:
        setattr(owner, attribute, clock.wrapped(name, getattr(owner, attribute), is_coroutine=is_coroutine))
    settings = config.parse([f"--server=127.0.0.1:{server_port}", "--model-name=mnist", "--model-task=classification"])
    async with followed(Servers(settings.server, None, Room(settings.max_held_answer_bytes)), 1) as servers:
        api = Gateway(settings, servers)
        await api.knowledge.refresh()
        front = Front(app.App(api), Limits())
        with listener.bind("127.0.0.1", 0) as listening:
            await front.listen(listening, listener.BACKLOG)
            port = listening.getsockname()[1]
            request = post("/predict", json.dumps({"input": PIXELS}).encode()).hex().encode()
            command = (sys.executable, "-c", LOAD, str(port), str(clients), str(seconds))
            process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            told, _ = await process.communicate(request)
            await front.stop(1)
    return clock, told.decode()


@click.command()
@click.option("--clients", default=32, show_default=True, help="kept connections that ask")
@click.option("--seconds", default=5.0, show_default=True, help="how long")
def main(clients: int, seconds: float) -> None:
    """Print the mean time of every step."""
    import uvloop  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder, grpc_port, rest_port = Path(name), free_port(), free_port()
        models.write(folder)
        stack.enter_context(started("model_server", *model_flags(grpc_port, rest_port, folder)))
        wait_for_rest(rest_port)
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", grpc_port), timeout=5):
            pass
        clock, told = uvloop.run(measured(grpc_port, clients, seconds))
    rate, median = map(float, told.split())
    batches = clock.counts[STEPS[6][0]]
    requests = clock.counts[STEPS[5][0]]
    click.echo(f"{clients} clients: {rate:,.0f} requests/s, {median:.1f} ms, {requests / max(1, batches):.1f} a batch")
    click.echo("\n| step | us each | us a request |\n|---|---|---|")
    for step, *_ in STEPS:
        each = clock.seconds[step] / max(1, clock.counts[step]) * MICROSECONDS
        click.echo(f"| {step} | {each:,.0f} | {clock.seconds[step] / max(1, requests) * MICROSECONDS:,.0f} |")


if __name__ == "__main__":
    main()
