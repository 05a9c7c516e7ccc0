"""What the model server is measured against: the same ports without a model, and the model without ports.

`python -m ci.bench.floors grpc PORT`, `rest PORT` or `signature FOLDER`.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from model_server import cpus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

EMPTY_METHOD = "/floor/Empty"
SIGNATURE_SECONDS = 3.0
BATCH = 256
# As long as the answer for one image.
ANSWER = b'{\n    "predictions": [[' + b", ".join([b"0.0123456789"] * 10) + b"]\n    ]\n}"


def serve_grpc(port: int) -> None:
    """Answer one unary method with nothing, on the server's own gRPC port with the server's own options."""
    import asyncio  # noqa: PLC0415 - each floor loads what it needs, no more

    import uvloop  # noqa: PLC0415

    from model_server import flags, grpc_listener  # noqa: PLC0415
    from serving_http import listener  # noqa: PLC0415

    class Empty:
        is_streaming = False

        def serve(self, call: Any, _message: bytes) -> None:
            call.answer(b"")

        def end(self, call: Any) -> None:
            """Nothing: it does not stream."""

    async def serve() -> None:
        served = grpc_listener.Port(flags.parse([]), {EMPTY_METHOD.encode(): Empty()})
        await served.listen([listener.bind("127.0.0.1", port)], None)
        await asyncio.Event().wait()

    uvloop.run(serve())


def serve_rest(port: int) -> None:
    """Read a body and answer with constant bytes, on the server's own HTTP stack."""
    import uvicorn  # noqa: PLC0415

    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]

    async def app(
        _scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[dict[str, Any]], Awaitable[None]]
    ) -> None:
        while (await receive()).get("more_body"):
            pass
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
    kind, argument = sys.argv[1:]
    if kind == "signature":
        call_signature(argument)
    else:
        {"grpc": serve_grpc, "rest": serve_rest}[kind](int(argument))
