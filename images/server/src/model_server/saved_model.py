"""A loaded SavedModel: signatures, and a session to run them.

The TF1 loader runs every SavedModel upstream runs, TF1 and TF2 exports alike; tf.saved_model.load does not.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.client import pywrap_tf_session  # the calls Session.run itself makes

from model_server import metrics
from model_server.status import Code, ServingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MICROSECONDS = 1_000_000


class Runner(Protocol):
    """One version of a model in memory: what the server needs of it, whatever runs it."""

    path: Path
    signatures: Mapping[str, Any]

    def run(
        self, feeds: Mapping[str, NDArray[Any]], fetches: Sequence[str], timeout_ms: int | None = None
    ) -> list[NDArray[Any]]:
        """Return the fetched tensors for fed ones, by tensor names; raise ServingError as the graph fails.

        `timeout_ms` bounds the run (DEADLINE_EXCEEDED); the interpreter's lock is released while it runs.
        """

    def close(self) -> None:
        """Release what it holds; memory is reused by the next one."""


@dataclass(frozen=True)
class SessionOptions:
    """TensorFlow's session configuration, the tags of the MetaGraph to load, and the time most runs are given.

    One compiled call is kept for that time; any other is told to the session run by run, which takes longer.
    """

    config: Any = field(default_factory=config_pb2.ConfigProto)
    tags: tuple[str, ...] = ("serve",)
    usual_timeout_ms: int | None = None


class SavedModel:
    """One version of a model in a TensorFlow session."""

    def __init__(self, path: Path, options: SessionOptions) -> None:
        # For the life of the version.
        self.path = path
        self._graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=self._graph, config=options.config)
        self._usual_timeout_ms = options.usual_timeout_ms
        start = time.monotonic()
        try:
            meta_graph = _load(self._session, path, options.tags)
        except BaseException:
            self._session.close()
            metrics.LOAD_ATTEMPT_COUNT.add(str(path), "fail")
            raise
        metrics.LOAD_ATTEMPT_COUNT.add(str(path), "success")
        metrics.LOAD_LATENCY.add(str(path), by=int((time.monotonic() - start) * MICROSECONDS))
        self.signatures: Mapping[str, Any] = dict(meta_graph.signature_def)
        # As requests come: one compiled call for each set of feeds and fetches.
        self._calls: dict[Any, Callable[..., Any]] = {}
        self._compiling = threading.Lock()

    def run(
        self, feeds: Mapping[str, NDArray[Any]], fetches: Sequence[str], timeout_ms: int | None = None
    ) -> list[NDArray[Any]]:
        """Run the graph; see Runner."""
        start = time.perf_counter_ns()
        try:
            if timeout_ms is None or timeout_ms == self._usual_timeout_ms:
                return list(self._call(tuple(feeds), tuple(fetches), timeout_ms)(*feeds.values()))
            return self._run_within(feeds, fetches, timeout_ms)
        except tf.errors.OpError as error:
            raise ServingError(Code(error.error_code), error.message) from error
        except (TypeError, ValueError, KeyError) as error:
            raise ServingError(Code.INVALID_ARGUMENT, str(error)) from error
        finally:
            metrics.GRAPH_RUNS.add()
            metrics.SESSION_RUNS.add()
            metrics.GRAPH_RUN_TIME.add(by=(time.perf_counter_ns() - start) // 1000)

    def close(self) -> None:
        """Release the session; memory is reused by the next one."""
        self._calls.clear()
        self._session.close()

    def _call(self, feeds: tuple[str, ...], fetches: tuple[str, ...], timeout_ms: int | None) -> Callable[..., Any]:
        key = (feeds, fetches, timeout_ms)
        call = self._calls.get(key)
        if call is None:
            with self._compiling:
                options = config_pb2.CallableOptions(feed=feeds, fetch=fetches)
                options.run_options.timeout_in_ms = timeout_ms or 0
                call = self._session._make_callable_from_options(options)  # noqa: SLF001 - see the module's words
                self._calls[key] = call
        return call

    def _run_within(
        self, feeds: Mapping[str, NDArray[Any]], fetches: Sequence[str], timeout_ms: int
    ) -> list[NDArray[Any]]:
        options = config_pb2.RunOptions(timeout_in_ms=max(1, timeout_ms))
        buffer = pywrap_tf_session.TF_NewBufferFromString(options.SerializeToString())
        try:
            return list(
                pywrap_tf_session.TF_SessionRun_wrapper(
                    self._session._session,  # noqa: SLF001
                    buffer,
                    {self._output(name): value for name, value in feeds.items()},
                    [self._output(name) for name in fetches],
                    [],
                    None,
                )
            )
        finally:
            pywrap_tf_session.TF_DeleteBuffer(buffer)

    def _output(self, name: str) -> Any:
        return self._graph.get_tensor_by_name(name)._as_tf_output()  # noqa: SLF001


def _load(session: tf.compat.v1.Session, path: Path, tags: tuple[str, ...]) -> Any:
    _check(path)
    try:
        with session.graph.as_default():
            return tf.compat.v1.saved_model.loader.load(session, list(tags), str(path))
    except RuntimeError as error:
        if "MetaGraphDef" in str(error) or "tags" in str(error):
            raise ServingError(
                Code.NOT_FOUND,
                f"Could not find meta graph def matching supplied tags: {{ {' '.join(tags)} }}. To inspect available "
                "tag-sets in the SavedModel, please use the SavedModel CLI: `saved_model_cli`",
            ) from error
        raise ServingError(Code.UNKNOWN, str(error)) from error
    except tf.errors.OpError as error:
        raise ServingError(Code(error.error_code), error.message) from error
    except (OSError, ValueError, KeyError) as error:
        raise ServingError(Code.DATA_LOSS, f"Can't parse {path}: {error}") from error


def _check(path: Path) -> None:
    if any((path / name).exists() for name in ("saved_model.pb", "saved_model.pbtxt")):
        return
    if (path / "export.meta").exists():
        raise ServingError(Code.UNIMPLEMENTED, "Session Bundle is deprecated and removed.")
    raise ServingError(
        Code.NOT_FOUND,
        "Specified file path does not appear to contain a SavedModel bundle (should have a file called "
        f"`saved_model.pb`)\nSpecified file path: {path}",
    )
