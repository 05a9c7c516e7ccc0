"""REST: paths, methods and headers as TensorFlow Serving has them; the core is the one gRPC uses."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import re
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from model_server import examples, grpc_service, metrics, predict
from serving_codec import json_examples, json_tensors
from serving_codec.paths import Choice, Request, parse_path
from serving_codec.status import Code, ServingError, invalid_argument

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Executor

    from model_server.manager import Manager
    from model_server.predict import Options

    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]

LOG = logging.getLogger(__name__)
ORIGIN = re.compile(rb"https?://")
INFLATED_BYTES = 100 << 20
# What is parsed in a millisecond.
SMALL_BODY_BYTES = 32 << 10
NOT_FOUND_PAGE = b"<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n"
CORS_HEADERS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST, GET"),
    (b"access-control-allow-headers", b"Content-Type"),
)


@dataclass(frozen=True)
class Reply:
    """A status and a body."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True)
class Settings:
    """What the flags say about REST: a run's time (None: any), CORS headers, and the metrics page's path, if any."""

    timeout_ms: int | None
    cors: bool
    metrics_path: str | None


class _MayTakeLongError(Exception):
    """A request that is not known to be answered within milliseconds; it belongs on a thread of its own."""


class App:
    """The ASGI application.

    Small requests that are known to be quick are answered on the event loop: to hand one to a thread and back takes
    longer. All others run on an executor's threads, for the graph releases the interpreter's lock.
    """

    def __init__(self, manager: Manager, executor: Executor, settings: Settings, options: Options) -> None:
        # For the life of the process.
        self._manager = manager
        self._executor = executor
        self._settings = settings
        self._options = options
        self._cors = CORS_HEADERS if settings.cors else ()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        # The query stays part of the matched path, as upstream has it.
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        body = await _read(receive)
        if body is None:
            return
        reply = await self._reply(scope, path, f"{path}?{query}" if query else path, body)
        headers = [
            (b"content-type", reply.content_type),
            (b"content-length", str(len(reply.body)).encode()),
            *reply.headers,
        ]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else reply.body})

    async def _reply(self, scope: dict[str, Any], path: str, target: str, body: bytes) -> Reply:
        method = scope["method"]
        if path == self._settings.metrics_path:
            return _metrics(path, target)
        if path[:4].lower() != "/v1/":
            return Reply(404, NOT_FOUND_PAGE, b"text/html")
        headers = dict(scope["headers"])
        if method == "OPTIONS":
            return Reply(200 if ORIGIN.search(headers.get(b"origin", b"")) else 400, b"", headers=self._cors)
        if b"gzip" in headers.get(b"content-encoding", b""):
            body = _inflate(body)
        if len(body) <= SMALL_BODY_BYTES:
            with contextlib.suppress(_MayTakeLongError):
                return self._answer(method, target, body, may_take_long=False)
        answer = functools.partial(self._answer, may_take_long=True)
        return await asyncio.get_running_loop().run_in_executor(self._executor, answer, method, target, body)

    def _answer(self, method: str, target: str, body: bytes, *, may_take_long: bool) -> Reply:
        """Answer, and count the request and its time; one that may take long and must not raises _MayTakeLongError."""
        start = time.perf_counter_ns()
        model, api, code, counted = "", "", Code.OK, True
        try:
            request = parse_path(method, target)
            if request is None:
                return Reply(400, b"", headers=self._cors)
            model, api = request.model, request.action if request.action in {"predict", "classify", "regress"} else ""
            return Reply(200, self._content(request, body, may_take_long=may_take_long), headers=self._cors)
        except _MayTakeLongError:
            counted = False
            raise
        except ServingError as error:
            code = error.code
            return Reply(code.http, _error(error.message), headers=self._cors)
        except Exception as error:
            LOG.exception("%s %s failed", method, target)
            code = Code.INTERNAL
            return Reply(500, _error(str(error)), headers=self._cors)
        finally:
            if counted:
                metrics.REQUEST_COUNT.add(model, code.name)
            if counted and code is Code.OK:
                metrics.REQUEST_LATENCY.observe((time.perf_counter_ns() - start) / 1000, model, api, "REST")

    def _content(self, request: Request, body: bytes, *, may_take_long: bool) -> bytes:
        if not may_take_long and request.action in {"metadata", "classify", "regress"}:
            raise _MayTakeLongError
        match request.action:
            case "status":
                return self._status(request)
            case "metadata":
                return self._metadata(request)
            case "predict":
                text = self._predict(request, body, may_take_long=may_take_long)
            case _:
                text = self._examples(request, body)
        return text.encode("utf-8", "surrogateescape")

    def _status(self, request: Request) -> bytes:
        # A label in a status path is ignored.
        found = self._manager.status(request.model, Choice(request.choice.number))
        listed = [
            {
                "version": str(version.number),
                "state": version.state.name,
                "status": {
                    "error_code": version.error.code.name if version.error else "OK",
                    "error_message": version.error.message if version.error else "",
                },
            }
            for version in found
        ]
        return json.dumps({"model_version_status": listed}, indent=1).encode() + b"\n"

    def _metadata(self, request: Request) -> bytes:
        with self._manager.hold(request.model, request.choice) as version:
            signatures = grpc_service.signatures_of(version)
        content = {
            "model_spec": {"name": request.model, "signature_name": "", "version": str(version.number)},
            "metadata": {
                "signature_def": json_format.MessageToDict(
                    signatures, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
                )
            },
        }
        return json.dumps(content, indent=1).encode() + b"\n"

    def _predict(self, request: Request, body: bytes, *, may_take_long: bool) -> str:
        document = json_tensors.parse(body)
        signature_name = json_tensors.signature_name_of(document)
        with self._manager.hold(request.model, request.choice) as version:
            model = version.runner
            name = signature_name or predict.DEFAULT_SIGNATURE
            if name not in model.signatures:
                raise invalid_argument(f'Serving signature name: "{name}" not found in signature def')
            signature = predict.signature_of(model, name, check_method=self._options.check_method)
            if not signature.inputs:
                raise invalid_argument(f"Failed to get input map for signature: {signature_name or 'DEFAULT'}")
            dtypes = {alias: info.dtype for alias, info in signature.inputs.items()}
            may_hold_booleans = json_tensors.may_hold_booleans(body)
            inputs, is_rows = json_tensors.read_inputs(document, dtypes, may_hold_booleans=may_hold_booleans)
            if not (may_take_long or model.is_quick(inputs)):
                raise _MayTakeLongError
            run = predict.timed(version, request.model, "Predict", name, self._settings.timeout_ms)
            outputs = predict.outputs_of(signature, inputs, run)
        return json_tensors.write_rows(outputs) if is_rows else json_tensors.write_columns(outputs)

    def _examples(self, request: Request, body: bytes) -> str:
        document = json_tensors.parse(body)
        signature_name = json_tensors.signature_name_of(document)
        given = json_examples.read(document, request.action)
        is_classify = request.action == "classify"
        with self._manager.hold(request.model, request.choice) as version:
            api = "Classify" if is_classify else "Regress"
            name = signature_name or predict.DEFAULT_SIGNATURE
            run = predict.timed(version, request.model, api, name, self._settings.timeout_ms)
            infer = examples.classify if is_classify else examples.regress
            result = infer(version.runner, signature_name, given, run, check_method=self._options.check_method)
        write = json_examples.write_classifications if is_classify else json_examples.write_regressions
        return write(result)


def _metrics(path: str, target: str) -> Reply:
    if target != path:
        return Reply(400, f"Unexpected path: {target}. Should be {path}".encode(), b"text/plain")
    return Reply(200, metrics.page().encode(), b"text/plain")


def _inflate(body: bytes) -> bytes:
    """Return an inflated body; a bad or too large one is empty, as upstream has it."""
    inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(body, INFLATED_BYTES)
    except zlib.error:
        return b""
    return b"" if inflater.unconsumed_tail or not inflater.eof else inflated


async def _read(receive: Receive) -> bytes | None:
    """Return a request's body; None when the client has gone."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return None if message["type"] == "http.disconnect" else body
    parts = [body]
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _error(message: str) -> bytes:
    return json.dumps({"error": message}, indent=4, ensure_ascii=False).encode("utf-8", "surrogateescape")
