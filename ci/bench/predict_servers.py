"""The servers that `/predict` is measured among: ours, floors, and others of the kind, each started as its users do."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from ci import paths
from ci.bench import peer_environments
from ci.bench.load_generator import post

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

START_SECONDS = 180.0
STOP_SECONDS = 10.0
PIXELS = [(row * 28 + column) % 256 for row in range(28) for column in range(28)]

OURS, ALONE, FLOOR, SIMDJSON = "api + drop-in server", "api, constant server", "floor: orjson", "floor: simdjson"
MLSERVER, LITSERVE, FLASK = "MLServer, batch 64", "LitServe, batch 64", "Flask, gunicorn -w 2, keras predict"


@dataclass(frozen=True)
class Server:
    """A server that is up: where it answers, what is asked of it, and its processes by name."""

    port: int
    processes: Mapping[str, int]
    path: str = "/predict"
    is_v2: bool = False
    # The port of the gRPC server it asks.
    behind: int = 0
    # LitServe polls while it is idle, a fifth of a core: it is stopped while others are asked. Not so Flask, whose
    # gunicorn takes workers that were stopped for half a minute for dead.
    is_paused: bool = False

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Let it run while the block runs, where it is paused otherwise."""
        for leader in self.processes.values() if self.is_paused else ():
            signal_group(leader, signal.SIGCONT)
        try:
            yield
        finally:
            for leader in self.processes.values() if self.is_paused else ():
                signal_group(leader, signal.SIGSTOP)

    def request(self, numbers: Sequence[float]) -> bytes:
        """Return the bytes of a request for one image."""
        body: dict[str, Any] = {"input": numbers}
        if self.is_v2:
            tensor = {"name": "pixels", "shape": [1, len(numbers)], "datatype": "FP32", "data": numbers}
            body = {"inputs": [tensor]}
        return post(self.path, json.dumps(body).encode())


@dataclass(frozen=True)
class Started:
    """A process and what it says."""

    process: subprocess.Popen[bytes]
    log: IO[bytes]

    @property
    def pid(self) -> int:
        """Its number."""
        return self.process.pid

    def last_words(self) -> str:
        """Return the end of what it said."""
        self.log.seek(0)
        return self.log.read()[-2000:].decode(errors="replace")


def start_ours(folder: Path, stack: contextlib.ExitStack) -> dict[str, Server]:
    """Start the api with its server, the api with a constant one, and the floors."""
    grpc_port, rest_port, stand_in_port = free_port(), free_port(), free_port()
    model = f"--model_base_path={folder / 'mnist'}"
    server = started(
        stack, "model_server", f"--port={grpc_port}", f"--rest_api_port={rest_port}", "--model_name=mnist", model
    )
    wait_until_answered(rest_port, "GET", "/v1/models/mnist", None, server)
    stand_in = started(stack, "ci.bench.predict_floors", "stand_in", str(stand_in_port), f"127.0.0.1:{grpc_port}")
    servers = {}
    for name, port, others in (
        (OURS, grpc_port, {"server": server.pid}),
        (ALONE, stand_in_port, {"stand-in": stand_in.pid}),
    ):
        api_port = free_port()
        flags = ("--host=127.0.0.1", f"--port={api_port}", "--model-name=mnist", "--model-task=classification")
        api = started(stack, "model_api", *flags, f"--server=127.0.0.1:{port}")
        servers[name] = ready(Server(api_port, {"api": api.pid, **others}, behind=port), api)
    interpreter = peer_environments.python("floors")
    for name, kind in ((FLOOR, "orjson"), (SIMDJSON, "simdjson")):
        port = free_port()
        floor = started(stack, "ci.bench.predict_floors", kind, str(port), interpreter=interpreter)
        servers[name] = ready(Server(port, {"floor": floor.pid}), floor)
    return servers


def start_peers(folder: Path, stack: contextlib.ExitStack) -> dict[str, Server]:
    """Start the others, each in its environment."""
    ports = [free_port() for _ in range(5)]
    model = folder / "mnist" / "1"
    interpreter = peer_environments.python("mlserver")
    write = (
        "import sys, pathlib; from ci.bench import peer_mlserver as m; p = pathlib.Path; "
        "m.write_settings(p(sys.argv[1]), p(sys.argv[2]), *map(int, sys.argv[3:]))"
    )
    home = folder / "mlserver"
    arguments = [str(home), str(model), *map(str, ports[:3])]
    subprocess.run([interpreter, "-c", write, *arguments], check=True, capture_output=True, env=environment())
    mlserver = started(stack, "mlserver.cli.main", "start", str(home), interpreter=interpreter)
    interpreter = peer_environments.python("litserve")
    litserve = started(stack, "ci.bench.peer_litserve", str(model), str(ports[3]), interpreter=interpreter)
    os.environ["KERAS_MODEL"] = str(folder / "mnist.keras")
    flags = ("-w", "2", "-b", f"127.0.0.1:{ports[4]}", "ci.bench.peer_flask:app")
    flask = started(stack, "gunicorn", *flags, interpreter=peer_environments.python("flask"))
    peers = {
        MLSERVER: (
            mlserver,
            Server(ports[0], {"MLServer": mlserver.pid}, "/v2/models/mnist/infer", is_v2=True),
        ),
        LITSERVE: (litserve, Server(ports[3], {"LitServe": litserve.pid}, is_paused=True)),
        FLASK: (flask, Server(ports[4], {"Flask": flask.pid})),
    }
    for process, server in peers.values():
        ready(server, process)
    for _, server in peers.values():
        with server.awake():
            pass
    return {name: server for name, (_, server) in peers.items()}


def environment() -> dict[str, str]:
    """Return the environment of what is started: the tree, and nothing of a terminal."""
    return {**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH") or str(paths.ROOT)}


def started(stack: contextlib.ExitStack, *command: str, interpreter: str = sys.executable) -> Started:
    """Run a Python module until the stack is closed; what it says is kept for when it ends too early."""
    log = stack.enter_context(contextlib.closing(tempfile.TemporaryFile()))  # noqa: SIM115 - the stack closes it
    # A group of its own: some leave processes behind.
    command = (interpreter, "-m", *command)
    process = subprocess.Popen(command, stdout=log, stderr=log, env=environment(), start_new_session=True)
    stack.callback(stopped, process)
    return Started(process, log)


def stopped(process: subprocess.Popen[bytes]) -> None:
    """Stop a process and what it started, whether it listens to that or not."""
    signal_group(process.pid, signal.SIGCONT)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    signal_group(process.pid, signal.SIGKILL)
    process.wait()


def signal_group(leader: int, number: signal.Signals) -> None:
    """Send a signal to a process and what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, number)


def ready(server: Server, process: Started) -> Server:
    """Return a server once it answers an image with 200."""
    body = server.request(PIXELS).partition(b"\r\n\r\n")[2]
    wait_until_answered(server.port, "POST", server.path, body, process)
    return server


def wait_until_answered(port: int, method: str, path: str, body: bytes | None, process: Started) -> None:
    """Return once the answer is 200; raise TimeoutError with what the process said."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request(method, path, body, {"Content-Type": "application/json"})
            if connection.getresponse().status == http.client.OK:
                return
        time.sleep(0.1)
    raise TimeoutError(f"{process.process.args!r} does not answer {path}: {process.last_words()}")


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
