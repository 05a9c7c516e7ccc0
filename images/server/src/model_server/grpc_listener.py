"""gRPC's port: PredictionService, ModelService, reflection and health, drained on the way out."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from tensorflow_serving.apis import (
    model_service_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2,
    prediction_service_pb2_grpc,
)

from model_server import config_messages, cpus, startup
from model_server.grpc_service import ModelService, PredictionService
from serving_codec.status import Code, ServingError

if TYPE_CHECKING:
    from model_server.flags import Flags
    from model_server.manager import Manager
    from model_server.predict import Options

LOG = logging.getLogger(__name__)
# gRPC's Python server keeps a thread for each call whose message is still on its way: clients that are slow, or stall,
# must not take the threads of the others.
MAXIMUM_OPEN_CALLS = 256


class GrpcListener:
    """PredictionService, ModelService, reflection and, if asked for, grpc.health.v1 on TCP and a UNIX socket."""

    def __init__(self, flags: Flags, manager: Manager, options: Options) -> None:
        """Listen; raise ServingError where that cannot be."""
        at_once = flags.grpc_max_threads or startup.THREADS_PER_CPU * cpus.usable()
        executor = ThreadPoolExecutor(max(at_once, MAXIMUM_OPEN_CALLS), thread_name_prefix="grpc")
        self._server = grpc.server(executor, options=_channel_arguments(flags.grpc_channel_arguments))
        prediction = PredictionService(manager, options, at_once)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, self._server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(manager), self._server)
        self._health = _add_health(self._server) if flags.enable_grpc_healthcheck_service else None
        reflection.enable_server_reflection(_service_names(has_health=self._health is not None), self._server)
        addresses = [f"0.0.0.0:{flags.port}"] if flags.port else []
        addresses += [f"unix:{flags.grpc_socket_path}"] if flags.grpc_socket_path else []
        credentials = _credentials(flags.ssl_config_file) if flags.ssl_config_file else None
        for address in addresses:
            self._bind(address, credentials)
        self._server.start()
        LOG.info("Running gRPC ModelServer at %s ...", addresses[0])

    def stop(self, seconds: float) -> None:
        """Take no new calls, give those under way their time, and return when they are done."""
        if self._health is not None:
            self._health.enter_graceful_shutdown()
        self._server.stop(seconds).wait()

    def _bind(self, address: str, credentials: grpc.ServerCredentials | None) -> None:
        try:
            if credentials is None:
                self._server.add_insecure_port(address)
            else:
                self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise ServingError(Code.UNKNOWN, f"Error: Failed to start gRPC server on {address}: {error}") from error


def _channel_arguments(text: str) -> list[tuple[str, Any]]:
    """Return gRPC options: messages as large as upstream takes, then `k=v,k=v` from the flag."""
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        # Two servers on one port would share its calls.
        ("grpc.so_reuseport", 0),
    ]
    for pair in filter(None, text.split(",")):
        key, _, value = pair.partition("=")
        options.append((key, int(value) if value.lstrip("-").isdecimal() else value))
    return options


def _credentials(path: str) -> grpc.ServerCredentials:
    """Return the TLS credentials of an SSLConfig file, which holds PEM text; raise ServingError without key or cert."""
    message = config_messages.read(path, config_messages.SSLConfig)
    if not message.server_key or not message.server_cert:
        raise ServingError(
            Code.INVALID_ARGUMENT, f"ssl_config_file {path}: server_key and server_cert must hold PEM text"
        )
    return grpc.ssl_server_credentials(
        [(message.server_key.encode(), message.server_cert.encode())],
        root_certificates=message.custom_ca.encode() or None,
        require_client_auth=message.client_verify,
    )


def _add_health(server: grpc.Server) -> health.HealthServicer:
    servicer = health.HealthServicer()
    for service in ("", "ModelService", "PredictionService"):
        servicer.set(service, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    return servicer


def _service_names(*, has_health: bool) -> list[str]:
    """Return the full names of the services that reflection tells of, itself included."""
    files = [prediction_service_pb2, model_service_pb2, *([health_pb2] if has_health else [])]
    served = [service.full_name for file in files for service in file.DESCRIPTOR.services_by_name.values()]
    return [*served, reflection.SERVICE_NAME]
