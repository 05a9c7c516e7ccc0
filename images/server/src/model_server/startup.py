"""From flags to what serves: configuration checked, files read, the way a version is loaded put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorflow.core.protobuf import config_pb2

from model_server import batching, config_messages, cpus, litert, model_config, warmup
from model_server.manager import Manager, Retries, Threads
from model_server.model_config import ModelConfig
from model_server.saved_model import SavedModel, SessionOptions
from serving_codec.status import invalid_argument

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from model_server.flags import Flags
    from model_server.saved_model import Runner

THREADS_PER_CPU = 4
MICROSECONDS = 1_000_000


def check(flags: Flags) -> None:
    """Raise INVALID_ARGUMENT, in upstream's words (model_servers/server.cc), for flags that contradict each other."""
    if not flags.port and not flags.grpc_socket_path:
        raise invalid_argument(
            "At least one of server_options.grpc_port or server_options.grpc_socket_path must be set."
        )
    if flags.use_alts_credentials and flags.ssl_config_file:
        raise invalid_argument("Cannot use both ALTS and SSL credentials: drop use_alts_credentials or ssl_config_file")
    if not flags.model_base_path and not flags.model_config_file:
        raise invalid_argument("Both server_options.model_base_path and server_options.model_config_file are empty!")
    if flags.batching_parameters_file and not flags.enable_batching:
        raise invalid_argument(
            "server_options.batching_parameters_file is set without setting server_options.enable_batching to true."
        )
    parallelism = ("session", "intra_op", "inter_op")
    if all(flags.values[f"tensorflow_{name}_parallelism"] > 0 for name in parallelism):
        raise invalid_argument(
            "Tensorflow session parallelism and intra/inter op parallelism are mutually exclusive. "
            "You cannot configure all."
        )


def models(flags: Flags) -> list[ModelConfig]:
    """Return the models to serve: of the config file, which wins, or of the flags; raise ServingError."""
    if not flags.model_config_file:
        return [ModelConfig(flags.model_name, flags.model_base_path)]
    message = config_messages.read(flags.model_config_file, config_messages.ModelServerConfig)
    return model_config.from_proto(message)


def manager(flags: Flags) -> Manager:
    """Return the manager of all models, with nothing loaded yet; raise ServingError for files that cannot be used."""
    return Manager(
        _load(flags),
        Retries(flags.max_num_load_retries, flags.load_retry_interval_micros / MICROSECONDS),
        Threads(THREADS_PER_CPU * cpus.usable(), flags.num_load_threads, flags.num_unload_threads),
        labels_may_lead=flags.allow_version_labels_for_unavailable_models,
    )


def rest_timeout_ms(flags: Flags) -> int | None:
    """Return the time a REST request may take in the model; None: any."""
    milliseconds: int = flags.rest_api_timeout_in_ms
    return milliseconds if milliseconds > 0 else None


def _load(flags: Flags) -> Callable[[Path], Runner]:
    """Return how a version directory becomes a warm model."""
    options = SessionOptions(_session_config(flags), tuple(flags.saved_model_tags.split(",")))
    batched = _batched(flags)
    interpreters = flags.num_tflite_pools or cpus.usable()

    def load(path: Path) -> Runner:
        model: Runner
        if flags.prefer_tflite_model and (path / litert.FILE).exists():
            model = litert.LiteModel(path, interpreters)
        else:
            model = SavedModel(path, options)
        try:
            model = batched(model)
            if flags.enable_model_warmup:
                warmup.replay(model, flags.num_request_iterations_for_warmup)
        except BaseException:
            model.close()
            raise
        return model

    return load


def _batched(flags: Flags) -> Callable[[Runner], Runner]:
    """Return how a model is made to batch, or left alone."""
    if not flags.enable_batching:
        return lambda model: model
    message = config_messages.BatchingParameters()
    if flags.batching_parameters_file:
        message = config_messages.read(flags.batching_parameters_file, config_messages.BatchingParameters)
    threads = message.num_batch_threads.value if message.HasField("num_batch_threads") else cpus.usable()
    if threads < 1:
        raise invalid_argument(f"num_batch_threads must be positive; was {threads}")
    if flags.enable_per_model_batching_parameters:
        pool = message.thread_pool_name.value or batching.Parameters.thread_pool_name
        scheduler = batching.Scheduler(threads, pool)
        return lambda model: _batched_by_its_file(model, scheduler, pool)
    parameters = batching.Parameters.from_proto(message)
    scheduler = batching.Scheduler(threads, parameters.thread_pool_name)
    return lambda model: batching.BatchedModel(model, parameters, scheduler)


def _batched_by_its_file(model: Runner, scheduler: batching.Scheduler, pool: str) -> Runner:
    path = model.path / batching.MODEL_FILE
    if not path.exists():
        return model
    message = config_messages.read(path, config_messages.BatchingParameters)
    return batching.BatchedModel(model, batching.Parameters.from_proto(message, pool), scheduler)


def _session_config(flags: Flags) -> Any:
    """Return the sessions' ConfigProto; thread counts and the GPU's share are the flags', whatever a file says."""
    config = config_pb2.ConfigProto(allow_soft_placement=True)
    # A server that takes a whole GPU at its start leaves nothing to the one that follows it.
    config.gpu_options.allow_growth = not flags.per_process_gpu_memory_fraction
    if flags.tensorflow_session_config_file:
        config = config_messages.read(flags.tensorflow_session_config_file, config_messages.SessionConfig)
    # TensorFlow counts the node's CPUs, whatever a container may use of them: more threads would only be held back.
    both = flags.tensorflow_session_parallelism
    config.intra_op_parallelism_threads = both or flags.tensorflow_intra_op_parallelism or cpus.usable()
    config.inter_op_parallelism_threads = both or flags.tensorflow_inter_op_parallelism or cpus.usable()
    config.gpu_options.per_process_gpu_memory_fraction = flags.per_process_gpu_memory_fraction
    return config
