"""Batching: requests that want the same of a model share one run of its graph.

As upstream's (batching/batching_session.cc with TensorFlow's SharedBatchScheduler): one queue for each set of input and
output tensors of a model version, one pool of threads for all queues, served in turn.
"""

from __future__ import annotations

import collections
import math
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from model_server import metrics
from serving_codec.status import Code, ServingError, invalid_argument
from serving_codec.tensors import FILLED_BYTES, FILLED_FACTOR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from model_server.saved_model import Runner

MODEL_FILE = "batching_params.pbtxt"
MICROSECONDS = 1_000_000
# What the copies that fill a batch up may take: 256 rows of an image of 600 KB and more, as batches are configured.
ADDED_ROWS_BYTES = 256 << 20
# A queue for each choice of outputs; clients make the choice, so those that are idle go when there are more.
MAXIMUM_QUEUES = 64

Outputs = list["NDArray[Any]"]


@dataclass(frozen=True)
class Parameters:
    """BatchingParameters with upstream's defaults (session_bundle_config.proto, shared_batch_scheduler.h).

    `timeout_seconds` is how long the oldest task of a batch waits for company; sizes count rows.
    """

    max_batch_size: int = 1000
    timeout_seconds: float = 0.0
    max_enqueued_batches: int = 10
    allowed_batch_sizes: tuple[int, ...] = ()
    pads_variable_length: bool = False
    splits: bool = False
    max_execution_batch_size: int = 1000
    thread_pool_name: str = "batch_threads"

    @classmethod
    def from_proto(cls, message: Any, thread_pool_name: str = "") -> Parameters:
        """Return the parameters of a file; raise INVALID_ARGUMENT for ones that contradict each other."""

        def given(name: str, default: Any) -> Any:
            return getattr(message, name).value if message.HasField(name) else default

        largest = given("max_batch_size", cls.max_batch_size)
        splits = given("enable_large_batch_splitting", default=False)
        parameters = cls(
            max_batch_size=largest,
            timeout_seconds=given("batch_timeout_micros", 0) / MICROSECONDS,
            max_enqueued_batches=given("max_enqueued_batches", cls.max_enqueued_batches),
            allowed_batch_sizes=tuple(message.allowed_batch_sizes),
            pads_variable_length=message.pad_variable_length_inputs,
            splits=splits,
            max_execution_batch_size=given("max_execution_batch_size", largest) if splits else largest,
            thread_pool_name=thread_pool_name or given("thread_pool_name", cls.thread_pool_name),
        )
        parameters._check()
        return parameters

    def _check(self) -> None:
        for name in ("max_batch_size", "max_enqueued_batches", "max_execution_batch_size"):
            if getattr(self, name) < 1:
                raise invalid_argument(f"{name} must be positive; was {getattr(self, name)}")
        if self.max_execution_batch_size > self.max_batch_size:
            raise invalid_argument(
                f"max_execution_batch_size must not exceed max_batch_size; was {self.max_execution_batch_size}; "
                f"expected at most {self.max_batch_size}"
            )
        sizes = self.allowed_batch_sizes
        if list(sizes) != sorted(set(sizes)) or any(size < 1 for size in sizes):
            raise invalid_argument("allowed_batch_sizes entries must be positive and monotonically increasing")
        if sizes and sizes[-1] != self.max_execution_batch_size:
            bound = "max_execution_batch_size" if self.splits else "max_batch_size"
            raise invalid_argument(
                f"Last entry in allowed_batch_sizes must match {bound}; last entry was {sizes[-1]}; expected "
                f"{self.max_execution_batch_size}"
            )

    def rounded(self, size: int) -> int:
        """Return the allowed batch size that holds `size` rows."""
        return next((allowed for allowed in self.allowed_batch_sizes if allowed >= size), size)


@dataclass
class Task:
    """One caller's rows: tensors (row, ...) in the order of the queue's feeds, a deadline, and the answer to come."""

    inputs: list[NDArray[Any]]
    deadline: float
    started: float = field(default_factory=time.monotonic)
    answer: Future[Outputs] = field(default_factory=Future)

    @property
    def size(self) -> int:
        """Return the number of rows."""
        return len(self.inputs[0])


