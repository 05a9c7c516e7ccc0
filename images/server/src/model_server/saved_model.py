"""A loaded SavedModel: signatures, and a session to run them.

The TF1 loader runs every SavedModel upstream runs, TF1 and TF2 exports alike; tf.saved_model.load does not.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.client import pywrap_tf_session  # the calls Session.run itself makes

from model_server.status import Code, ServingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True)
class SessionOptions:
    """Threads of a session (0: automatic) and the tags of the MetaGraph to load."""

    intra_op_threads: int = 0
    inter_op_threads: int = 0
    tags: tuple[str, ...] = ("serve",)


class SavedModel:
    """One version of a model in memory."""

    def __init__(self, path: Path, options: SessionOptions) -> None:
        # For the life of the version.
        self.path = path
        self._graph = tf.Graph()
        self._session = tf.compat.v1.Session(
            graph=self._graph,
            config=config_pb2.ConfigProto(
                intra_op_parallelism_threads=options.intra_op_threads,
                inter_op_parallelism_threads=options.inter_op_threads,
                allow_soft_placement=True,
            ),
        )
        meta_graph = _load(self._session, path, options.tags)
        self.signatures = dict(meta_graph.signature_def)
        # As requests come: one compiled call for each set of feeds and fetches.
        self._calls: dict[tuple[tuple[str, ...], tuple[str, ...]], Callable[..., Any]] = {}
        self._compiling = threading.Lock()

    def run(
        self, feeds: dict[str, NDArray[Any]], fetches: Sequence[str], timeout_ms: int | None = None
    ) -> list[NDArray[Any]]:
        """Return the fetched tensors for fed ones, by tensor names; raise ServingError as the graph fails.

        `timeout_ms` bounds the run (DEADLINE_EXCEEDED); the interpreter's lock is released while it runs.
        """
        try:
            if timeout_ms is None:
                return list(self._call(tuple(feeds), tuple(fetches))(*feeds.values()))
            return self._run_within(feeds, fetches, timeout_ms)
        except tf.errors.OpError as error:
            raise ServingError(Code(error.error_code), error.message) from error
        except (TypeError, ValueError) as error:
            raise ServingError(Code.INVALID_ARGUMENT, str(error)) from error

    def close(self) -> None:
        """Release the session; memory is reused by the next one."""
        self._calls.clear()
        self._session.close()

    def _call(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> Callable[..., Any]:
        call = self._calls.get((feeds, fetches))
        if call is None:
            with self._compiling:
                options = config_pb2.CallableOptions(feed=feeds, fetch=fetches)
                call = self._session._make_callable_from_options(options)  # noqa: SLF001 - see the module's words
                self._calls[feeds, fetches] = call
        return call

    def _run_within(
        self, feeds: dict[str, NDArray[Any]], fetches: Sequence[str], timeout_ms: int
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
    if not any((path / name).exists() for name in ("saved_model.pb", "saved_model.pbtxt")):
        raise ServingError(
            Code.NOT_FOUND,
            "Specified file path does not appear to contain a SavedModel bundle "
            f"(should have a file called `saved_model.pb`)\nSpecified file path: {path}",
        )
    try:
        with session.graph.as_default():
            return tf.compat.v1.saved_model.loader.load(session, list(tags), str(path))
    except RuntimeError as error:
        if "MetaGraphDef" in str(error) or "tags" in str(error):
            raise ServingError(
                Code.NOT_FOUND,
                f"Could not find meta graph def matching supplied tags: {{ {' '.join(tags)} }}",
            ) from error
        raise ServingError(Code.UNKNOWN, str(error)) from error
    except tf.errors.OpError as error:
        raise ServingError(Code(error.error_code), error.message) from error
    except (OSError, ValueError, KeyError) as error:
        raise ServingError(Code.DATA_LOSS, f"Can't parse {path}: {error}") from error
