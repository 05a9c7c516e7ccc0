"""PredictionService and ModelService on the core: from a message's bytes to its answer's. No sockets here."""

from __future__ import annotations

import functools
import logging
import math
import threading
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)

from model_server import examples, metrics, model_config, predict, predict_reply
from model_server.predict import MayTakeLongError
from model_server.protos import examples_pb2
from model_server.saved_model import QUICK_ELEMENTS, elements_of
from serving_codec import fields, tensors
from serving_codec.paths import Choice
from serving_codec.status import Code, ServingError, invalid_argument

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from model_server.manager import Manager, Version
    from model_server.model_config import ModelConfig
    from model_server.predict import Options, Plan
    from model_server.saved_model import Runner
    from serving_codec.json_tensors import Output
    from serving_codec.pieces import Buffer

    Answer = Callable[[bytes, "Deadline"], "Buffer"]

LOG = logging.getLogger(__name__)
SIGNATURE_DEF = "signature_def"
SIGNATURES_URL = f"type.googleapis.com/{get_model_metadata_pb2.SignatureDefMap.DESCRIPTOR.full_name}"
NEWEST = Choice()
# Looking it up takes longer than counting it.
OK = Code.OK.name
# No model has as many signatures.
MAXIMUM_TASKS = 10_000
# What is parsed, and its tensors read, in a millisecond; tests/contract/test_grpc_limits.py measures the loop.
SMALL_BYTES = 64 << 10
# Shorter ones are parsed in a millisecond whatever is in them. On the loop no more is counted and parsed than in a few.
UNCOUNTED_BYTES, SMALL_WORK = 4 << 10, 10_000


@dataclass(frozen=True)
class Deadline:
    """When a call is given up, on the monotonic clock."""

    at: float = math.inf

    def remaining_ms(self) -> int | None:
        """Return the milliseconds left, None for any number; raise DEADLINE_EXCEEDED when there are none."""
        remaining = self.at - time.monotonic()
        if remaining <= 0:
            raise ServingError(Code.DEADLINE_EXCEEDED, "The call's deadline passed before its turn")
        # A call without a deadline has one years away.
        return None if remaining > predict.LONGEST_TIMEOUT_SECONDS else max(1, int(remaining * 1000))


NO_DEADLINE = Deadline()


