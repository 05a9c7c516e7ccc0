"""The model server against floors: the same gRPC and HTTP stacks without a model, and the model without a server.

One client process calls each pair in turn, in several rounds; the medians' ratios are printed. Then 100 reloads of a
10 MB model with the memory after each ten. Start to ready is from the process's start to the first answer. It ends with
1 when a ratio misses its goal.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import requests

from ci.bench import models
from ci.bench.floors import BATCH, EMPTY_METHOD, GRAPH_METHOD, GRAPH_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROUNDS = 5
ROUND_SECONDS = 2.0
CLIENTS = (1, 4, 8)
RELOADS = 100
MAXIMUM_GROWTH = 1.05
READY_TIMEOUT_SECONDS = 60.0
PREDICT_METHOD = "/tensorflow.serving.PredictionService/Predict"
PREDICT_PATH = "/v1/models/mnist:predict"
IMAGE = [[(row * 28 + column) % 256 for column in range(28)] for row in range(28)]


@dataclass(frozen=True)
class Pair:
    """Two measures of one kind by so many client threads, and the least their ratio should be.

    `graph` is the floor with the model's graph run at each call: what is left to the server to win.
    """

    name: str
    unit: str
    server: Callable[[int], float]
    floor: Callable[[int], float]
    minimum_ratio: float
    clients: Sequence[int] = CLIENTS
    graph: Callable[[int], float] | None = None


def main() -> int:
    """Run every measure and print its ratio; return 1 when one misses its goal."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models.write(folder, models.RELOADED)
        with contextlib.ExitStack() as stack:
            missed = [miss for pair in pairs(folder, stack) for miss in compare(pair)]
        missed += print_reload_memory(folder)
    for miss in missed:
        print(f"missed: {miss}")
    return 1 if missed else 0


def pairs(folder: Path, stack: contextlib.ExitStack) -> Iterator[Pair]:
    """Start the server and both floors; yield what is compared."""
    grpc_port, rest_port = free_port(), free_port()
    start = time.monotonic()
    stack.enter_context(started("model_server", *model_flags(grpc_port, rest_port, folder)))
    wait_for_rest(rest_port)
    print(f"start to ready: {time.monotonic() - start:.1f} s", flush=True)
    grpc_floor, rest_floor = free_port(), free_port()
    version = str(folder / "mnist" / "1")
    stack.enter_context(started("ci.bench.floors", "grpc", str(grpc_floor), version))
    stack.enter_context(started("ci.bench.floors", "rest", str(rest_floor), version))
    wait_for_port(grpc_floor)
    wait_for_port(rest_floor)

    one, batch = predict_request(1), predict_request(BATCH)
    yield Pair(
        "gRPC Predict of one image / empty unary call",
        "calls/s",
        functools.partial(grpc_rate, grpc_port, PREDICT_METHOD, one),
        functools.partial(grpc_rate, grpc_floor, EMPTY_METHOD, b""),
        0.60,
        graph=functools.partial(grpc_rate, grpc_floor, GRAPH_METHOD, one),
    )
    yield Pair(
        f"gRPC Predict of {BATCH} images / the loaded signature in its own process",
        "images/s",
        lambda clients: grpc_rate(grpc_port, PREDICT_METHOD, batch, clients) * BATCH,
        lambda _: signature_rate(folder / "mnist" / "1"),
        0.50,
        (CLIENTS[1],),
    )
    body = json.dumps({"instances": [IMAGE]}).encode()
    for client, rest_rate in (("requests", requests_rate), ("bare sockets", sockets_rate)):
        yield Pair(
            f"REST predict of one image / constant reply, by {client}",
            "requests/s",
            functools.partial(rest_rate, rest_port, body),
            functools.partial(rest_rate, rest_floor, body),
            0.40,
            graph=functools.partial(rest_rate, rest_floor, body, path=GRAPH_PATH),
        )


def compare(pair: Pair) -> list[str]:
    """Measure both sides in turn and print the ratio of the medians, by number of client threads; return misses."""
    missed = []
    print(f"{pair.name} (wanted: {pair.minimum_ratio:.2f} or more)", flush=True)
    for clients in pair.clients:
        server, floor, graph = [], [], []
        for _ in range(ROUNDS):
            server.append(pair.server(clients))
            floor.append(pair.floor(clients))
            if pair.graph:
                graph.append(pair.graph(clients))
        ours, theirs = statistics.median(server), statistics.median(floor)
        threads = f"{clients} client thread{'s' if clients > 1 else ''}"
        left = f"; with the graph alone {statistics.median(graph) / theirs:.2f}" if graph else ""
        print(f"  {threads}: {ours / theirs:.2f} ({ours:,.0f} and {theirs:,.0f} {pair.unit}{left})", flush=True)
        if ours / theirs < pair.minimum_ratio:
            missed.append(f"{pair.name}, {threads}: {ours / theirs:.2f} is below {pair.minimum_ratio:.2f}")
    return missed


# ---- calls


def rate(call_in: Callable[[], contextlib.AbstractContextManager[Callable[[], object]]], clients: int) -> float:
    """Return calls a second of so many threads, each with what `call_in` opens for it."""
    counts: list[int] = []
    failures: list[Exception] = []
    ready = threading.Barrier(clients)

    def client() -> None:
        count = 0
        try:
            with call_in() as call:
                call()
                ready.wait()
                until = time.monotonic() + ROUND_SECONDS
                while time.monotonic() < until:
                    call()
                    count += 1
        except Exception as error:  # noqa: BLE001 - told by the caller, whatever it is
            failures.append(error)
            ready.abort()
        counts.append(count)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return sum(counts) / ROUND_SECONDS


