"""REST: paths, methods and headers as TensorFlow Serving has them; the core is the one gRPC uses."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import re
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from google.protobuf import json_format

from model_server import examples, grpc_service, metrics, predict
from model_server.predict import MayTakeLongError
from model_server.rest_body import Body
from model_server.saved_model import elements_of
from serving_codec import json_examples, json_outputs, json_tensors
from serving_codec.paths import Choice, Request, parse_path
from serving_codec.status import Code, ServingError, invalid_argument
from serving_http import content
from serving_http.aside import Aside
from serving_http.content import ContentError
from serving_http.messages import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from model_server.manager import Manager, Version
    from model_server.predict import Options
    from model_server.saved_model import Runner
    from serving_codec.json_tensors import Output
    from serving_codec.pieces import Buffer
    from serving_http.limits import Limits
    from serving_http.messages import Request as HttpRequest

LOG = logging.getLogger(__name__)
ORIGIN = re.compile(rb"https?://")
INFLATING_THREADS = 2
# What is parsed in a millisecond.
SMALL_BODY_BYTES = 32 << 10
# About what a number takes in JSON.
BYTES_FOR_A_NUMBER = 8
NO_TURN = contextlib.nullcontext()
# Where a signature stands in the metadata, four levels deep.
SIGNATURE_INDENT = "    "
NOT_FOUND_PAGE = b"<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n"
CORS_HEADERS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST, GET"),
    (b"access-control-allow-headers", b"Content-Type"),
)


@dataclass(frozen=True)
class Settings:
    """What the flags say about REST: a run's time (None: any), CORS headers, the metrics page's path, threads."""

    timeout_ms: int | None
    cors: bool
    metrics_path: str | None
    threads: int
    limits: Limits


class App:
    """What the front asks (serving_http.messages.Application).

    Small requests that are known to be quick are answered on the event loop: to hand one to a thread and back takes
    longer. All others run on an executor's threads, for the graph releases the interpreter's lock.
    """

    def __init__(self, manager: Manager, settings: Settings, options: Options) -> None:
        # For the life of the process.
        self._manager = manager
        self._settings = settings
        self._options = options
        self._cors = CORS_HEADERS if settings.cors else ()
        self._executor = ThreadPoolExecutor(settings.threads, thread_name_prefix="rest")
        # Threads of their own, so that dozens of large requests keep no small one waiting.
        self._large_executor = ThreadPoolExecutor(max(1, settings.threads // 2), thread_name_prefix="rest-large")
        self._aside = Aside(INFLATING_THREADS, settings.limits.max_held_body_bytes, "rest-aside")
        # Python runs one thread at a time: more of them would only keep the event loop waiting for its turn.
        self._turn = threading.Lock()
        # One thread: those who ask for what is being written find it written.
        self._metadata_executor = ThreadPoolExecutor(1, thread_name_prefix="rest-metadata")
        # As versions come and go.
        self._metadata_texts: WeakKeyDictionary[Runner, bytes] = WeakKeyDictionary()

    def answer(self, request: HttpRequest) -> Reply | Coroutine[Any, Any, Reply]:
        """Answer one request."""
        if request.path == self._settings.metrics_path:
            return self._on_a_thread(self._executor, functools.partial(_metrics, request))
        if request.path[:4].lower() != "/v1/":
            return Reply(404, NOT_FOUND_PAGE, b"text/html")
        if request.method == "OPTIONS":
            return Reply(200 if ORIGIN.search(request.headers.get(b"origin", b"")) else 400, b"", headers=self._cors)
        if b"gzip" in request.headers.get(b"content-encoding", b""):
            return self._answer_compressed(request)
        # The query stays part of the matched path, as upstream has it.
        return self._answer_body(request.method, request.target, request.body)

    def refusal(self, status: int, message: str) -> Reply:
        """Tell why a request was not taken."""
        return Reply(status, _error(message), headers=self._cors)

    def _answer_body(self, method: str, target: str, body: bytes) -> Reply | Coroutine[Any, Any, Reply]:
        given = Body(body)
        rest, is_large = None, len(body) > SMALL_BODY_BYTES
        if not is_large:
            try:
                return self._answer(method, target, given, may_take_long=False)
            except MayTakeLongError as error:
                rest, is_large = error.rest, error.is_large
        answer = functools.partial(self._answer, method, target, given, may_take_long=True, rest=rest)
        return self._on_a_thread(self._executor_for(method, target, is_large=is_large), answer)

    def _executor_for(self, method: str, target: str, *, is_large: bool) -> ThreadPoolExecutor:
        if is_large:
            return self._large_executor
        return self._metadata_executor if method == "GET" and target.endswith("/metadata") else self._executor

    async def _answer_compressed(self, request: HttpRequest) -> Reply:
        try:
            body = await content.decoded(request, self._settings.limits.max_body_bytes, self._aside)
        except ContentError:
            # As upstream has it.
            body = b""
        reply = self._answer_body(request.method, request.target, body)
        return reply if isinstance(reply, Reply) else await reply

    async def _on_a_thread(self, executor: ThreadPoolExecutor, answer: Callable[[], Reply]) -> Reply:
        return await asyncio.get_running_loop().run_in_executor(executor, answer)

    def _answer(
        self, method: str, target: str, body: Body, *, may_take_long: bool, rest: Callable[[], Buffer] | None = None
    ) -> Reply:
        """Answer, and count the request and its time; one that may take long and must not raises MayTakeLongError."""
        start = time.perf_counter_ns()
        model, api, code, counted = "", "", Code.OK, True
        try:
            request = parse_path(method, target)
            if request is None:
                return Reply(400, b"", headers=self._cors)
            model, api = request.model, request.action if request.action in {"predict", "classify", "regress"} else ""
            if rest is not None:
                return Reply(200, rest(), headers=self._cors)
            return Reply(200, self._content(request, body, may_take_long=may_take_long), headers=self._cors)
        except MayTakeLongError:
            counted = False
            raise
        except ServingError as error:
            # As a batch's error, which is in its own traceback: tensors would stay until a collection.
            traceback.clear_frames(error.__traceback__)
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

    def _content(self, request: Request, body: Body, *, may_take_long: bool) -> Buffer:
        if not may_take_long and request.action in {"classify", "regress"}:
            raise MayTakeLongError
        match request.action:
            case "status":
                return self._status(request)
            case "metadata":
                return self._metadata(request, may_take_long=may_take_long)
            case "predict":
                return self._predict(request, body, may_take_long=may_take_long)
            case _:
                return self._examples(request, body.content).encode("utf-8", "surrogateescape")

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

    def _metadata(self, request: Request, *, may_take_long: bool) -> bytes:
        """Return what is told of a version, written once: probes ask for it while all threads run."""
        with self._manager.hold(request.model, request.choice) as version:
            text = self._metadata_texts.get(version.runner)
            if text is None and not may_take_long:
                raise MayTakeLongError
            if text is None:
                text = self._metadata_texts[version.runner] = _metadata_text(request.model, version)
            return text

    def _predict(self, request: Request, body: Body, *, may_take_long: bool) -> Buffer:
        turn = self._turn_for(len(body.content))
        with turn:
            signature_name = body.signature_name()
        with self._manager.hold(request.model, request.choice) as version:
            model = version.runner
            name = signature_name or predict.DEFAULT_SIGNATURE
            plan = version.plans.get(name) or self._plan(version, name)
            if not plan.inputs:
                raise invalid_argument(f"Failed to get input map for signature: {signature_name or 'DEFAULT'}")
            with turn:
                inputs, is_rows = body.inputs(model, name, plan.dtypes)
            if not (may_take_long or model.is_quick(inputs, plan.fetches)):
                raise MayTakeLongError(is_large=model.answers_much(inputs, plan.fetches))
            run = predict.timed(version, request.model, "Predict", name, self._settings.timeout_ms)
            outputs = plan.run({plan.tensors[alias]: value for alias, value in inputs.items()}, run)
        if not may_take_long and grpc_service.are_many(outputs):
            raise MayTakeLongError(functools.partial(self._written, outputs, is_rows=is_rows), is_large=True)
        return self._written(outputs, is_rows=is_rows)

    def _written(self, outputs: list[Output], *, is_rows: bool) -> Buffer:
        with self._turn_for(elements_of([output.value for output in outputs]) * BYTES_FOR_A_NUMBER):
            return json_outputs.written(outputs, is_rows=is_rows)

    def _turn_for(self, size: int) -> contextlib.AbstractContextManager[object]:
        """Return what one thread at a time holds while it reads or writes so many bytes of JSON."""
        return self._turn if size > SMALL_BODY_BYTES else NO_TURN

    def _plan(self, version: Version, name: str) -> predict.Plan:
        """Return how a signature is called; raise ServingError in REST's words."""
        if name not in version.runner.signatures:
            raise invalid_argument(f'Serving signature name: "{name}" not found in signature def')
        return predict.Plan.of(version, name, check_method=self._options.check_method)

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


