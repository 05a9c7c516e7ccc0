"""What `/predict` is measured against: HTTP that only reads the numbers, and a model server that knows its answers.

`python -m ci.bench.predict_floors orjson PORT`, `simdjson PORT` or `stand_in PORT SERVER`; the first two run in an
environment of their own, so nothing of the project is needed here.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ANSWER = b'{"prediction":"0","probability":"0.0012"}'
# 784 float32: what a row adds to a PredictRequest, which has less than that beside its rows.
ROW_BYTES = 784 * 4


def serve(parse: Callable[[bytes], object], port: int) -> None:
    """Put a body into numpy and answer with constant bytes."""
    import uvicorn  # noqa: PLC0415 - each floor loads what it needs, no more

    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]

    async def app(
        _scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[dict[str, Any]], Awaitable[None]]
    ) -> None:
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message.get("more_body"):
                break
        parse(body)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": ANSWER})

    uvicorn.run(app, port=port, http="httptools", loop="uvloop", ws="none", lifespan="off", log_level="warning")


def orjson_parser() -> Callable[[bytes], object]:
    """Return what reads a body by orjson and a list."""
    import numpy as np  # noqa: PLC0415
    import orjson  # noqa: PLC0415

    return lambda body: np.array(orjson.loads(body)["input"], np.float32)


def simdjson_parser() -> Callable[[bytes], object]:
    """Return what reads a body by simdjson, without Python's numbers in between."""
    import numpy as np  # noqa: PLC0415
    import simdjson  # noqa: PLC0415

    parser = simdjson.Parser()

    def parse(body: bytes) -> object:
        document: Any = parser.parse(body)
        numbers = document["input"].as_buffer(of_type="d")
        return np.frombuffer(numbers, np.float64).astype(np.float32)

    return parse


async def stand_in(port: int, server: str) -> None:
    """Answer gRPC as another server did when first asked the same, or for as many rows: its work is left out."""
    import grpc  # noqa: PLC0415

    from model_server import flags, grpc_listener, grpc_methods  # noqa: PLC0415
    from serving_http import listener  # noqa: PLC0415

    known: dict[tuple[str, int | bytes], bytes] = {}
    channel: Any = grpc.insecure_channel(server)

    class Remembering:
        is_streaming = False

        def __init__(self, path: str) -> None:
            self._path = path

        def serve(self, call: Any, message: bytes) -> None:
            key = (self._path, len(message) // ROW_BYTES or message)
            if key not in known:
                # Once for each number of rows, before anything is measured.
                known[key] = channel.unary_unary(self._path)(message)
            call.answer(known[key])

        def end(self, call: Any) -> None:
            """Nothing: it does not stream."""

    paths = [f"/{grpc_methods.PREDICTION}/{name}" for name in ("Predict", "GetModelMetadata")]
    paths.append(f"/{grpc_methods.MODELS}/GetModelStatus")
    served = grpc_listener.Port(flags.parse([]), {path.encode(): Remembering(path) for path in paths})
    await served.listen([listener.bind("127.0.0.1", port)], None)
    await asyncio.Event().wait()


if __name__ == "__main__":
    kind, number, *rest = sys.argv[1:]
    if kind == "stand_in":
        import uvloop

        uvloop.run(stand_in(int(number), *rest))
    else:
        serve({"orjson": orjson_parser, "simdjson": simdjson_parser}[kind](), int(number))
