"""`tensorflow_model_server`: load, listen, serve, drain, stop."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

from model_server import flags as command_line
from model_server.flags import FlagError, Flags

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from model_server.manager import Manager
    from model_server.predict import Options
    from model_server.rest_listener import RestListener

LOG = logging.getLogger("model_server")
USAGE_ERROR = 255
# Requests under way get this long after SIGTERM; a pod's grace period should be longer.
DRAIN_SECONDS = 25.0
UPSTREAM_VERSION = "2.20.0"
SWITCH_SECONDS = 0.001
STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})


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
    # How long the event loops wait for a thread that computes in Python: a fifth of what is usual.
    sys.setswitchinterval(SWITCH_SECONDS)
    # Before any other thread is there, so that every one of them blocks them too (see _when_told_to_stop).
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    # TensorFlow takes seconds to import: after everything that can be refused without it.
    from serving_http import memory  # noqa: PLC0415

    memory.begin_imports()
    from model_server import op_libraries, startup  # noqa: PLC0415
    from model_server.grpc_listener import GrpcListener  # noqa: PLC0415
    from model_server.predict import Options  # noqa: PLC0415
    from model_server.rest_listener import metrics_path  # noqa: PLC0415
    from serving_codec.status import ServingError  # noqa: PLC0415

    stopped = threading.Event()
    options = Options(flags.enable_signature_method_name_check, flags.enable_serialization_as_tensor_content)
    try:
        startup.check(flags)
        op_libraries.load(os.environ.get(op_libraries.VARIABLE, ""))
        if flags.use_alts_credentials:
            LOG.warning("use_alts_credentials has no effect here: connections are plain (see ssl_config_file)")
        page = metrics_path(flags.monitoring_config_file)
        manager = startup.manager(flags)
        _when_told_to_stop(stopped.set, manager.stop)
        memory.keep_what_is_imported()
        manager.start(startup.models(flags), flags.file_system_poll_wait_seconds)
        if stopped.is_set():
            return 0
        grpc_listener = GrpcListener(flags, manager, options)
    except ServingError as error:
        print(f"Failed to start server. Error: {error}", file=sys.stderr, flush=True)
        return USAGE_ERROR
    rest_listener = _listen_rest(flags, manager, options, page)
    _follow_config(flags, manager, stopped)
    stopped.wait()
    LOG.info("stopping: requests under way have %.0f s", DRAIN_SECONDS)
    if rest_listener is not None:
        rest_listener.begin_stop(DRAIN_SECONDS)
    grpc_listener.stop(DRAIN_SECONDS)
    if rest_listener is not None:
        rest_listener.join(DRAIN_SECONDS)
    return 0


def _when_told_to_stop(*actions: Callable[[], None]) -> None:
    """Act once on the first signal to stop.

    A handler would not do: it runs in the main thread alone, and nothing wakes that one when the kernel gives the
    signal to another thread, as it does to one that is busy. So all of them block it, and one waits for it.
    """

    def wait() -> None:
        signal.sigwait(STOP_SIGNALS)
        for act in actions:
            act()

    threading.Thread(target=wait, name="signals", daemon=True).start()


def _listen_rest(flags: Flags, manager: Manager, options: Options, page: str | None) -> RestListener | None:
    """Serve REST if asked to; a port that is taken is told and left, as upstream does."""
    from model_server.rest_listener import RestListener  # noqa: PLC0415

    if not flags.rest_api_port:
        return None
    if flags.rest_api_port == flags.port:
        LOG.error("rest_api_port cannot be same as grpc port. Disabling HTTP/REST API.")
        return None
    try:
        return RestListener(flags, manager, options, page)
    except OSError as error:
        LOG.error("Failed to start HTTP Server at localhost:%d: %s", flags.rest_api_port, error.strerror)
        return None


def _follow_config(flags: Flags, manager: Manager, stopped: threading.Event) -> None:
    """Read the model config file again at its period, changed or not; an error leaves what runs as it is."""
    from model_server import startup  # noqa: PLC0415
    from serving_codec.status import ServingError  # noqa: PLC0415

    seconds = flags.model_config_file_poll_wait_seconds
    if not flags.model_config_file or seconds <= 0:
        return

    def read() -> None:
        try:
            configs = startup.models(flags)
        except ServingError as error:
            LOG.error("Failed to read ModelServerConfig file: %s", error)
            return
        try:
            # What takes longer is told by the load itself; the file may say something else by then.
            manager.reload(configs, within_seconds=seconds)
        except ServingError as error:
            LOG.error("PollFilesystemAndReloadConfig failed to ReloadConfig: %s", error)

    def follow() -> None:
        while not stopped.wait(seconds):
            try:
                read()
            except Exception:
                # Whatever it was, for want of a thread perhaps: the file is read again at the next turn.
                LOG.exception("following the model config file failed")

    threading.Thread(target=follow, name="model-config", daemon=True).start()


def _print_version() -> int:
    import tensorflow as tf  # noqa: PLC0415

    print(f"TensorFlow ModelServer: {UPSTREAM_VERSION}")
    print(f"TensorFlow Library: {tf.__version__}")
    return 0


def _quieten_tensorflow() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def run() -> NoReturn:
    """Run the command and exit, without waiting for the threads of runs that have outlasted the drain."""
    code = main(sys.argv[1:])
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
