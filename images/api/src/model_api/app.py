"""HTTP: routes, limits and status codes. The gateway decides; this translates."""

from __future__ import annotations

import logging
import re
import uuid
from typing import TYPE_CHECKING, Any

import orjson

from model_api import openapi
from model_api.errors import ApiError, MethodError, NotFoundError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from model_api.config import Config
    from model_api.gateway import Gateway

    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]
    Handler = Callable[[dict[str, Any], Receive], Awaitable[Any]]

LOG = logging.getLogger(__name__)
REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
INTERNAL_ERROR = 500


class ClientGoneError(Exception):
    """The caller left before its request was complete."""


class App:
    """The ASGI application."""

    def __init__(self, config: Config, gateway: Gateway) -> None:
        # For the life of the process.
        self._config = config
        self._gateway = gateway
        self._routes: dict[str, tuple[str, Handler]] = {
            "/predict": ("POST", self._predict),
            "/livez": ("GET", self._livez),
            "/readyz": ("GET", self._readyz),
            "/v1/model": ("GET", self._model),
            "/openapi.json": ("GET", self._openapi),
        }

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request; nothing but JSON leaves, and no traceback."""
        if scope["type"] != "http":
            return
        request_id = _request_id(scope["headers"])
        status, headers = 200, {}
        try:
            content = orjson.dumps(await self._handler(scope)(scope, receive))
        except ClientGoneError:
            return
        except ApiError as error:
            status, headers = error.status, dict(error.headers)
            if isinstance(error, MethodError):
                headers["allow"] = error.allowed
            content = orjson.dumps({"error": str(error)})
        except Exception:
            LOG.exception("request %s failed", request_id.decode())
            status, content = (
                INTERNAL_ERROR,
                orjson.dumps({"error": "internal error", "request_id": request_id.decode()}),
            )
        await self._reply(send, status, content, request_id, headers)

    def _handler(self, scope: dict[str, Any]) -> Handler:
        path = scope["path"]
        if path not in self._routes:
            raise NotFoundError(f"there is no {path[:100]}; there are {', '.join(sorted(self._routes))}")
        method, handler = self._routes[path]
        given = "GET" if scope["method"] == "HEAD" else scope["method"]
        if given != method:
            raise MethodError(f"{path} takes {method}, got {scope['method']}", method)
        return handler

    async def _reply(self, send: Send, status: int, content: bytes, request_id: bytes, headers: dict[str, str]) -> None:
        listed = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
            (b"x-request-id", request_id),
            *((name.encode(), value.encode()) for name, value in headers.items()),
        ]
        if self._gateway.version is not None:
            listed.append((b"x-model-version", str(self._gateway.version).encode()))
        await send({"type": "http.response.start", "status": status, "headers": listed})
        await send({"type": "http.response.body", "body": content})

    async def _predict(self, scope: dict[str, Any], receive: Receive) -> dict[str, Any]:
        return await self._gateway.predict(await self._body(scope, receive))

    async def _livez(self, _scope: dict[str, Any], _receive: Receive) -> dict[str, str]:
        return {"status": "alive"}

    async def _readyz(self, _scope: dict[str, Any], _receive: Receive) -> dict[str, str]:
        await self._gateway.check_ready()
        return {"status": "ready"}

    async def _model(self, _scope: dict[str, Any], _receive: Receive) -> dict[str, Any]:
        return await self._gateway.facts()

    async def _openapi(self, _scope: dict[str, Any], _receive: Receive) -> dict[str, Any]:
        return openapi.document(await self._gateway.served_model(), self._config)

    async def _body(self, scope: dict[str, Any], receive: Receive) -> bytes:
        """Return the request's body; raise TooLargeError as soon as it is over the limit."""
        limit = self._config.max_body_bytes
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if announced.isdigit() and int(announced) > limit:
            raise TooLargeError(f"expected a body of at most {limit} bytes, got {int(announced)}")
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            part = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise TooLargeError(f"expected a body of at most {limit} bytes")
            parts.append(part)
            if not message.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)


def _request_id(headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return the caller's request id when it is printable and short, else a new one."""
    for name, value in headers:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
            return value
    return uuid.uuid4().hex.encode()
