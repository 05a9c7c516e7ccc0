"""One small application on each HTTP layer the api could stand on: reads 784 numbers, answers with a constant.

`python ci/bench/http_candidates.py NAME PORT`, in an environment of ci/locks/peers-http.txt.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ANSWER = b'{"prediction":"7","probability":"0.9987"}'
JSON = "application/json"


def read(body: bytes) -> object:
    """Do what every one of them does with a body."""
    import numpy as np  # noqa: PLC0415
    import orjson  # noqa: PLC0415

    return np.array(orjson.loads(body)["input"]) if body.startswith(b'{"input"') else None


async def asgi(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    """Answer as ASGI has it; `/length` with the body's length."""
    if scope["type"] != "http":
        return
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = b"".join(parts)
    answer = b"%d" % len(body) if scope["path"] == "/length" else ANSWER
    read(body)
    headers = [(b"content-type", JSON.encode()), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


async def rsgi(scope: Any, protocol: Any) -> None:
    """Answer as granian's own interface has it."""
    body = await protocol()
    read(body)
    answer = b"%d" % len(body) if scope.path == "/length" else ANSWER
    protocol.response_bytes(200, [("content-type", JSON)], answer)


def serve_ours(port: int) -> None:
    """Serve by serving_http."""
    import uvloop  # noqa: PLC0415

    from serving_http import listener  # noqa: PLC0415
    from serving_http.front import Front  # noqa: PLC0415
    from serving_http.limits import Limits  # noqa: PLC0415
    from serving_http.messages import Reply, Request  # noqa: PLC0415

    class Application:
        async def answer(self, request: Request) -> Reply:
            read(request.body)
            return Reply(200, b"%d" % len(request.body) if request.path == "/length" else ANSWER)

        def refusal(self, status: int, message: str) -> Reply:
            return Reply(status, message.encode())

    async def main() -> None:
        await Front(Application(), Limits()).listen(listener.bind("127.0.0.1", port), listener.BACKLOG)
        await asyncio.Event().wait()

    uvloop.run(main())


def serve_uvicorn(port: int, http: str) -> None:
    """Serve by uvicorn, with either of its parsers."""
    import uvicorn  # noqa: PLC0415

    uvicorn.run(asgi, port=port, http=http, loop="uvloop", ws="none", lifespan="off", log_level="error")


def serve_granian(port: int, interface: str) -> None:
    """Serve by granian, with either of its interfaces."""
    from granian import Granian  # noqa: PLC0415

    target = f"ci.bench.http_candidates:{interface}"
    Granian(
        target, address="127.0.0.1", port=port, interface=interface, workers=1, loop="uvloop", log_enabled=False
    ).serve()


def serve_aiohttp(port: int) -> None:
    """Serve by aiohttp."""
    import uvloop  # noqa: PLC0415
    from aiohttp import web  # noqa: PLC0415

    async def answer(request: Any) -> Any:
        body = await request.read()
        read(body)
        return web.Response(body=b"%d" % len(body) if request.path == "/length" else ANSWER, content_type=JSON)

    async def main() -> None:
        application = web.Application(client_max_size=4 << 20)
        application.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()

    uvloop.run(main())


def serve_hypercorn(port: int) -> None:
    """Serve by hypercorn."""
    import uvloop  # noqa: PLC0415
    from hypercorn.asyncio import serve  # noqa: PLC0415
    from hypercorn.config import Config  # noqa: PLC0415

    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.errorlog = None
    uvloop.run(serve(asgi, config))


CANDIDATES: dict[str, Callable[[int], None]] = {
    "serving_http": serve_ours,
    "uvicorn, httptools": lambda port: serve_uvicorn(port, "httptools"),
    "uvicorn, h11": lambda port: serve_uvicorn(port, "h11"),
    "granian, RSGI": lambda port: serve_granian(port, "rsgi"),
    "granian, ASGI": lambda port: serve_granian(port, "asgi"),
    "aiohttp": serve_aiohttp,
    "hypercorn": serve_hypercorn,
}


if __name__ == "__main__":
    name, number = sys.argv[1:]
    CANDIDATES[name](int(number))