@dataclass
class Batch:
    """Tasks that run together."""

    tasks: list[Task] = field(default_factory=list)
    size: int = 0

    def add(self, task: Task) -> None:
        """Let one more task in."""
        self.tasks.append(task)
        self.size += task.size


class Queue:
    """The batches that wait for one set of feeds and fetches of one model; the last one is open."""

    def __init__(self, model: Runner, feeds: tuple[str, ...], fetches: tuple[str, ...], parameters: Parameters) -> None:
        # For the life of the model.
        self._model = model
        self._feeds = feeds
        self._fetches = fetches
        self.parameters = parameters
        # As tasks come, guarded by the scheduler's condition.
        self.batches: collections.deque[Batch] = collections.deque()

    def add(self, task: Task) -> None:
        """Put a task into the open batch, or a new one; raise UNAVAILABLE when there are too many."""
        largest = self.parameters.max_execution_batch_size
        if not self.batches or self.batches[-1].size + task.size > largest:
            if len(self.batches) >= self.parameters.max_enqueued_batches:
                raise ServingError(
                    Code.UNAVAILABLE,
                    "The batch scheduling queue to which this task was submitted is full; currently "
                    f"{len(self.batches)} batches enqueued and max_enqueued_batches is "
                    f"{self.parameters.max_enqueued_batches}",
                )
            self.batches.append(Batch())
        self.batches[-1].add(task)

    def ready_at(self) -> float:
        """Return the monotonic time from which the first batch may run: 0 when it is full, infinity without one."""
        if not self.batches:
            return math.inf
        first = self.batches[0]
        if len(self.batches) > 1 or first.size >= self.parameters.max_execution_batch_size:
            return 0.0
        return first.tasks[0].started + self.parameters.timeout_seconds

    def run(self, batch: Batch) -> None:
        """Run a batch and give each task its rows, or its error."""
        now = time.monotonic()
        tasks = []
        for task in batch.tasks:
            waited = (now - task.started) * MICROSECONDS
            metrics.BATCH_QUEUING_LATENCY.observe(waited, self.parameters.thread_pool_name)
            if now < task.deadline:
                tasks.append(task)
            else:
                task.answer.set_exception(
                    ServingError(Code.RESOURCE_EXHAUSTED, "Run() timeout exceeded while waiting in batching queue")
                )
        for group in grouped(tasks) if self.parameters.pads_variable_length else filter(None, [tasks]):
            self._run_group(group, now)

    def _run_group(self, tasks: list[Task], now: float) -> None:
        try:
            answers = self._answers(tasks, now)
        except BaseException as error:  # noqa: BLE001 - it is the callers' to handle
            for task in tasks:
                task.answer.set_exception(error)
        else:
            for task, answer in zip(tasks, answers, strict=True):
                task.answer.set_result(answer)

    def _answers(self, tasks: list[Task], now: float) -> list[Outputs]:
        sizes = [task.size for task in tasks]
        size = sum(sizes)
        padded = self.parameters.rounded(size)
        metrics.BATCH_RUN_COUNT.add()
        metrics.BATCH_INPUT_SIZE.observe(size)
        metrics.BATCH_PROCESSED_SIZE.observe(padded)
        metrics.BATCH_PADDING_SIZE.observe(padded - size, str(padded))
        inputs = {
            feed: joined(feed, [task.inputs[i] for task in tasks], padded, self.parameters)
            for i, feed in enumerate(self._feeds)
        }
        latest = max(task.deadline for task in tasks)
        timeout_ms = None if math.isinf(latest) else max(1, int((latest - now) * 1000))
        outputs = self._model.run(inputs, self._fetches, timeout_ms)
        return split(outputs, sizes, padded)


