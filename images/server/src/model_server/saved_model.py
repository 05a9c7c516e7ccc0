"""A loaded SavedModel: signatures, and a session to run them.

The TF1 loader runs every SavedModel upstream runs, TF1 and TF2 exports alike; tf.saved_model.load does not.
"""

from __future__ import annotations

import math
import re
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.client import pywrap_tf_session  # the calls Session.run itself makes

from model_server import metrics
from serving_codec.status import Code, ServingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MICROSECONDS = 1_000_000
QUICK_SECONDS = 0.005
# As JSON, so many numbers take about as long.
QUICK_ELEMENTS = 4096
BYTES_FOR_A_NUMBER = 8
# An output by itself takes as long as so many numbers: its name and shape are written too.
ELEMENTS_FOR_AN_OUTPUT = 8
MAXIMUM_CALLABLES = 32
# Clients choose among the outputs: of so many choices it is known how long they take.
MAXIMUM_CHOICES = 1024
# What TensorFlow makes of a graph for its first run it makes for a callable once more, and meanwhile nobody else's run
# of the model goes on: where that takes longer, there is no callable.
CALLABLE_SECONDS = 0.5
# A run that was held for quick and was not, as of a heavy signature beside a light one, may have been on an event loop:
# so many must be quick before the next is believed to be.
RUNS_OF_DISTRUST = 100
# Where it was quick and answered much, it depends on values, and not on luck: the next time it is ten times as many.
DISTRUST_GROWTH = 10
# One number alone is one of numpy's, which is as good as an array.
ARRAYS = (np.ndarray, np.generic)
# A deadline nearer than this is always the session's to watch.
NEAR_DEADLINE_MS = 50
IN_CALLERS_THREAD = config_pb2.RunOptions(inter_op_thread_pool=-1).SerializeToString()
# Operations whose time does not follow from the size of what they are fed: loops, and waiting for somebody else.
UNBOUNDED = re.compile(
    r"(Stateless)?While|For|(Ref)?Enter|\w*Dequeue\w*|\w*IteratorGetNext\w*|Batch|BatchFunction|Unbatch|\w*PyFunc\w*"
)


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

    def is_quick(self, feeds: Mapping[str, NDArray[Any]], fetches: Sequence[str]) -> bool:
        """Tell whether a run on these, and writing its outputs, is known to take milliseconds, waiting for nobody."""

    def answers_much(self, feeds: Mapping[str, NDArray[Any]], fetches: Sequence[str]) -> bool:
        """Tell whether a run on as much is known to answer more than an event loop has time to write."""

    def close(self) -> None:
        """Release what it holds; memory is reused by the next one."""


@dataclass(frozen=True)
class SessionOptions:
    """TensorFlow's session configuration, and the tags of the MetaGraph to load."""

    config: Any = field(default_factory=config_pb2.ConfigProto)
    tags: tuple[str, ...] = ("serve",)


@dataclass(slots=True)
class Experience:
    """What is known of the runs that fetch the same; threads may overwrite each other, which the next run mends."""

    # The most bytes that were fed to a run that was quick.
    quick_bytes: int = -1
    runs_of_distrust: int = 0
    next_distrust: int = RUNS_OF_DISTRUST
    # The fewest bytes that were fed to one that answered much: the next of as many belongs among the large ones, where
    # no small one waits for it.
    much_bytes: float = math.inf
    # Whether there was one, and one in its caller's thread: the first ones take as long as the graph is large.
    has_run: bool = False
    is_tried: bool = False
    may_have_callable: bool = True

    def learn(self, size: int, nanoseconds: int, elements: int) -> None:
        """Remember how long a run on `size` bytes took, and how much it answered."""
        if nanoseconds > QUICK_SECONDS * 1e9 or elements > QUICK_ELEMENTS:
            if size <= self.quick_bytes:
                self._distrust(answers_much=elements > QUICK_ELEMENTS)
            self.quick_bytes = min(self.quick_bytes, size - 1)
        elif size > self.quick_bytes:
            if self.runs_of_distrust:
                self.runs_of_distrust -= 1
            else:
                self.quick_bytes = size

    def learn_much(self, size: int, elements: int) -> None:
        """Remember how much a run on `size` bytes answered."""
        if elements > QUICK_ELEMENTS:
            self.much_bytes = min(self.much_bytes, size)
        elif size >= self.much_bytes:
            self.much_bytes = size + 1

    def _distrust(self, *, answers_much: bool) -> None:
        self.runs_of_distrust = self.next_distrust
        if answers_much:
            self.next_distrust *= DISTRUST_GROWTH