class PredictionService:
    """tensorflow.serving.PredictionService (tensorflow_serving/apis/prediction_service.proto).

    A client's deadline bounds the run of the graph.
    """

    def __init__(self, manager: Manager, options: Options) -> None:
        # For the life of the process.
        self._manager = manager
        self._options = options
        # Python runs one thread at a time: more of them would only keep the event loop waiting for its turn.
        self._turn = threading.Lock()
        # As versions come and go.
        self._signatures: WeakKeyDictionary[Runner, bytes] = WeakKeyDictionary()

    def predict_at_once(self, message: bytes, deadline: Deadline) -> Buffer:
        """Run a signature on tensors where that is known to be quick; raise MayTakeLongError otherwise."""
        if _is_more_work(predict_pb2.PredictRequest, message, SMALL_WORK):
            raise MayTakeLongError
        request = _read(predict_pb2.PredictRequest, message)
        name = request.model_spec.name
        try:
            return _counted("Predict", name, lambda: self._predict(request, message, deadline, at_once=True))
        except MayTakeLongError as error:
            if error.rest is not None:
                error.rest = functools.partial(_counted, "Predict", name, error.rest)
            raise

    def predict(self, message: bytes, deadline: Deadline) -> Buffer:
        """Run a signature on tensors."""
        request = parsed(predict_pb2.PredictRequest, message)
        return _counted("Predict", request.model_spec.name, lambda: self._predict(request, message, deadline))

    def classify(self, message: bytes, deadline: Deadline) -> Buffer:
        """Run a signature on examples and tell labels and scores."""
        asked = _of_examples(message)
        reply = classification_pb2.ClassificationResponse()
        infer = lambda: self._infer("Classify", examples.classify, reply, asked, deadline)  # noqa: E731
        return _counted("Classify", asked.request.model_spec.name, infer)

    def regress(self, message: bytes, deadline: Deadline) -> Buffer:
        """Run a signature on examples and tell a value for each."""
        asked = _of_examples(message)
        reply = regression_pb2.RegressionResponse()
        infer = lambda: self._infer("Regress", examples.regress, reply, asked, deadline)  # noqa: E731
        return _counted("Regress", asked.request.model_spec.name, infer)

    def multi_inference(self, message: bytes, deadline: Deadline) -> bytes:
        """Classify and regress the same examples in one run."""
        request = parsed(examples_pb2.MultiInferenceRequest, message)
        if len(request.tasks) > MAXIMUM_TASKS:
            raise invalid_argument(
                f"{len(request.tasks)} tasks, at most {MAXIMUM_TASKS} are allowed, each of a signature"
            )
        tasks = [parsed(inference_pb2.InferenceTask, task) for task in request.tasks]
        names = {task.model_spec.name for task in tasks}
        if "" in names or not names:
            raise invalid_argument("Found ModelSpec with an empty model name.")
        if len(names) > 1:
            raise invalid_argument("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        name, choice = _model_of(tasks[0])
        with self._manager.hold(name, choice) as version:
            given = examples.serialized(request.input)
            first = tasks[0].model_spec.signature_name or predict.DEFAULT_SIGNATURE
            run = predict.timed(version, name, "MultiInference", first, deadline.remaining_ms())
            results = examples.multi_inference(
                version.runner, tasks, given, run, check_method=self._options.check_method
            )
            metrics.REQUEST_EXAMPLE_COUNTS.observe(len(given), name)
            metrics.REQUEST_EXAMPLE_COUNT_TOTAL.add(name, by=len(given))
            reply = inference_pb2.MultiInferenceResponse(results=results)
            for task, result in zip(tasks, reply.results, strict=True):
                signature_name = task.model_spec.signature_name or predict.DEFAULT_SIGNATURE
                _tell_model(result.model_spec, name, version, signature_name)
            return _serialized(reply)

    def metadata(self, message: bytes, _deadline: Deadline) -> bytes:
        """Tell a model's signatures."""
        request = parsed(get_model_metadata_pb2.GetModelMetadataRequest, message)
        name, choice = _model_of(request)
        if not request.metadata_field:
            raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != SIGNATURE_DEF:
                raise invalid_argument(f"Metadata field {field} is not supported")
        with self._manager.hold(name, choice) as version:
            reply = get_model_metadata_pb2.GetModelMetadataResponse()
            reply.model_spec.name = name
            reply.model_spec.version.value = version.number
            reply.metadata[SIGNATURE_DEF].type_url = SIGNATURES_URL
            reply.metadata[SIGNATURE_DEF].value = self._signatures_of(version)
            return _serialized(reply)

    def _signatures_of(self, version: Version) -> bytes:
        """Return the SignatureDefMap of a held version, written once."""
        written = self._signatures.get(version.runner)
        if written is None:
            written = self._signatures[version.runner] = signatures_of(version)
        return written

    def _predict(self, request: Any, message: bytes, deadline: Deadline, *, at_once: bool = False) -> Buffer:
        name, choice = _model_of(request)
        with self._manager.hold(name, choice) as version:
            model = version.runner
            signature_name = request.model_spec.signature_name or predict.DEFAULT_SIGNATURE
            if at_once and not request.output_filter:
                plan = predict.Plan.of(version, signature_name, check_method=self._options.check_method)
                feeds = plan.feeds(request.inputs)
                if feeds is not None:
                    return self._by_plan((name, version, signature_name), plan, feeds, deadline)
            signature = predict.signature_of(model, signature_name, check_method=self._options.check_method)
            # By their names alone: a message is made for each that is taken out.
            predict.check_aliases(signature, request.inputs)
            given = dict(request.inputs)
            if at_once and sum(map(tensors.claimed_bytes, given.values())) > SMALL_BYTES:
                raise MayTakeLongError
            inputs = predict.inputs_of(signature, given, len(message))
            fetches = predict.fetches_of(signature, request.output_filter) if at_once else []
            if at_once and not model.is_quick(inputs, fetches):
                raise MayTakeLongError(is_large=model.answers_much(inputs, fetches))
            run = predict.timed(version, name, "Predict", signature_name, deadline.remaining_ms())
            outputs = predict.outputs_of(signature, inputs, run, request.output_filter)
            return self._written((name, version, signature_name), outputs, at_once=at_once)

    def _by_plan(
        self,
        spec: tuple[str, Version, str],
        plan: Plan,
        feeds: dict[str, NDArray[Any]],
        deadline: Deadline,
    ) -> Buffer:
        """Run a whole signature where that is known to be quick; raise MayTakeLongError otherwise."""
        name, version, signature_name = spec
        if not version.runner.is_quick(feeds, plan.fetches):
            raise MayTakeLongError(is_large=version.runner.answers_much(feeds, plan.fetches))
        run = predict.timed(version, name, "Predict", signature_name, deadline.remaining_ms())
        return self._written(spec, plan.run(feeds, run), at_once=True)

    def _written(self, spec: tuple[str, Version, str], outputs: list[Output], *, at_once: bool) -> Buffer:
        """Return the reply; raise MayTakeLongError, which has the rest, for a large one that is wanted at once."""
        if not are_many(outputs):
            return self._serialized(spec, outputs)
        if at_once:
            raise MayTakeLongError(functools.partial(self._written, spec, outputs, at_once=False), is_large=True)
        with self._turn:
            return self._serialized(spec, outputs)

    def _serialized(self, spec: tuple[str, Version, str], outputs: list[Output]) -> Buffer:
        name, version, signature_name = spec
        as_content = self._options.as_tensor_content
        return predict_reply.serialized(name, version.number, signature_name, outputs, as_content=as_content)

    def _infer(
        self, method: str, infer: Callable[..., Any], reply: Any, asked: OfExamples, deadline: Deadline
    ) -> bytes:
        """Return the reply with the result of `infer`, one of examples.py's, on the request's examples."""
        request = asked.request
        name, choice = _model_of(request)
        with self._manager.hold(name, choice) as version:
            signature_name = request.model_spec.signature_name or predict.DEFAULT_SIGNATURE
            run = predict.timed(version, name, method, signature_name, deadline.remaining_ms())
            given = examples.serialized(asked.input)
            check_method = self._options.check_method
            reply.result.CopyFrom(infer(version.runner, signature_name, given, run, check_method=check_method))
            _tell_model(reply.model_spec, name, version, signature_name)
            return _serialized(reply)


class ModelService:
    """tensorflow.serving.ModelService (tensorflow_serving/apis/model_service.proto).

    `reload_root` is the folder a reload may take models from; empty, there are no reloads.
    """

    def __init__(self, manager: Manager, reload_root: str) -> None:
        # For the life of the process.
        self._manager = manager
        self._reload_root = reload_root

    def status(self, message: bytes, _deadline: Deadline) -> bytes:
        """Tell the state of each known version."""
        request = parsed(get_model_status_pb2.GetModelStatusRequest, message)
        return _serialized(status_of(self._manager.status(*_model_of(request))))

    def begin_reload(self, message: bytes) -> Reload:
        """Replace the models that are served, and return what is to be waited for; raise ServingError.

        PERMISSION_DENIED unless a flag names the folder that the models are in: whoever reaches the port could take the
        server out of service, or have it read any folder. A list without models, which would do the first, is refused.
        """
        if not self._reload_root:
            raise ServingError(
                Code.PERMISSION_DENIED,
                "HandleReloadConfigRequest is off: start the server with --reload_config_root=FOLDER to allow models "
                "below that folder, or change the file of --model_config_file",
            )
        request = parsed(model_management_pb2.ReloadConfigRequest, message)
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid_argument(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
                "supported"
            )
        configs = model_config.from_proto(request.config)
        if not configs:
            raise invalid_argument("A model_config_list without models would stop all of them: stop the server instead")
        for config in configs:
            _check_path(config, self._reload_root)
        before = metrics.totals(request.metric_names)
        return Reload(self._manager, self._manager.replace(configs), before)


@dataclass(frozen=True)
class Reload:
    """A reload whose new models are on their way; whoever waits asks now and then, and may leave."""

    manager: Manager
    names: Sequence[str]
    totals_before: dict[str, int]

    def is_over(self) -> bool:
        """Tell whether the new models are available; raise ServingError when one has failed."""
        return self.manager.is_settled(self.names)

    def reply(self) -> bytes:
        """Return the answer: how much each metric asked for has grown."""
        reply = model_management_pb2.ReloadConfigResponse()
        reply.status.error_code = Code.OK.value
        for name, total in metrics.totals(self.totals_before).items():
            reply.metric.add(name=name, int64_value_increase=total - self.totals_before[name])
        return _serialized(reply)


@dataclass(frozen=True)
class OfExamples:
    """A request about examples: a ClassificationRequest with its model_spec alone, and the input, not looked into."""

    request: Any
    input: examples_pb2.Input


def _of_examples(message: bytes) -> OfExamples:
    """Return the request, for Classify or Regress, which have the same fields."""
    given = parsed(examples_pb2.ExamplesRequest, message)
    request = classification_pb2.ClassificationRequest()
    if given.HasField("model_spec"):
        request.model_spec.CopyFrom(parsed(model_pb2.ModelSpec, given.model_spec))
    return OfExamples(request, given.input)


def parsed(kind: Any, message: bytes) -> Any:
    """Return the message of bytes; raise INTERNAL, as gRPC itself does, for ones that are none.

    Raise INVALID_ARGUMENT for one of so many fields that others would wait while it is parsed.
    """
    if _is_more_work(kind, message, fields.allowed(len(message))):
        raise invalid_argument(
            f"A message of {len(message)} bytes has too many fields, values and map entries to be read; values in "
            "packed fields or tensor_content, and strings of 16 bytes and more, are never too many"
        )
    return _read(kind, message)


def _is_more_work(kind: Any, message: bytes, most: int) -> bool:
    return len(message) > UNCOUNTED_BYTES and fields.is_more_work(message, kind.DESCRIPTOR, most)


def _read(kind: Any, message: bytes) -> Any:
    try:
        return kind.FromString(message)
    except DecodeError as error:
        raise ServingError(Code.INTERNAL, "Exception deserializing request!") from error


def inflated_bytes(message: bytes, encoding: bytes, most: int) -> int | None:
    """Return how large a message may become; None for one that is not compressed."""
    match encoding:
        case b"gzip":
            # Its last four bytes say so (RFC 1952 2.3.1, ISIZE); a member that grows beyond is refused.
            return min(most, int.from_bytes(message[-4:], "little"))
        case b"deflate":
            # It packs 1032 bytes into one at most.
            return min(most, 1032 * len(message))
        case _:
            return None


def inflated(message: bytes, most: int) -> bytes:
    """Return a compressed message's content; raise RESOURCE_EXHAUSTED beyond `most` bytes, INTERNAL for no such."""
    inflater = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)
    try:
        content = inflater.decompress(message, most + 1)
    except zlib.error as error:
        raise ServingError(Code.INTERNAL, f"The message cannot be inflated: {error}") from error
    if len(content) > most:
        raise ServingError(Code.RESOURCE_EXHAUSTED, f"Decompressed message larger than max ({most})")
    if not inflater.eof:
        raise ServingError(Code.INTERNAL, "The message cannot be inflated: it is cut off")
    return content


