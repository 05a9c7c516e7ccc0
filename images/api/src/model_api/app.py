"""Routes, headers and status codes. The gateway decides; this translates."""

from __future__ import annotations

import functools
import logging
import random
import re
import urllib.parse
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from model_api import facts, inputs, openapi, page, pictures
from model_api.errors import ApiError, InputError, MethodError, NotFoundError
from model_api.reply import Reply
from model_api.serving_rest import ServingRest
from model_api.v2 import V2
from serving_http import content
from serving_http import messages as http
from serving_http.content import ContentError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from model_api.config import Config
    from model_api.gateway import Gateway
    from model_api.knowledge import Known
    from serving_http.messages import Request

    Handler = Callable[[Request], Awaitable[Reply]]

LOG = logging.getLogger(__name__)
REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
INTERNAL_ERROR = 500
# Of a query, where one is of use: each takes microseconds.
MAXIMUM_PARAMETERS = 100
READING = frozenset({"GET", "HEAD"})


class Probe(NamedTuple):
    """What a probe is told, and whether it asks for more than a process that is there."""

    words: bytes
    asks_readiness: bool


PROBES = {"/livez": Probe(b'{"status":"alive"}', False), "/readyz": Probe(b'{"status":"ready"}', True)}  # noqa: FBT003


class App:
    """What the front asks (serving_http.messages.Application)."""

    def __init__(self, gateway: Gateway) -> None:
        # For the life of the process.
        self._gateway = gateway
        self._routes: dict[str, tuple[str, Handler]] = {
            "/": ("GET", self._page),
            "/docs": ("GET", self._docs),
            "/predict": ("POST", self._predict),
            "/v1/model": ("GET", self._model),
            "/openapi.json": ("GET", self._openapi),
        }
        # Protocols with paths and errors of their own.
        self._protocols: dict[str, Handler] = {
            "/v1/models": ServingRest(gateway).handle,
            "/v2": V2(gateway).handle,
        }

    def answer(self, request: Request) -> http.Reply | Coroutine[Any, Any, http.Reply]:
        """Answer one request, a probe at once; no traceback leaves."""
        request_id = request.headers.get(b"x-request-id", b"")
        if not REQUEST_ID.fullmatch(request_id):
            request_id = _new_id()
        probe = PROBES.get(request.path)
        if probe is None or request.method not in READING:
            return self._answered(request, request_id)
        try:
            if probe.asks_readiness:
                self._gateway.check_ready()
        except ApiError as error:
            return self._finished(_refused(error.status, str(error)), request_id)
        return self._finished(Reply(200, probe.words), request_id)

    async def _answered(self, request: Request, request_id: bytes) -> http.Reply:
        try:
            reply = await self._reply(request)
        except ApiError as error:
            headers = dict(error.headers) | ({"allow": error.allowed} if isinstance(error, MethodError) else {})
            listed = tuple((name.encode(), value.encode()) for name, value in headers.items())
            reply = Reply(error.status, orjson.dumps({"error": str(error)}), headers=listed)
        except ContentError as error:
            reply = _refused(error.status, str(error))
        except Exception:
            LOG.exception("request %s failed", request_id.decode())
            told = {"error": "internal error", "request_id": request_id.decode()}
            reply = Reply(INTERNAL_ERROR, orjson.dumps(told))
        return self._finished(reply, request_id)

    def refusal(self, status: int, message: str) -> http.Reply:
        """Tell why a request was not taken."""
        return self._finished(_refused(status, message), _new_id())

    async def _reply(self, request: Request) -> Reply:
        handler = self._handler(request.method, request.path)
        if b"content-encoding" in request.headers:
            request = await self._decoded(request)
        return await handler(request)

    async def _decoded(self, request: Request) -> Request:
        body = await content.decoded(request, self._gateway.config.max_body_bytes, self._gateway.aside)
        headers = {name: value for name, value in request.headers.items() if name != b"content-encoding"}
        return http.Request(request.method, request.path, request.raw_path, request.query, headers, body)

    def _handler(self, method: str, path: str) -> Handler:
        if path in PROBES:
            raise MethodError(f"{path} takes GET, got {method}", "GET, HEAD")
        route = self._routes.get(path)
        if route is None:
            return self._protocol(path)
        wanted, handler = route
        if ("GET" if method == "HEAD" else method) != wanted:
            raise MethodError(f"{path} takes {wanted}, got {method}", "GET, HEAD" if wanted == "GET" else wanted)
        return handler

    def _protocol(self, path: str) -> Handler:
        for prefix, protocol in self._protocols.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                return protocol
        known = ", ".join(sorted([*self._routes, *PROBES, *(f"{prefix}/..." for prefix in self._protocols)]))
        raise NotFoundError(f"there is no {path[:100]}; there are {known}")

    def _finished(self, reply: Reply, request_id: bytes) -> http.Reply:
        current = self._gateway.knowledge.current
        version = reply.version if reply.version is not None or current is None else current.version
        headers = ((b"x-request-id", request_id), *reply.headers)
        if version is not None:
            headers += ((b"x-model-version", b"%d" % version),)
        return http.Reply(reply.status, reply.body, reply.content_type, headers)

    # ---- routes

    async def _predict(self, request: Request) -> Reply:
        top = _top(request.query)
        if pictures.is_picture(request.headers, request.body):
            body, version = await self._gateway.for_current(functools.partial(self._picture, request, top))
        else:
            body, version = await self._gateway.predict(request.body, top)
        return Reply(200, body, version=version)

    async def _picture(self, request: Request, top: int, known: Known) -> tuple[bytes, int]:
        row = await pictures.read(request.headers, request.body, known)
        return await self._gateway.answer(known, inputs.group([row], known.served, is_single=True), top)

    async def _model(self, _request: Request) -> Reply:
        known, body = await self._gateway.about(_facts)
        return Reply(200, body, version=known.version)

    async def _openapi(self, _request: Request) -> Reply:
        known, body = await self._gateway.about(_document)
        return Reply(200, body, version=known.version)

    async def _page(self, _request: Request) -> Reply:
        return page.try_it()

    async def _docs(self, _request: Request) -> Reply:
        return page.docs()


def _facts(known: Known, config: Config) -> bytes:
    return orjson.dumps(facts.of(config.model_name, known), option=orjson.OPT_SERIALIZE_NUMPY)


def _document(known: Known, config: Config) -> bytes:
    return orjson.dumps(openapi.document(known, config))


def _new_id() -> bytes:
    """Return an id as long as a UUID, in a tenth of its time; it need not be hard to guess."""
    return b"%032x" % random.getrandbits(128)


def _refused(status: int, message: str) -> Reply:
    return Reply(status, orjson.dumps({"error": message}))


def _top(query: str) -> int:
    """Return how many classes `?top=k` asks for, 0 for none; raise InputError for what is no number."""
    if not query:
        return 0
    if query.count("&") >= MAXIMUM_PARAMETERS:
        raise InputError(f"expected a query of at most {MAXIMUM_PARAMETERS} parameters")
    text = dict(urllib.parse.parse_qsl(query, keep_blank_values=True)).get("top", "0")
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):  # noqa: PLR2004 - more than any model's classes
        raise InputError(f"top: expected a whole number of classes, got {text[:60]!r}")
    return int(text)