def _metadata_text(model: str, version: Version) -> bytes:
    content = {
        "model_spec": {"name": model, "signature_name": "", "version": str(version.number)},
        "metadata": {"signature_def": {"signature_def": {}}},
    }
    head, _, tail = (json.dumps(content, indent=1) + "\n").encode().rpartition(b"{}")
    # One by one: a model may have hundreds, and to put together one large text keeps all others waiting.
    signatures = [_named_text(*named) for named in version.runner.signatures.items()]
    if not signatures:
        return head + b"{}" + tail
    between = [b",\n"] * (2 * len(signatures) - 1)
    between[::2] = signatures
    return b"".join([head, b"{\n", *between, b"\n   }", tail])


def _named_text(name: str, signature: Any) -> bytes:
    text = json.dumps(_as_json(signature), indent=1).replace("\n", f"\n{SIGNATURE_INDENT}")
    return f"{SIGNATURE_INDENT}{json.dumps(name)}: {text}".encode()


def _as_json(message: Any) -> Any:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _metrics(request: HttpRequest) -> Reply:
    if request.query:
        told = f"Unexpected path: {request.target}. Should be {request.raw_path}"
        return Reply(400, told.encode(), b"text/plain")
    return Reply(200, metrics.page().encode(), b"text/plain")


def _error(message: str) -> bytes:
    return json.dumps({"error": message}, indent=4, ensure_ascii=False).encode("utf-8", "surrogateescape")