def signatures_of(version: Version) -> bytes:
    """Return a held version's SignatureDefMap, written one by one: others have their turn between two."""
    one = get_model_metadata_pb2.SignatureDefMap
    return b"".join(
        [
            one(signature_def={key: signature}).SerializeToString()
            for key, signature in version.runner.signatures.items()
        ]
    )


def status_of(found: list[Version]) -> Any:
    """Return the GetModelStatusResponse of versions."""
    reply = get_model_status_pb2.GetModelStatusResponse()
    for version in found:
        entry = reply.model_version_status.add(version=version.number, state=version.state.value)
        entry.status.error_code = version.error.code.value if version.error else 0
        entry.status.error_message = version.error.message if version.error else ""
    return reply


def are_many(outputs: Sequence[Output]) -> bool:
    """Tell whether it takes longer to write outputs than an event loop has time for."""
    return elements_of([output.value for output in outputs]) > QUICK_ELEMENTS


def _check_path(config: ModelConfig, root: str) -> None:
    """Raise PERMISSION_DENIED unless a model's path, links and `..` resolved, is below the root."""
    path, below = Path(config.base_path.removeprefix("file://")), Path(root).resolve()
    try:
        resolved = path.resolve() if path.is_absolute() else None
    except (OSError, RuntimeError, ValueError):
        resolved = None
    if resolved is None or not resolved.is_relative_to(below):
        raise ServingError(
            Code.PERMISSION_DENIED,
            f"base_path {config.base_path[:256]} of model {config.name[:64]} is not below {below} (reload_config_root)",
        )


