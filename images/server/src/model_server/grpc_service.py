"""gRPC: PredictionService and ModelService on the core."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from model_server import predict, tensors
from model_server.status import Code, ServingError, invalid_argument

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc

    from model_server.manager import Manager, Version

LOG = logging.getLogger(__name__)
# Longer messages are cut, as gRPC carries them in a header.
MAXIMUM_MESSAGE_CHARACTERS = 1024
SIGNATURE_DEF = "signature_def"


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    """tensorflow.serving.PredictionService (tensorflow_serving/apis/prediction_service.proto)."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - gRPC's name
        """Run a signature; the client's deadline bounds the run."""
        return _answered(context, lambda: self._predict(request, _remaining_ms(context)))

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - gRPC's name
        """Tell a model's signatures."""
        return _answered(context, lambda: self._metadata(request))

    def _predict(self, request: Any, timeout_ms: int | None) -> Any:
        name, number = _model_of(request)
        with self._manager.hold(name, number) as version:
            model = _loaded(version)
            signature_name = request.model_spec.signature_name or predict.DEFAULT_SIGNATURE
            signature = predict.signature_of(model, signature_name)
            inputs = {alias: tensors.to_numpy(tensor) for alias, tensor in request.inputs.items()}
            outputs = predict.run(model, signature, inputs, list(request.output_filter), timeout_ms)
            reply = predict_pb2.PredictResponse()
            reply.model_spec.name = name
            reply.model_spec.version.value = version.number
            reply.model_spec.signature_name = signature_name
            for output in outputs:
                reply.outputs[output.alias].CopyFrom(tensors.to_proto(output.value, output.dtype))
            return reply

    def _metadata(self, request: Any) -> Any:
        name, number = _model_of(request)
        if not request.metadata_field:
            raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != SIGNATURE_DEF:
                raise invalid_argument(f"Metadata field {field} is not supported")
        with self._manager.hold(name, number) as version:
            return metadata_of(name, version)


class ModelService(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]
    """tensorflow.serving.ModelService (tensorflow_serving/apis/model_service.proto)."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - gRPC's name
        """Tell the state of each known version."""
        return _answered(context, lambda: status_of(self._manager.status(*_model_of(request))))


def metadata_of(name: str, version: Version) -> Any:
    """Return the GetModelMetadataResponse of a held version."""
    reply = get_model_metadata_pb2.GetModelMetadataResponse()
    reply.model_spec.name = name
    reply.model_spec.version.value = version.number
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for key, signature in _loaded(version).signatures.items():
        signatures.signature_def[key].CopyFrom(signature)
    reply.metadata[SIGNATURE_DEF].Pack(signatures)
    return reply


def status_of(found: list[Version]) -> Any:
    """Return the GetModelStatusResponse of versions."""
    reply = get_model_status_pb2.GetModelStatusResponse()
    for version in found:
        entry = reply.model_version_status.add(version=version.number, state=version.state.value)
        entry.status.error_code = version.error.code.value if version.error else 0
        entry.status.error_message = version.error.message if version.error else ""
    return reply


def _loaded(version: Version) -> Any:
    if version.model is None:
        raise ServingError(Code.NOT_FOUND, f"Servable not found for request: version {version.number}")
    return version.model


def _model_of(request: Any) -> tuple[str, int | None]:
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    spec = request.model_spec
    if not spec.name:
        raise invalid_argument("ModelSpec has no name specified.")
    if spec.version_label:
        raise invalid_argument(f"Unrecognized servable version label: {spec.version_label}")
    return spec.name, spec.version.value if spec.HasField("version") else None


def _remaining_ms(context: grpc.ServicerContext) -> int | None:
    remaining = context.time_remaining()
    return None if remaining is None else max(1, int(remaining * 1000))


def _answered(context: grpc.ServicerContext, answer: Callable[[], Any]) -> Any:
    """Return an answer, or end the call with the error's code and words."""
    try:
        return answer()
    except ServingError as error:
        message = error.message
        if len(message) > MAXIMUM_MESSAGE_CHARACTERS:
            message = message[:MAXIMUM_MESSAGE_CHARACTERS] + "...TRUNCATED"
        context.abort(error.code.grpc, message)
        raise AssertionError("abort raises") from error
