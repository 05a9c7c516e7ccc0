"""`tensorflow_model_server`: load, listen, serve, drain, stop."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from model_server import flags as command_line
from model_server.flags import FlagError, Flags

if TYPE_CHECKING:
    from collections.abc import Sequence

    import grpc
    import uvicorn

    from model_server.manager import LoadOptions, Manager

LOG = logging.getLogger("model_server")
USAGE_ERROR = 255
THREADS_PER_CPU = 4
# Requests under way get this long after SIGTERM; a pod's grace period should be longer.
DRAIN_SECONDS = 25.0
LISTEN_BACKLOG = 2048
UPSTREAM_VERSION = "2.20.0"


def main(arguments: Sequence[str]) -> int:
    """Run the server until SIGTERM; return upstream's exit codes."""
    try:
        flags = command_line.parse(list(arguments))
    except FlagError as error:
        print(error)
        print(command_line.usage())
        return USAGE_ERROR
    if flags.wants_help:
        print(command_line.usage())
        return USAGE_ERROR
    if flags.unknown:
        # Upstream tells and starts all the same.
        print("unknown argument: " + "\nunknown argument: ".join(flags.unknown))
        print(command_line.usage(), flush=True)
    _quieten_tensorflow()
    if flags.version:
        return _print_version()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # The loader of TF1 SavedModels is deprecated, and the only one that runs all of them (see saved_model.py).
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    return _serve(flags)


def _serve(flags: Flags) -> int:
    # TensorFlow takes seconds to import: after everything that can be refused without it.
    from model_server.status import ServingError  # noqa: PLC0415

    stopped = threading.Event()
    manager: Manager | None = None

    def stop(*_: object) -> None:
        stopped.set()
        if manager is not None:
            manager.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        _check(flags)
        manager = _manager(flags)
        manager.start(flags.file_system_poll_wait_seconds)
        if stopped.is_set():
            return 0
        grpc_server = _start_grpc(flags, manager)
    except ServingError as error:
        print(f"Failed to start server. Error: {error}", flush=True)
        return USAGE_ERROR
    rest_server, rest_thread = _start_rest(flags, manager)
    stopped.wait()
    LOG.info("stopping: requests under way have %.0f s", DRAIN_SECONDS)
    if rest_server is not None and rest_thread is not None:
        rest_server.should_exit = True
        grpc_server.stop(DRAIN_SECONDS).wait()
        rest_thread.join(DRAIN_SECONDS)
    else:
        grpc_server.stop(DRAIN_SECONDS).wait()
    return 0


def _check(flags: Flags) -> None:
    """Raise ServingError for flags that cannot be served."""
    from model_server.status import Code, ServingError, invalid_argument  # noqa: PLC0415

    refused = flags.refused()
    if "batching_parameters_file" in refused and "enable_batching" not in refused:
        raise invalid_argument(
            "server_options.batching_parameters_file is set without setting server_options.enable_batching to true."
        )
    if refused:
        named = ", ".join(f"--{name}" for name in refused)
        raise ServingError(Code.UNIMPLEMENTED, f"{named} cannot be served by this drop-in yet; use tensorflow/serving")
    if not flags.port and not flags.grpc_socket_path:
        raise invalid_argument(
            "At least one of server_options.grpc_port or server_options.grpc_socket_path must be set."
        )
    if not flags.model_base_path:
        raise invalid_argument("Both server_options.model_base_path and server_options.model_config_file are empty!")
    parallelism = ("session", "intra_op", "inter_op")
    if all(flags.values[f"tensorflow_{name}_parallelism"] > 0 for name in parallelism):
        raise invalid_argument(
            "Tensorflow session parallelism and intra/inter op parallelism are mutually exclusive. "
            "You cannot configure all."
        )


def _manager(flags: Flags) -> Manager:
    from model_server.manager import LoadOptions, Manager  # noqa: PLC0415
    from model_server.saved_model import SessionOptions  # noqa: PLC0415

    both = flags.tensorflow_session_parallelism
    options: LoadOptions = LoadOptions(
        session=SessionOptions(
            intra_op_threads=both or flags.tensorflow_intra_op_parallelism,
            inter_op_threads=both or flags.tensorflow_inter_op_parallelism,
            tags=tuple(flags.saved_model_tags.split(",")),
        ),
        max_retries=flags.max_num_load_retries,
        retry_interval_seconds=flags.load_retry_interval_micros / 1e6,
        warmup=flags.enable_model_warmup,
        warmup_iterations=flags.num_request_iterations_for_warmup,
    )
    return Manager(flags.model_name, Path(flags.model_base_path), options)