def grpc_rate(port: int, method: str, request: bytes, clients: int) -> float:
    """Return calls a second of a unary method; bytes are not parsed by the client."""
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.max_receive_message_length", -1)]) as channel:
        method_call: Any = channel.unary_unary(method)
        return rate(lambda: contextlib.nullcontext(lambda: method_call(request, timeout=30)), clients)


def requests_rate(port: int, body: bytes, clients: int, path: str = PREDICT_PATH) -> float:
    """Return requests a second of the client most people have, a session with a kept connection to a thread."""
    url = f"http://127.0.0.1:{port}{path}"

    @contextlib.contextmanager
    def connected() -> Iterator[Callable[[], object]]:
        with requests.Session() as session:
            session.trust_env = False
            yield lambda: session.post(url, data=body, timeout=30).raise_for_status()

    return rate(connected, clients)


def sockets_rate(port: int, body: bytes, clients: int, path: str = PREDICT_PATH) -> float:
    """Return requests a second of a client that costs next to nothing, a kept connection to a thread."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    request = head.encode() + body

    @contextlib.contextmanager
    def connected() -> Iterator[Callable[[], object]]:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield lambda: exchange(connection, request)

    return rate(connected, clients)


def exchange(connection: socket.socket, request: bytes) -> None:
    """Send a request and read its answer, whose length its header tells; raise ConnectionError when it is not 200."""
    connection.sendall(request)
    answer = connection.recv(65536)
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    head, _, rest = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(answer.decode(errors="replace"))
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    missing = length - len(rest)
    while missing > 0:
        missing -= len(connection.recv(65536))


def signature_rate(folder: Path) -> float:
    """Return images a second of the loaded signature in a process of its own."""
    command = [sys.executable, "-m", "ci.bench.floors", "signature", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def predict_request(images: int) -> bytes:
    """Return a serialized PredictRequest of some images."""
    import numpy as np  # noqa: PLC0415
    from tensorflow_serving.apis import predict_pb2  # noqa: PLC0415

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "mnist"
    tensor = request.inputs["pixels"]
    tensor.dtype = 1
    for size in (images, 28, 28):
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = np.tile(np.array(IMAGE, "<f4"), (images, 1, 1)).tobytes()
    content: bytes = request.SerializeToString()
    return content


# ---- memory


def print_reload_memory(folder: Path) -> list[str]:
    """Load the 10 MB model 100 times, the old version unloaded each time; print the memory, and return a miss."""
    from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc  # noqa: PLC0415

    grpc_port, rest_port = free_port(), free_port()
    flags = (
        f"--port={grpc_port}",
        f"--rest_api_port={rest_port}",
        "--model_name=large",
        f"--reload_config_root={folder}",
    )
    curve = []
    with (
        started("model_server", *flags, f"--model_base_path={folder / 'large'}") as process,
        grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel,
    ):
        wait_for_rest(rest_port, "/v1/models/large")
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        for number in range(RELOADS + 1):
            request = model_management_pb2.ReloadConfigRequest()
            config = request.config.model_config_list.config.add(name="large", base_path=str(folder / "large"))
            config.model_platform = "tensorflow"
            config.model_version_policy.specific.versions.append(1 + number % 2)
            stub.HandleReloadConfigRequest(request, timeout=30)
            wait_for_only(rest_port, 1 + number % 2)
            if number % 10 == 0:
                curve.append(resident_mib(process.pid))
    print("memory after 0, 10, ... 100 reloads: " + ", ".join(f"{mib:.0f}" for mib in curve) + " MiB")
    growth = curve[-1] / curve[1]
    print(f"memory after 100 reloads / after 10: {growth:.3f} (wanted: {MAXIMUM_GROWTH} or less)")
    return [f"memory after 100 reloads: {growth:.3f} is above {MAXIMUM_GROWTH}"] if growth > MAXIMUM_GROWTH else []


def resident_mib(pid: int) -> float:
    """Return a process's resident memory in MiB (proc(5), statm)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


# ---- processes


@contextlib.contextmanager
def started(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python module while the block runs."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen([sys.executable, "-m", *command], stdout=quiet, stderr=quiet) as process:
        try:
            yield process
        finally:
            process.terminate()


def model_flags(grpc_port: int, rest_port: int, folder: Path) -> list[str]:
    """Return the server's flags for the default model."""
    flags = [f"--port={grpc_port}", f"--rest_api_port={rest_port}", "--model_name=mnist"]
    return [*flags, f"--model_base_path={folder / 'mnist'}"]


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int) -> None:
    """Return once somebody listens; raise TimeoutError."""

    def listens() -> bool:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True

    _wait(listens, f"port {port}")


def wait_for_rest(port: int, path: str = "/v1/models/mnist") -> None:
    """Return once the model's status is there; raise TimeoutError."""
    _wait(lambda: b"AVAILABLE" in get(port, path), path)


def wait_for_only(port: int, version: int) -> None:
    """Return once a version is the one that is served and no other is on its way; raise TimeoutError."""

    def states() -> bool:
        versions = json.loads(get(port, "/v1/models/large"))["model_version_status"]
        alive = {item["version"]: item["state"] for item in versions if item["state"] != "END"}
        return alive == {str(version): "AVAILABLE"}

    _wait(states, f"version {version}")


def get(port: int, path: str) -> bytes:
    """Return the body of a GET."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if condition():
                return
        time.sleep(0.02)
    raise TimeoutError(f"{what}: not there within {READY_TIMEOUT_SECONDS:.0f} s")


if __name__ == "__main__":
    raise SystemExit(main())
