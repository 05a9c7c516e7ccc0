"""HTTP: routes, limits, headers and status codes. The gateway decides; this translates."""

from __future__ import annotations

import logging
import re
import urllib.parse
import uuid
from typing import TYPE_CHECKING, Any

import orjson

from model_api import inputs, openapi, page, pictures
from model_api.errors import ApiError, InputError, MethodError, NotFoundError, TooLargeError
from model_api.http import Reply, Request
from model_api.serving_rest import ServingRest
from model_api.v2 import V2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from model_api.gateway import Gateway
    from model_api.knowledge import Known

    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]
    Handler = Callable[[Request], Awaitable[Reply]]

LOG = logging.getLogger(__name__)
REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
INTERNAL_ERROR = 500


class ClientGoneError(Exception):
    """The caller left before its request was complete."""


class App:
    """The ASGI application."""

    def __init__(self, gateway: Gateway) -> None:
        # For the life of the process.
        self._gateway = gateway
        self._limit = gateway.config.max_body_bytes
        self._routes: dict[str, tuple[str, Handler]] = {
            "/": ("GET", self._page),
            "/docs": ("GET", self._docs),
            "/predict": ("POST", self._predict),
            "/livez": ("GET", self._livez),
            "/readyz": ("GET", self._readyz),
            "/v1/model": ("GET", self._model),
            "/openapi.json": ("GET", self._openapi),
        }
        # Protocols with paths and errors of their own.
        self._protocols: dict[str, Handler] = {
            "/v1/models": ServingRest(gateway).handle,
            "/v2": V2(gateway).handle,
        }
        # Of the current version.
        self._document: tuple[Known, bytes] | None = None

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request; no traceback leaves."""
        if scope["type"] != "http":
            return
        request_id = _request_id(scope["headers"])
        try:
            reply = await self._reply(scope, receive)
        except ClientGoneError:
            return
        except ApiError as error:
            headers = dict(error.headers) | ({"allow": error.allowed} if isinstance(error, MethodError) else {})
            listed = tuple((name.encode(), value.encode()) for name, value in headers.items())
            reply = Reply(error.status, orjson.dumps({"error": str(error)}), headers=listed)
        except Exception:
            LOG.exception("request %s failed", request_id.decode())
            content = {"error": "internal error", "request_id": request_id.decode()}
            reply = Reply(INTERNAL_ERROR, orjson.dumps(content))
        await self._send(send, reply, request_id, has_body=scope["method"] != "HEAD")

    async def _reply(self, scope: dict[str, Any], receive: Receive) -> Reply:
        handler = self._handler(scope["method"], scope["path"])
        return await handler(
            Request(
                method=scope["method"],
                path=scope["path"],
                raw_path=scope["raw_path"].decode("latin-1"),
                query=scope["query_string"].decode("latin-1"),
                headers=dict(scope["headers"]),
                body=await self._body(scope, receive),
            )
        )

    def _handler(self, method: str, path: str) -> Handler:
        for prefix, protocol in self._protocols.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                return protocol
        if path not in self._routes:
            known = ", ".join(sorted([*self._routes, *(f"{prefix}/..." for prefix in self._protocols)]))
            raise NotFoundError(f"there is no {path[:100]}; there are {known}")
        wanted, handler = self._routes[path]
        if ("GET" if method == "HEAD" else method) != wanted:
            raise MethodError(f"{path} takes {wanted}, got {method}", "GET, HEAD" if wanted == "GET" else wanted)
        return handler

    async def _send(self, send: Send, reply: Reply, request_id: bytes, *, has_body: bool) -> None:
        current = self._gateway.knowledge.current
        version = reply.version if reply.version is not None or current is None else current.version
        headers = [
            (b"content-type", reply.content_type),
            (b"content-length", b"%d" % len(reply.body)),
            (b"x-request-id", request_id),
            *reply.headers,
        ]
        if version is not None:
            headers.append((b"x-model-version", b"%d" % version))
        if self._gateway.is_draining:
            # Kept connections move to another pod with their next request, instead of breaking under it.
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body if has_body else b""})

    # ---- routes

    async def _predict(self, request: Request) -> Reply:
        top = _top(request.query)
        if pictures.is_picture(request.headers, request.body):
            known = await self._gateway.known()
            row = await pictures.read(request.headers, request.body, known)
            given = inputs.group([row], known.served, is_single=True)
            answer, version = await self._gateway.answer(known, given, top)
        else:
            answer, version = await self._gateway.predict(request.body, top)
        return Reply(200, orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), version=version)

    async def _livez(self, _request: Request) -> Reply:
        return Reply(200, b'{"status":"alive"}')

    async def _readyz(self, _request: Request) -> Reply:
        self._gateway.check_ready()
        return Reply(200, b'{"status":"ready"}')

    async def _model(self, _request: Request) -> Reply:
        facts, version = await self._gateway.model()
        return Reply(200, orjson.dumps(facts, option=orjson.OPT_SERIALIZE_NUMPY), version=version)

    async def _openapi(self, _request: Request) -> Reply:
        known = await self._gateway.known()
        if self._document is None or self._document[0] is not known:
            self._document = (known, orjson.dumps(openapi.document(known, self._gateway.config)))
        return Reply(200, self._document[1], version=known.version)

    async def _page(self, _request: Request) -> Reply:
        return page.try_it()

    async def _docs(self, _request: Request) -> Reply:
        return page.docs()

    async def _body(self, scope: dict[str, Any], receive: Receive) -> bytes:
        """Return the request's body; raise TooLargeError as soon as it is over the limit."""
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if announced.isdigit() and int(announced) > self._limit:
            raise TooLargeError(f"expected a body of at most {self._limit} bytes, got {int(announced)}")
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            part = message.get("body", b"")
            size += len(part)
            if size > self._limit:
                raise TooLargeError(f"expected a body of at most {self._limit} bytes")
            parts.append(part)
            if not message.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)


def _top(query: str) -> int:
    """Return how many classes `?top=k` asks for, 0 for none; raise InputError for what is no number."""
    if not query:
        return 0
    text = dict(urllib.parse.parse_qsl(query, keep_blank_values=True)).get("top", "0")
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):  # noqa: PLR2004 - more than any model's classes
        raise InputError(f"top: expected a whole number of classes, got {text[:60]!r}")
    return int(text)


def _request_id(headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return the caller's request id when it is printable and short, else a new one."""
    for name, value in headers:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
            return value
    return uuid.uuid4().hex.encode()
