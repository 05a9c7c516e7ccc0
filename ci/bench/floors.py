"""What the model server is measured against: the same ports without a model, and the model without ports.

`python -m ci.bench.floors grpc PORT FOLDER`, `rest PORT FOLDER` or `signature FOLDER`. The ports have one way more, on
which the folder's model is run on one image: what the graph itself leaves of the floor.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_server import cpus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

EMPTY_METHOD, GRAPH_METHOD = "/floor/Empty", "/floor/Graph"
GRAPH_PATH = "/graph"
# Until then runs are not known to be quick, and go to a thread.
FIRST_RUNS = 200
SIGNATURE_SECONDS = 3.0
BATCH = 256
# As long as the answer for one image.
ANSWER = b'{\n    "predictions": [[' + b", ".join([b"0.0123456789"] * 10) + b"]\n    ]\n}"


def graph_run(folder: str) -> Callable[[], object]:
    """Return what runs a version's graph on one image, in its caller's thread, as the server does."""
    import numpy as np  # noqa: PLC0415 - each floor loads what it needs, no more

    from model_server.saved_model import SavedModel, SessionOptions  # noqa: PLC0415

    model = SavedModel(Path(folder), SessionOptions())
    signature = model.signatures["serving_default"]
    feeds = {info.name: np.zeros((1, 28, 28), np.float32) for info in signature.inputs.values()}
    fetches = [info.name for info in signature.outputs.values()]
    for _ in range(FIRST_RUNS):
        model.run(feeds, fetches)
    return lambda: model.run(feeds, fetches)


def serve_grpc(port: int, folder: str) -> None:
    """Answer unary methods with nothing, on the server's own gRPC port with the server's own options."""
    import asyncio  # noqa: PLC0415

    import uvloop  # noqa: PLC0415

    from model_server import flags, grpc_listener  # noqa: PLC0415
    from serving_http import listener  # noqa: PLC0415

    class Answer:
        is_streaming = False

        def __init__(self, work: Callable[[], object]) -> None:
            self._work = work

        def serve(self, call: Any, _message: bytes) -> None:
            self._work()
            call.answer(b"")

        def end(self, call: Any) -> None:
            """Nothing: it does not stream."""

    async def serve() -> None:
        methods = {EMPTY_METHOD.encode(): Answer(lambda: None), GRAPH_METHOD.encode(): Answer(graph_run(folder))}
        served = grpc_listener.Port(flags.parse([]), methods)
        await served.listen([listener.bind("127.0.0.1", port)], None)
        await asyncio.Event().wait()

    uvloop.run(serve())


def serve_rest(port: int, folder: str) -> None:
    """Read a body and answer with constant bytes, on the usual HTTP stack for Python."""
    import uvicorn  # noqa: PLC0415

    run = graph_run(folder)

    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]

    async def app(
        scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[dict[str, Any]], Awaitable[None]]
    ) -> None:
        while (await receive()).get("more_body"):
            pass
        if scope["path"] == GRAPH_PATH:
            run()
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": ANSWER})

    uvicorn.run(app, port=port, http="httptools", loop="uvloop", ws="none", lifespan="off", log_level="warning")


def call_signature(folder: str) -> None:
    """Print images a second of the loaded signature, called by as many threads as there are CPUs."""
    import tensorflow as tf  # noqa: PLC0415

    signature = tf.saved_model.load(folder).signatures["serving_default"]
    batch = tf.random.uniform((BATCH, 28, 28), maxval=255, seed=1)
    signature(pixels=batch)
    counts: list[int] = []
    until = time.monotonic() + SIGNATURE_SECONDS

    def call() -> None:
        count = 0
        while time.monotonic() < until:
            signature(pixels=batch)["probabilities"].numpy()
            count += 1
        counts.append(count)

    threads = [threading.Thread(target=call) for _ in range(cpus.usable())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(sum(counts) * BATCH / SIGNATURE_SECONDS)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["signature", folder]:
            call_signature(folder)
        case ["grpc", port, folder]:
            serve_grpc(int(port), folder)
        case ["rest", port, folder]:
            serve_rest(int(port), folder)