class Scheduler:
    """The threads that run batches, the longest waiting queue first."""

    def __init__(self, threads: int, name: str) -> None:
        self._changed = threading.Condition()
        self._queues: collections.deque[Queue] = collections.deque()
        for number in range(threads):
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    def submit(self, queue: Queue, tasks: Sequence[Task]) -> None:
        """Enqueue tasks; raise UNAVAILABLE, and enqueue none of the rest, when the queue is full."""
        with self._changed:
            if queue not in self._queues:
                self._queues.append(queue)
            try:
                for task in tasks:
                    queue.add(task)
            finally:
                self._changed.notify_all()

    def forget(self, queue: Queue) -> None:
        """Let go of the queue of a model that is unloaded."""
        with self._changed:
            if queue in self._queues:
                self._queues.remove(queue)

    def _work(self) -> None:
        while True:
            queue, batch = self._next()
            queue.run(batch)

    def _next(self) -> tuple[Queue, Batch]:
        with self._changed:
            while True:
                soonest = math.inf
                now = time.monotonic()
                for _ in range(len(self._queues)):
                    queue = self._queues[0]
                    self._queues.rotate(-1)
                    ready_at = queue.ready_at()
                    if ready_at <= now:
                        return queue, queue.batches.popleft()
                    soonest = min(soonest, ready_at)
                self._changed.wait(None if math.isinf(soonest) else soonest - now)


class BatchedModel:
    """A model whose runs are batched; see saved_model.Runner."""

    def __init__(self, model: Runner, parameters: Parameters, scheduler: Scheduler) -> None:
        # For the life of the version.
        self.path: Path = model.path
        self.signatures: Mapping[str, Any] = model.signatures
        self._model = model
        self._parameters = parameters
        self._scheduler = scheduler
        # As requests come.
        self._adding = threading.Lock()
        self._queues: dict[tuple[frozenset[str], frozenset[str]], tuple[Queue, tuple[str, ...], tuple[str, ...]]] = {}

    def run(
        self, feeds: Mapping[str, NDArray[Any]], fetches: Sequence[str], timeout_ms: int | None = None
    ) -> list[NDArray[Any]]:
        """Run the graph in company; raise what the whole batch failed with."""
        rows = self._checked(feeds)
        queue, feed_names, fetch_names = self._queue(tuple(feeds), tuple(fetches))
        deadline = math.inf if timeout_ms is None else time.monotonic() + timeout_ms / 1000
        tasks = [
            Task([feeds[name][start:end] for name in feed_names], deadline)
            for start, end in _pieces(rows, self._parameters.max_execution_batch_size)
        ]
        self._scheduler.submit(queue, tasks)
        answers = [task.answer.result() for task in tasks]
        whole = answers[0] if len(answers) == 1 else [np.concatenate(parts) for parts in zip(*answers, strict=True)]
        found = dict(zip(fetch_names, whole, strict=True))
        return [found[name] for name in fetches]

    def is_quick(self, _feeds: Mapping[str, NDArray[Any]], _fetches: Sequence[str]) -> bool:
        """Return False: a batch waits for others."""
        return False

    def answers_much(self, feeds: Mapping[str, NDArray[Any]], fetches: Sequence[str]) -> bool:
        """Tell what is known of the batches before."""
        return self._model.answers_much(feeds, fetches)

    def close(self) -> None:
        """Release the model and its queues."""
        with self._adding:
            for queue, _, _ in self._queues.values():
                self._scheduler.forget(queue)
        self._model.close()

    def _checked(self, feeds: Mapping[str, NDArray[Any]]) -> int:
        """Return the number of rows of the inputs; raise INVALID_ARGUMENT where they have none in common."""
        sizes = set()
        for value in feeds.values():
            if np.ndim(value) == 0:
                raise invalid_argument("Batching Run() input tensors must have at least one dimension")
            sizes.add(len(value))
        if len(sizes) != 1:
            raise invalid_argument("Batching Run() input tensors must have equal 0th-dimension size")
        rows = sizes.pop()
        if rows > self._parameters.max_batch_size:
            raise invalid_argument(
                f"Task size {rows} is larger than maximum input batch size {self._parameters.max_batch_size}"
            )
        return rows

    def _queue(
        self, feeds: tuple[str, ...], fetches: tuple[str, ...]
    ) -> tuple[Queue, tuple[str, ...], tuple[str, ...]]:
        key = (frozenset(feeds), frozenset(fetches))
        with self._adding:
            found = self._queues.get(key)
            if found is None:
                if len(self._queues) >= MAXIMUM_QUEUES:
                    self._forget_idle()
                queue = Queue(self._model, feeds, fetches, self._parameters)
                found = self._queues[key] = (queue, feeds, fetches)
            return found

    def _forget_idle(self) -> None:
        """Let go of the queues nothing waits in; a task that is on its way to one takes it back to the scheduler."""
        for key in [key for key, (queue, _, _) in self._queues.items() if not queue.batches]:
            self._scheduler.forget(self._queues.pop(key)[0])


