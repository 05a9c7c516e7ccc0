"""REST: paths, methods and headers as TensorFlow Serving has them; the core is the one gRPC uses."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import urllib.parse
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2

from model_server import grpc_service, json_tensors, predict
from model_server.status import Code, ServingError, invalid_argument

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Executor

    from model_server.manager import Manager

    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]

LOG = logging.getLogger(__name__)
MODEL_PATH = re.compile(
    r"/v1/models(?:/(?P<model>[^/:]+))?(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
    r"(?P<rest>/metadata|:(?:predict|classify|regress))?",
    re.IGNORECASE,
)
INT64_MAXIMUM = 2**63 - 1
INFLATED_BYTES = 100 << 20
NOT_FOUND_PAGE = b"<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n"
CORS_HEADERS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST, GET"),
    (b"access-control-allow-headers", b"Content-Type"),
)


@dataclass(frozen=True)
class Request:
    """What a request's path asks for."""

    action: str
    model: str
    version: int | None
    label: str | None


@dataclass(frozen=True)
class Reply:
    """A status and a body."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"


class App:
    """The ASGI application; requests run on an executor's threads, for the graph releases the interpreter's lock."""

    def __init__(self, manager: Manager, executor: Executor, timeout_ms: int, *, cors: bool) -> None:
        self._manager = manager
        self._executor = executor
        self._timeout_ms = timeout_ms if timeout_ms > 0 else None
        self._cors = cors

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        # The query stays part of the matched path, as upstream has it.
        query = scope["query_string"].decode("latin-1")
        path = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        body = await _read(receive)
        if body is None:
            return
        reply = await self._reply(scope["method"], path, headers, body)
        listed = [(b"content-type", reply.content_type), (b"content-length", str(len(reply.body)).encode())]
        if self._cors:
            listed += CORS_HEADERS
        await send({"type": "http.response.start", "status": reply.status, "headers": listed})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else reply.body})

    async def _reply(self, method: str, path: str, headers: dict[bytes, bytes], body: bytes) -> Reply:
        if not path.lower().startswith("/v1/"):
            return Reply(404, NOT_FOUND_PAGE, b"text/html")
        if method == "OPTIONS":
            allowed = re.search(rb"https?://", headers.get(b"origin", b""))
            return Reply(200 if allowed else 400, b"")
        try:
            request = parse_path(method, path)
            if request is None:
                return Reply(400, b"")
            if b"gzip" in headers.get(b"content-encoding", b""):
                body = _inflate(body)
            loop = asyncio.get_running_loop()
            return Reply(200, await loop.run_in_executor(self._executor, self._answer, request, body))
        except ServingError as error:
            return Reply(error.code.http, _error(error.message))
        except Exception as error:
            LOG.exception("%s %s failed", method, path)
            return Reply(500, _error(str(error)))

    def _answer(self, request: Request, body: bytes) -> bytes:
        match request.action:
            case "status":
                return self._status(request)
            case "metadata":
                return self._metadata(request)
            case "predict":
                return self._predict(request, body)
            case _:
                raise ServingError(Code.UNIMPLEMENTED, f"{request.action} is not supported by this server yet")

    def _status(self, request: Request) -> bytes:
        found = self._manager.status(request.model, request.version)
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
        _refuse_label(request)
        with self._manager.hold(request.model, request.version) as version:
            reply = grpc_service.metadata_of(request.model, version)
        signatures = get_model_metadata_pb2.SignatureDefMap.FromString(reply.metadata[grpc_service.SIGNATURE_DEF].value)
        content = {
            "model_spec": {
                "name": request.model,
                "signature_name": "",
                "version": str(reply.model_spec.version.value),
            },
            "metadata": {
                "signature_def": json_format.MessageToDict(
                    signatures, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
                )
            },
        }
        return json.dumps(content, indent=1).encode() + b"\n"

    def _predict(self, request: Request, body: bytes) -> bytes:
        document = json_tensors.parse(body)
        signature_name = json_tensors.signature_name_of(document)
        _refuse_label(request)
        with self._manager.hold(request.model, request.version) as version:
            model = version.model
            name = signature_name or predict.DEFAULT_SIGNATURE
            if model is None or name not in model.signatures:
                raise invalid_argument(f'Serving signature name: "{name}" not found in signature def')
            signature = model.signatures[name]
            if not signature.inputs:
                raise invalid_argument(f"Failed to get input map for signature: {signature_name or 'DEFAULT'}")
            inputs, is_rows = json_tensors.read_inputs(document, signature)
            outputs = predict.run(model, signature, inputs, timeout_ms=self._timeout_ms)
        text = json_tensors.write_rows(outputs) if is_rows else json_tensors.write_columns(outputs)
        return text.encode("utf-8", "surrogateescape")


def parse_path(method: str, path: str) -> Request | None:
    """Return what a path under /v1/ asks for; None for a version beyond int64, which upstream answers 400 and empty."""
    malformed = invalid_argument(f"Malformed request: {method} {path}")
    found = MODEL_PATH.fullmatch(path)
    if found is None:
        raise malformed
    rest = found["rest"] or ""
    if not found["model"]:
        raise invalid_argument("Missing model name in request.") if method == "GET" else malformed
    action = rest.lstrip("/:") if rest else "status"
    wanted = "POST" if rest.startswith(":") else "GET"
    # An upper-case verb matches the path and is malformed all the same.
    if method != wanted or (rest.startswith(":") and action != action.lower()):
        raise malformed
    version = int(found["version"]) if found["version"] else None
    if version is not None and version > INT64_MAXIMUM:
        return None
    label = urllib.parse.unquote(found["label"]) if found["label"] else None
    return Request(action.lower(), urllib.parse.unquote(found["model"]), version, label)


def _refuse_label(request: Request) -> None:
    if request.label is not None:
        raise invalid_argument(f"Unrecognized servable version label: {request.label}")


def _inflate(body: bytes) -> bytes:
    """Return an inflated body; a bad or too large one is empty, as upstream has it."""
    inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(body, INFLATED_BYTES)
    except zlib.error:
        return b""
    return b"" if inflater.unconsumed_tail else inflated


async def _read(receive: Receive) -> bytes | None:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _error(message: str) -> bytes:
    return json.dumps({"error": message}, indent=4, ensure_ascii=False).encode("utf-8", "surrogateescape")
