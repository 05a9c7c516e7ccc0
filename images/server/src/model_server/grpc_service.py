"""gRPC: PredictionService and ModelService on the core."""

from __future__ import annotations

import functools
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import grpc
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from model_server import examples, metrics, model_config, predict
from serving_codec import tensors
from serving_codec.paths import Choice
from serving_codec.status import Code, ServingError, invalid_argument

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_server.manager import Manager, Version
    from model_server.predict import Options
    from serving_codec.json_tensors import Output

LOG = logging.getLogger(__name__)
# Longer messages are cut, as gRPC carries them in a header.
MAXIMUM_MESSAGE_CHARACTERS = 1024
SIGNATURE_DEF = "signature_def"


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    """tensorflow.serving.PredictionService (tensorflow_serving/apis/prediction_service.proto).

    A client's deadline bounds the run of the graph. At most `at_once` inferences run at once; a call that is cancelled,
    or whose deadline has passed, before its turn is not run.
    """

    def __init__(self, manager: Manager, options: Options, at_once: int) -> None:
        self._manager = manager
        self._options = options
        self._turns = threading.Semaphore(at_once)

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - gRPC's name
        """Run a signature on tensors."""
        return _counted(
            context, "Predict", request.model_spec.name, lambda: self._in_turn(self._predict, request, context)
        )

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - gRPC's name
        """Run a signature on examples and tell labels and scores."""
        reply = classification_pb2.ClassificationResponse()
        infer = functools.partial(self._infer, "Classify", examples.classify, reply)
        return _counted(context, "Classify", request.model_spec.name, lambda: self._in_turn(infer, request, context))

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - gRPC's name
        """Run a signature on examples and tell a value for each."""
        infer = functools.partial(self._infer, "Regress", examples.regress, regression_pb2.RegressionResponse())
        return _counted(context, "Regress", request.model_spec.name, lambda: self._in_turn(infer, request, context))

    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - gRPC's name
        """Classify and regress the same examples in one run."""
        return _answered(context, lambda: self._in_turn(self._multi_inference, request, context))

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - gRPC's name
        """Tell a model's signatures."""
        return _answered(context, lambda: self._metadata(request))

    def _in_turn(self, infer: Callable[[Any, Any], Any], request: Any, context: grpc.ServicerContext) -> Any:
        with self._turns:
            if not context.is_active():
                raise ServingError(Code.CANCELLED, "The call ended before its turn")
            return infer(request, context)

    def _predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        name, choice = _model_of(request)
        with self._manager.hold(name, choice) as version:
            model = version.runner
            signature_name = request.model_spec.signature_name or predict.DEFAULT_SIGNATURE
            signature = predict.signature_of(model, signature_name, check_method=self._options.check_method)
            inputs = {alias: tensors.to_numpy(tensor) for alias, tensor in request.inputs.items()}
            run = predict.timed(version, name, "Predict", signature_name, _remaining_ms(context))
            outputs = predict.outputs_of(signature, inputs, run, request.output_filter)
            reply = predict_pb2.PredictResponse()
            _tell_model(reply.model_spec, name, version, signature_name)
            for output in outputs:
                self._write(reply.outputs[output.alias], output)
            return reply

    def _write(self, proto: Any, output: Output) -> None:
        if output.dtype in tensors.NUMPY_BY_NUMBER:
            tensors.fill(proto, output.value, output.dtype, as_content=self._options.as_tensor_content)
        else:
            # Complex, quantized and the like, which nobody is in a hurry for.
            proto.CopyFrom(tf.make_tensor_proto(output.value, dtype=tf.dtypes.as_dtype(output.dtype)))

    def _infer(self, method: str, infer: Callable[..., Any], reply: Any, request: Any, context: Any) -> Any:
        """Return the reply with the result of `infer`, one of examples.py's, on the request's examples."""
        name, choice = _model_of(request)
        with self._manager.hold(name, choice) as version:
            signature_name = request.model_spec.signature_name or predict.DEFAULT_SIGNATURE
            run = predict.timed(version, name, method, signature_name, _remaining_ms(context))
            given = examples.serialized(request.input)
            check_method = self._options.check_method
            reply.result.CopyFrom(infer(version.runner, signature_name, given, run, check_method=check_method))
            _tell_model(reply.model_spec, name, version, signature_name)
            return reply

    def _multi_inference(self, request: Any, context: grpc.ServicerContext) -> Any:
        names = {task.model_spec.name for task in request.tasks}
        if "" in names or not names:
            raise invalid_argument("Found ModelSpec with an empty model name.")
        if len(names) > 1:
            raise invalid_argument("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        name, choice = _model_of(request.tasks[0])
        with self._manager.hold(name, choice) as version:
            given = examples.serialized(request.input)
            first = request.tasks[0].model_spec.signature_name or predict.DEFAULT_SIGNATURE
            run = predict.timed(version, name, "MultiInference", first, _remaining_ms(context))
            results = examples.multi_inference(
                version.runner, request.tasks, given, run, check_method=self._options.check_method
            )
            metrics.REQUEST_EXAMPLE_COUNTS.observe(len(given), name)
            metrics.REQUEST_EXAMPLE_COUNT_TOTAL.add(name, by=len(given))
            reply = inference_pb2.MultiInferenceResponse(results=results)
            for task, result in zip(request.tasks, reply.results, strict=True):
                signature_name = task.model_spec.signature_name or predict.DEFAULT_SIGNATURE
                _tell_model(result.model_spec, name, version, signature_name)
            return reply

    def _metadata(self, request: Any) -> Any:
        name, choice = _model_of(request)
        if not request.metadata_field:
            raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != SIGNATURE_DEF:
                raise invalid_argument(f"Metadata field {field} is not supported")
        with self._manager.hold(name, choice) as version:
            return metadata_of(name, version)


class ModelService(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]
    """tensorflow.serving.ModelService (tensorflow_serving/apis/model_service.proto)."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - gRPC's name
        """Tell the state of each known version."""
        return _answered(context, lambda: status_of(self._manager.status(*_model_of(request))))

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Replace the models that are served; return when the new ones are available."""
        return _answered(context, lambda: self._reload(request))

    def _reload(self, request: Any) -> Any:
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid_argument(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
                "supported"
            )
        before = metrics.totals(request.metric_names)
        self._manager.reload(model_config.from_proto(request.config))
        reply = model_management_pb2.ReloadConfigResponse()
        reply.status.error_code = Code.OK.value
        for name, total in metrics.totals(request.metric_names).items():
            reply.metric.add(name=name, int64_value_increase=total - before[name])
        return reply


def metadata_of(name: str, version: Version) -> Any:
    """Return the GetModelMetadataResponse of a held version."""
    reply = get_model_metadata_pb2.GetModelMetadataResponse()
    reply.model_spec.name = name
    reply.model_spec.version.value = version.number
    reply.metadata[SIGNATURE_DEF].Pack(signatures_of(version))
    return reply


def signatures_of(version: Version) -> Any:
    """Return the SignatureDefMap of a held version."""
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for key, signature in version.runner.signatures.items():
        signatures.signature_def[key].CopyFrom(signature)
    return signatures


def status_of(found: list[Version]) -> Any:
    """Return the GetModelStatusResponse of versions."""
    reply = get_model_status_pb2.GetModelStatusResponse()
    for version in found:
        entry = reply.model_version_status.add(version=version.number, state=version.state.value)
        entry.status.error_code = version.error.code.value if version.error else 0
        entry.status.error_message = version.error.message if version.error else ""
    return reply


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
    number = spec.version.value if spec.HasField("version") else None
    return spec.name, Choice(
        number, spec.version_label if spec.WhichOneof("version_choice") == "version_label" else None
    )


def _remaining_ms(context: grpc.ServicerContext) -> int | None:
    remaining = context.time_remaining()
    # A call without a deadline has one years away.
    return None if remaining is None or remaining > predict.LONGEST_TIMEOUT_SECONDS else max(1, int(remaining * 1000))


def _counted(context: grpc.ServicerContext, api: str, model: str, answer: Callable[[], Any]) -> Any:
    """Return an answer, or end the call with the error's code and words; count it either way."""
    start = time.perf_counter_ns()
    status = Code.OK.name
    try:
        return answer()
    except ServingError as error:
        status = error.code.name
        return _abort(context, error)
    except BaseException:
        status = Code.INTERNAL.name
        raise
    finally:
        metrics.REQUEST_COUNT.add(model, status)
        if status == Code.OK.name:
            metrics.REQUEST_LATENCY.observe((time.perf_counter_ns() - start) / 1000, model, api, "GRPC")


def _answered(context: grpc.ServicerContext, answer: Callable[[], Any]) -> Any:
    """Return an answer, or end the call with the error's code and words."""
    try:
        return answer()
    except ServingError as error:
        return _abort(context, error)


def _abort(context: grpc.ServicerContext, error: ServingError) -> Any:
    message = error.message
    if len(message) > MAXIMUM_MESSAGE_CHARACTERS:
        message = message[:MAXIMUM_MESSAGE_CHARACTERS] + "...TRUNCATED"
    context.abort(grpc.StatusCode[error.code.name], message)
    raise AssertionError("abort raises") from error