class SavedModel:
    """One version of a model in a TensorFlow session.

    A run that is known to be quick stays in its caller's thread: to hand a small graph to the session's threads takes
    longer than to run it. Any other runs on those threads, where its deadline ends it. The first runs of a choice of
    outputs, for which TensorFlow optimizes the graph, are never known to be quick, nor is any run beside them.
    """

    def __init__(self, path: Path, options: SessionOptions) -> None:
        # For the life of the version.
        self.path = path
        self._graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=self._graph, config=options.config)
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
        self._is_bounded = not any(map(UNBOUNDED.fullmatch, _operations(meta_graph.graph_def)))
        # As requests come: what is known by the hash of what is fetched, and how many first runs are under way.
        self._known: dict[int, Experience] = {}
        self._first_runs = 0
        self._counting = threading.Lock()
        self._tensors: dict[str, Any] = {}
        self._callables: dict[tuple[tuple[str, ...], tuple[str, ...]], int] = {}

    def run(
        self, feeds: Mapping[str, NDArray[Any]], fetches: Sequence[str], timeout_ms: int | None = None
    ) -> list[NDArray[Any]]:
        """Run the graph; see Runner."""
        size = _bytes(feeds)
        known = self._known_of(fetches)
        is_here = size <= known.quick_bytes and (timeout_ms is None or timeout_ms >= NEAR_DEADLINE_MS)
        is_first = not (known.is_tried if is_here else known.has_run)
        start = time.perf_counter_ns()
        try:
            if is_first:
                self._count_first(1)
            if is_here:
                values = self._run_here(feeds, fetches, known)
            else:
                values = self._run(feeds, fetches, _within(timeout_ms))
        except tf.errors.OpError as error:
            raise ServingError(Code(error.error_code), error.message) from error
        except (TypeError, ValueError, KeyError) as error:
            raise ServingError(Code.INVALID_ARGUMENT, str(error)) from error
        else:
            # One text alone is bytes, as the session returns it: numpy would take the NULs at its end for padding.
            values = [value if isinstance(value, ARRAYS) else np.array(value, object) for value in values]
            self._learn(known, size, time.perf_counter_ns() - start, elements_of(values), is_here=is_here)
            return values
        finally:
            if is_first:
                self._count_first(-1)
            metrics.GRAPH_RUNS.add()
            metrics.SESSION_RUNS.add()
            metrics.GRAPH_RUN_TIME.add(by=(time.perf_counter_ns() - start) // 1000)

    def is_quick(self, feeds: Mapping[str, NDArray[Any]], fetches: Sequence[str]) -> bool:
        """Tell whether a run for the same on as much was quick before; see Runner."""
        known = self._known.get(hash(tuple(fetches)))
        return known is not None and known.is_tried and not self._first_runs and _bytes(feeds) <= known.quick_bytes

    def answers_much(self, feeds: Mapping[str, NDArray[Any]], fetches: Sequence[str]) -> bool:
        """Tell what is known of runs for the same; see Runner."""
        known = self._known.get(hash(tuple(fetches)))
        return known is not None and _bytes(feeds) >= known.much_bytes

    def close(self) -> None:
        """Release the session; memory is reused by the next one."""
        self._tensors.clear()
        self._callables.clear()
        self._session.close()

    def _known_of(self, fetches: Sequence[str]) -> Experience:
        key = hash(tuple(fetches))
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= MAXIMUM_CHOICES:
                self._known.clear()
            known = self._known[key] = Experience()
        return known

    def _count_first(self, number: int) -> None:
        with self._counting:
            self._first_runs += number

    def _run_here(
        self, feeds: Mapping[str, NDArray[Any]], fetches: Sequence[str], known: Experience
    ) -> list[NDArray[Any]]:
        """Run the graph in the caller's thread: 62 us for a small one, by a callable, where _run takes 71."""
        key = (tuple(feeds), tuple(fetches))
        made = self._callables.get(key)
        if made is None:
            # Clients choose among the outputs: a callable for each choice is nothing to keep.
            if not known.may_have_callable or len(self._callables) >= MAXIMUM_CALLABLES:
                return self._run(feeds, fetches, IN_CALLERS_THREAD)
            made = self._callables[key] = self._callable(*key)
        values: list[NDArray[Any]] = pywrap_tf_session.TF_SessionRunCallable(
            self._session._session,  # noqa: SLF001 - see the import's words
            made,
            list(feeds.values()),
            None,
        )
        return values

    def _callable(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> int:
        options = config_pb2.CallableOptions(feed=feeds, fetch=fetches)
        options.run_options.inter_op_thread_pool = -1
        buffer = pywrap_tf_session.TF_NewBufferFromString(options.SerializeToString())
        try:
            made: int = pywrap_tf_session.TF_SessionMakeCallable(self._session._session, buffer)  # noqa: SLF001
            return made
        finally:
            pywrap_tf_session.TF_DeleteBuffer(buffer)

    def _run(self, feeds: Mapping[str, NDArray[Any]], fetches: Sequence[str], options: bytes) -> list[NDArray[Any]]:
        buffer = pywrap_tf_session.TF_NewBufferFromString(options)
        try:
            return list(
                pywrap_tf_session.TF_SessionRun_wrapper(
                    self._session._session,  # noqa: SLF001 - see the import's words
                    buffer,
                    {self._tensor(name): value for name, value in feeds.items()},
                    [self._tensor(name) for name in fetches],
                    [],
                    None,
                )
            )
        finally:
            pywrap_tf_session.TF_DeleteBuffer(buffer)

    def _tensor(self, name: str) -> Any:
        tensor = self._tensors.get(name)
        if tensor is None:
            tensor = self._graph.get_tensor_by_name(name)._as_tf_output()  # noqa: SLF001
            self._tensors[name] = tensor
        return tensor

    def _learn(self, known: Experience, size: int, nanoseconds: int, elements: int, *, is_here: bool) -> None:
        """Remember what a run took, and answered, unless it was the first of its kind or its graph may do anything."""
        known.learn_much(size, elements)
        if not known.has_run:
            known.has_run, known.may_have_callable = True, nanoseconds < CALLABLE_SECONDS * 1e9
        if is_here and not known.is_tried:
            known.is_tried = True
        elif self._is_bounded:
            known.learn(size, nanoseconds, elements)


def _within(timeout_ms: int | None) -> bytes:
    options: bytes = config_pb2.RunOptions(
        timeout_in_ms=0 if timeout_ms is None else max(1, timeout_ms)
    ).SerializeToString()
    return options


def elements_of(values: Sequence[Any]) -> int:
    """Return how many numbers there are to be written; names, lists and texts as so many as take as long."""
    return sum([_elements_of(value) for value in values]) + ELEMENTS_FOR_AN_OUTPUT * (len(values) - 1)


def _elements_of(value: NDArray[Any]) -> int:
    # Lists of nothing are written too.
    size: int = value.size or math.prod(value.shape[: value.shape.index(0)])
    if value.dtype != object or size > QUICK_ELEMENTS:
        return size
    return size + sum(map(len, value.ravel().tolist())) // BYTES_FOR_A_NUMBER


def _bytes(feeds: Mapping[str, NDArray[Any]]) -> int:
    return sum([value.nbytes for value in feeds.values()])


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


def _operations(graph: Any) -> set[str]:
    """Return the kinds of operations in a GraphDef and its functions."""
    functions = (function.node_def for function in graph.library.function)
    return {node.op for nodes in (graph.node, *functions) for node in nodes}


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
