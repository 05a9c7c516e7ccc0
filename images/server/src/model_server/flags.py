"""The command line of tensorflow_model_server: every flag upstream has, parsed as upstream parses it.

Only `--name=value`, booleans also bare; the last occurrence wins; an unknown argument is told and ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# Acted on: name -> (default, summary). The type of the default is the flag's.
ACTING: dict[str, tuple[Any, str]] = {
    "port": (8500, "TCP port of gRPC; 0 disables it"),
    "rest_api_port": (0, "port of the REST API; 0 disables it"),
    "rest_api_num_threads": (0, "threads for REST requests; 0: 4 for each CPU"),
    "rest_api_timeout_in_ms": (30000, "time a REST request may take in the model; 0 or less: any"),
    "rest_api_max_header_bytes": (64 << 10, "most bytes of a request line and its headers"),
    "rest_api_max_headers": (100, "most headers of a request"),
    "rest_api_max_body_bytes": (64 << 20, "largest request body, compressed or not"),
    "rest_api_max_held_body_bytes": (256 << 20, "most bytes of bodies in memory, of all requests"),
    "rest_api_max_connections": (16_384, "most connections"),
    "rest_api_max_requests": (1024, "most requests under way; more are answered 503"),
    "rest_api_header_timeout_seconds": (15.0, "time for a request's headers to come"),
    "rest_api_body_timeout_seconds": (60.0, "time for a request's body to come"),
    "rest_api_idle_timeout_seconds": (75.0, "time after which an idle connection is closed"),
    "rest_api_write_timeout_seconds": (60.0, "time a client may read nothing of an answer"),
    "rest_api_enable_cors_support": (False, "answer with CORS headers"),
    "model_name": ("default", "name of the model"),
    "model_base_path": ("", "directory of the model's numbered versions"),
    "file_system_poll_wait_seconds": (1, "seconds between looks for versions; 0: once; below 0: never"),
    "max_num_load_retries": (5, "retries after the first failed load"),
    "load_retry_interval_micros": (60_000_000, "time between retries; below 0: none"),
    "enable_model_warmup": (True, "replay the model's warm-up records before it is available"),
    "num_request_iterations_for_warmup": (0, "times each warm-up record is replayed, if above 0"),
    "enable_grpc_healthcheck_service": (False, "serve grpc.health.v1"),
    "grpc_channel_arguments": ("", "k=v,k=v options of the gRPC server"),
    "grpc_max_threads": (0, "inferences by gRPC that run at once; 0: 4 for each CPU"),
    "grpc_max_message_bytes": (64 << 20, "bytes of a gRPC message, also once inflated; grpc_channel_arguments wins"),
    "grpc_max_concurrent_calls": (1024, "gRPC calls under way in all; more are RESOURCE_EXHAUSTED"),
    "grpc_message_timeout_seconds": (60.0, "seconds in which a gRPC call's message must have arrived whole"),
    "grpc_message_budget_bytes": (512 << 20, "bytes of all gRPC messages that are received, or wait for their turn"),
    "reload_config_root": ("", "folder whose models HandleReloadConfigRequest may serve; empty: it is refused"),
    "grpc_socket_path": ("", "UNIX socket to listen on as well"),
    "saved_model_tags": ("serve", "tags of the MetaGraph to load, comma-separated"),
    "tensorflow_session_parallelism": (0, "threads inside and between operations; 0: as the two below"),
    "tensorflow_intra_op_parallelism": (0, "threads inside an operation; 0: one for each CPU"),
    "tensorflow_inter_op_parallelism": (0, "threads between operations; 0: one for each CPU"),
    "num_load_threads": (0, "threads that load versions after the start; 0: one after the other"),
    "num_unload_threads": (0, "threads that unload versions; 0: one after the other"),
    "model_config_file": ("", "text ModelServerConfig: several models, policies, labels"),
    "model_config_file_poll_wait_seconds": (0, "seconds between reads of that file; 0: once"),
    "allow_version_labels_for_unavailable_models": (False, "let a new label name a version that is not loaded yet"),
    "enable_batching": (False, "join requests into batches"),
    "batching_parameters_file": ("", "text BatchingParameters"),
    "enable_per_model_batching_parameters": (False, "batch only versions that hold batching_params.pbtxt"),
    "monitoring_config_file": ("", "text MonitoringConfig: the metrics page on the REST port"),
    "ssl_config_file": ("", "text SSLConfig: TLS on the gRPC port"),
    "tensorflow_session_config_file": ("", "text ConfigProto of the sessions"),
    "per_process_gpu_memory_fraction": (0.0, "share of a GPU's memory; 0: automatic"),
    "prefer_tflite_model": (False, "run model.tflite of a version that has one"),
    "num_tflite_pools": (0, "LiteRT interpreters for each such version; 0: one for each CPU"),
    "enable_signature_method_name_check": (False, "hold signatures to the method they are called by"),
    "enable_serialization_as_tensor_content": (False, "answer gRPC Predict with tensor_content, not typed fields"),
    "version": (False, "print the version and exit"),
}
# Those upstream does not have: limits it leaves to others, and what a reload may reach.
OURS = frozenset(
    {
        "rest_api_max_header_bytes",
        "rest_api_max_headers",
        "rest_api_max_body_bytes",
        "rest_api_max_held_body_bytes",
        "rest_api_max_connections",
        "rest_api_max_requests",
        "rest_api_header_timeout_seconds",
        "rest_api_body_timeout_seconds",
        "rest_api_idle_timeout_seconds",
        "rest_api_write_timeout_seconds",
        "grpc_max_message_bytes",
        "grpc_max_concurrent_calls",
        "grpc_message_timeout_seconds",
        "grpc_message_budget_bytes",
        "reload_config_root",
    }
)
# Accepted without effect, because the effect is one of upstream's implementation alone.
ACCEPTED: dict[str, Any] = {
    "use_alts_credentials": False,
    "flush_filesystem_caches": True,
    "enable_profiler": True,
    "remove_unused_fields_from_bundle_metagraph": True,
    "num_tflite_interpreters_per_pool": 1,
    "platform_config_file": "",
    "thread_pool_factory_config_file": "",
    "mixed_precision": "",
    "xla_cpu_compilation_enabled": False,
    "xla_gpu_compilation_enabled": False,
    "skip_initialize_tpu": False,
}
DEFAULTS: dict[str, Any] = {name: default for name, (default, _) in ACTING.items()} | ACCEPTED


class FlagError(Exception):
    """A known flag with a value that is not of its type."""


@dataclass(frozen=True)
class Flags:
    """The parsed command line: the value of every flag, and the arguments that are none."""

    values: dict[str, Any]
    unknown: tuple[str, ...] = field(default=())
    wants_help: bool = False

    def __getattr__(self, name: str) -> Any:
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None


def parse(arguments: list[str]) -> Flags:
    """Return the parsed arguments; raise FlagError that names a flag with a bad value."""
    values, unknown, wants_help = dict(DEFAULTS), [], False
    for argument in arguments:
        name, separator, text = argument.removeprefix("--").partition("=")
        if argument in {"--help", "-help", "-h"}:
            wants_help = True
        elif not argument.startswith("--") or name not in values:
            unknown.append(argument)
        elif separator:
            values[name] = _convert(name, text)
        elif isinstance(DEFAULTS[name], bool):
            values[name] = True
        else:
            unknown.append(argument)
    return Flags(values, tuple(unknown), wants_help)


def usage() -> str:
    """Return the text that names every flag."""
    lines = ["usage: tensorflow_model_server", "Flags:"]
    for name, (default, summary) in ACTING.items():
        lines.append(f"\t--{name}={_shown(default)}\t{type(default).__name__}\t{summary}")
    lines += [f"\t--{name}={_shown(default)}\taccepted, without effect here" for name, default in ACCEPTED.items()]
    return "\n".join(lines)


def _convert(name: str, text: str) -> Any:
    default = DEFAULTS[name]
    if isinstance(default, bool):
        lowered = text.lower()
        if lowered in {"true", "1"}:
            return True
        if lowered in {"false", "0"}:
            return False
        raise FlagError(f"--{name}: expected true or false, got {text!r}")
    if isinstance(default, str):
        return text
    try:
        return type(default)(text)
    except ValueError as error:
        raise FlagError(f"--{name}: expected a number, got {text!r}") from error


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)