def _tell_model(spec: Any, name: str, version: Version, signature_name: str) -> None:
    spec.name = name
    spec.version.value = version.number
    spec.signature_name = signature_name


def _model_of(request: Any) -> tuple[str, Choice]:
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    spec = request.model_spec
    if not spec.name:
        raise invalid_argument("ModelSpec has no name specified.")
    match spec.WhichOneof("version_choice"):
        case "version":
            return spec.name, Choice(spec.version.value)
        case "version_label":
            return spec.name, Choice(None, spec.version_label)
        case _:
            return spec.name, NEWEST


def _serialized(reply: Any) -> bytes:
    content: bytes = reply.SerializeToString()
    return content


def _counted(api: str, model: str, answer: Callable[[], Buffer]) -> Buffer:
    """Return an answer, counted with its status and, when there is one, its time."""
    start = time.perf_counter_ns()
    status = OK
    try:
        content = answer()
    except MayTakeLongError:
        status = ""
        raise
    except ServingError as error:
        status = error.code.name
        raise
    except BaseException:
        status = Code.INTERNAL.name
        raise
    else:
        metrics.REQUEST_LATENCY.observe((time.perf_counter_ns() - start) / 1000, model, api, "GRPC")
        return content
    finally:
        if status:
            metrics.REQUEST_COUNT.add(model, status)