def grouped(tasks: list[Task]) -> list[list[Task]]:
    """Return tasks in groups that are padded within tensors.FILLED_BYTES, or FILLED_FACTOR times what they hold.

    One row with a huge axis is not to make all others as large: it runs in a batch of its own.
    """
    if len(tasks) < 2:  # noqa: PLR2004 - one alone is not padded
        return [tasks] if tasks else []
    held = sum(value.nbytes for task in tasks for value in task.inputs)
    if _grown_bytes(tasks) <= max(FILLED_BYTES, FILLED_FACTOR * held):
        return [tasks]
    ordered = sorted(tasks, key=lambda task: sum(value.nbytes for value in task.inputs) / max(1, task.size))
    half = len(ordered) // 2
    return grouped(ordered[:half]) + grouped(ordered[half:])


def _grown_bytes(tasks: list[Task]) -> int:
    """Return what the tasks' tensors take once each is as long as the longest."""
    rows = sum(task.size for task in tasks)
    total = 0
    for values in zip(*(task.inputs for task in tasks), strict=True):
        longest = [max(sizes) for sizes in zip(*(value.shape[1:] for value in values), strict=False)]
        total += rows * math.prod(longest) * values[0].itemsize
    return total


def joined(name: str, parts: list[NDArray[Any]], rows: int, parameters: Parameters) -> NDArray[Any]:
    """Return parts (row, ...) one after the other, filled up to `rows` with the last part's first row.

    Parts of unequal further axes are refused (FAILED_PRECONDITION), or, where parameters say so, grown to the longest
    with their own first element.
    """
    if len({part.shape[1:] for part in parts}) > 1:
        if not parameters.pads_variable_length:
            raise ServingError(
                Code.FAILED_PRECONDITION,
                f"Tensors with name '{name}' from different tasks have different shapes and padding is turned off. Set "
                "pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal "
                "dimensions starting with the first dim.",
            )
        parts = _grown(name, parts)
    missing = rows - sum(map(len, parts))
    if missing:
        _check_rows(missing * (parts[-1].nbytes // max(1, len(parts[-1]))), sum(part.nbytes for part in parts))
        parts = [*parts, np.repeat(parts[-1][:1], missing, axis=0)]
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _check_rows(added: int, held: int) -> None:
    """Raise INVALID_ARGUMENT where the copies of a row that fill a batch up would take far more than what was sent."""
    allowed = max(ADDED_ROWS_BYTES, FILLED_FACTOR * held)
    if added > allowed:
        raise invalid_argument(
            f"Rows of {held} bytes would be filled up to the next of allowed_batch_sizes by {added} bytes; at most "
            f"{allowed} are allowed"
        )


def split(outputs: Sequence[NDArray[Any]], sizes: Sequence[int], rows: int) -> list[Outputs]:
    """Return each task's rows of outputs (row, ...); raise FAILED_PRECONDITION for outputs without those rows."""
    for output in outputs:
        if np.ndim(output) == 0:
            raise ServingError(Code.FAILED_PRECONDITION, "Batched output tensor has 0 dimensions")
        if len(output) != rows:
            raise ServingError(
                Code.FAILED_PRECONDITION,
                "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input "
                "tensors",
            )
    answers, start = [], 0
    for size in sizes:
        answers.append([output[start : start + size] for output in outputs])
        start += size
    return answers


def _grown(name: str, parts: list[NDArray[Any]]) -> list[NDArray[Any]]:
    if len({part.ndim for part in parts}) > 1:
        raise ServingError(Code.FAILED_PRECONDITION, f"Tensors with name '{name}' from different tasks differ in rank")
    longest = tuple(max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True))
    grown = []
    for part in parts:
        if part.shape[1:] == longest or not part.size:
            grown.append(part if part.size else np.zeros((len(part), *longest), part.dtype))
            continue
        wider = np.full((len(part), *longest), part.flat[0], part.dtype)
        wider[tuple(map(slice, part.shape))] = part
        grown.append(wider)
    return grown


def _pieces(rows: int, largest: int) -> list[tuple[int, int]]:
    return [(start, min(start + largest, rows)) for start in range(0, rows, largest)] or [(0, 0)]