def _start_grpc(flags: Flags, manager: Manager) -> grpc.Server:
    import grpc  # noqa: PLC0415
    from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc  # noqa: PLC0415

    from model_server.grpc_service import ModelService, PredictionService  # noqa: PLC0415
    from model_server.status import Code, ServingError  # noqa: PLC0415

    executor = ThreadPoolExecutor(flags.grpc_max_threads or THREADS_PER_CPU * _cpus(), thread_name_prefix="grpc")
    server = grpc.server(executor, options=_channel_arguments(flags.grpc_channel_arguments))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(manager), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(manager), server)
    if flags.enable_grpc_healthcheck_service:
        _add_health(server)
    addresses = [f"0.0.0.0:{flags.port}"] if flags.port else []
    addresses += [f"unix:{flags.grpc_socket_path}"] if flags.grpc_socket_path else []
    for address in addresses:
        try:
            server.add_insecure_port(address)
        except RuntimeError as error:
            raise ServingError(Code.UNKNOWN, f"Error: Failed to start gRPC server on {address}: {error}") from error
    server.start()
    LOG.info("Running gRPC ModelServer at %s ...", addresses[0])
    return server


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


def _add_health(server: grpc.Server) -> None:
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # noqa: PLC0415

    servicer = health.HealthServicer()
    for service in ("", "ModelService", "PredictionService"):
        servicer.set(service, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)


def _start_rest(flags: Flags, manager: Manager) -> tuple[uvicorn.Server | None, threading.Thread | None]:
    """Serve REST from a thread of its own; a port that is taken is told and left, as upstream does."""
    if not flags.rest_api_port:
        return None, None
    if flags.rest_api_port == flags.port:
        LOG.error("rest_api_port cannot be same as grpc port. Disabling HTTP/REST API.")
        return None, None
    import uvicorn  # noqa: PLC0415

    from model_server.rest import App  # noqa: PLC0415

    try:
        listener = _listen(flags.rest_api_port)
    except OSError as error:
        LOG.error("Failed to start HTTP Server at localhost:%d: %s", flags.rest_api_port, error.strerror)
        return None, None
    threads = flags.rest_api_num_threads or THREADS_PER_CPU * _cpus()
    executor = ThreadPoolExecutor(threads, thread_name_prefix="rest")
    app = App(manager, executor, flags.rest_api_timeout_in_ms, cors=flags.rest_api_enable_cors_support)
    options = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=int(DRAIN_SECONDS),
    )
    server = uvicorn.Server(options)
    thread = threading.Thread(target=server.run, args=([listener],), name="rest", daemon=True)
    thread.start()
    LOG.info("Exporting HTTP/REST API at:localhost:%d ...", flags.rest_api_port)
    return server, thread


def _listen(port: int) -> socket.socket:
    """Return a socket on every address, IPv6 and IPv4, or IPv4 alone where there is no IPv6; raise OSError."""
    if socket.has_dualstack_ipv6() and Path("/proc/net/if_inet6").exists():
        return socket.create_server(("::", port), family=socket.AF_INET6, backlog=LISTEN_BACKLOG, dualstack_ipv6=True)
    return socket.create_server(("0.0.0.0", port), backlog=LISTEN_BACKLOG)  # noqa: S104 - as upstream


def _cpus() -> int:
    """Return the CPUs this process may use: the container's limit, not the node's count."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for quota, period in _cpu_limits():
        if quota > 0:
            usable = min(usable, max(1, -(-quota // period)))
    return usable


def _cpu_limits() -> list[tuple[int, int]]:
    """Return (quota, period) in microseconds from cgroup v2 and v1, where there are any."""
    found = []
    v2, v1 = Path("/sys/fs/cgroup/cpu.max"), Path("/sys/fs/cgroup/cpu")
    try:
        if v2.exists():
            quota, period = v2.read_text(encoding="ascii").split()
            found.append((-1 if quota == "max" else int(quota), int(period)))
        elif (v1 / "cpu.cfs_quota_us").exists():
            found.append((int((v1 / "cpu.cfs_quota_us").read_text()), int((v1 / "cpu.cfs_period_us").read_text())))
    except (OSError, ValueError):
        return []
    return found


def _print_version() -> int:
    import tensorflow as tf  # noqa: PLC0415

    print(f"TensorFlow ModelServer: {UPSTREAM_VERSION}")
    print(f"TensorFlow Library: {tf.__version__}")
    return 0


def _quieten_tensorflow() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


def run() -> NoReturn:
    """Run the command and exit."""
    raise SystemExit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
