"""Counters and histograms, and the page Prometheus reads, as TensorFlow Serving prints it.

Names, labels and buckets are upstream's (util/prometheus_exporter.cc, servables/tensorflow/util.cc and TensorFlow's
core/lib/monitoring). Its page has no HELP, keeps the names as they are with `/` written `:`, and counts a value that
equals a bound in the next bucket, none of which a Prometheus client library would print.
"""

from __future__ import annotations

import abc
import bisect
import itertools
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Labels = tuple[str, ...]


def exponential(scale: float, growth: float, count: int) -> tuple[float, ...]:
    """Return bucket bounds `scale * growth ** i` for i below `count` (tsl monitoring::Buckets::Exponential)."""
    return tuple(scale * growth**i for i in range(count))


class Metric(abc.ABC):
    """A named family of samples, one for each tuple of label values."""

    kind = ""

    def __init__(self, name: str, *labels: str) -> None:
        self.name = name.replace("/", ":")
        self.labels = labels
        self._lock = threading.Lock()
        METRICS.append(self)

    def lines(self) -> Iterator[str]:
        """Yield the family's lines of the page; the TYPE line comes without samples too."""
        yield f"# TYPE {self.name} {self.kind}"
        with self._lock:
            yield from self._samples()

    @abc.abstractmethod
    def _samples(self) -> Iterator[str]:
        """Yield the family's samples; the lock is held."""

    def _bounded(self, values: Labels, known: Mapping[Labels, object]) -> Labels:
        """Return the values as they are kept: empty ones once there are too many different.

        Models nobody configured share one name, and no value is long: requests carry both (a name may have 8 MiB).
        """
        values = tuple(self._kept(label, value) for label, value in zip(self.labels, values, strict=True))
        return values if values in known or len(known) < MAXIMUM_SETS else ("",) * len(values)

    @staticmethod
    def _kept(label: str, value: str) -> str:
        if label in MODEL_LABELS and value and value not in _MODELS:
            return UNKNOWN_MODEL
        return value[:MAXIMUM_VALUE_CHARACTERS]

    def _shown(self, values: Labels, *more: tuple[str, str]) -> str:
        pairs = itertools.chain(zip(self.labels, values, strict=True), more)
        return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs) + "}"


METRICS: list[Metric] = []
# Label values come from requests too (a model's name): at most this many sets of them are kept apart, each value cut.
MAXIMUM_SETS = 1000
MAXIMUM_VALUE_CHARACTERS = 256
MODEL_LABELS = frozenset({"model_name", "model"})
UNKNOWN_MODEL = "(unknown)"
_MODELS: set[str] = set()


def tell_apart(model: str) -> None:
    """Count a model under its own name from now on; all others are UNKNOWN_MODEL together."""
    _MODELS.add(model)


class Counter(Metric):
    """A number that only grows."""

    kind = "counter"

    def __init__(self, name: str, *labels: str) -> None:
        super().__init__(name, *labels)
        self._values: dict[Labels, int] = {} if labels else {(): 0}

    def add(self, *values: str, by: int = 1) -> None:
        """Count `by` for these label values."""
        with self._lock:
            if values not in self._values:
                values = self._bounded(values, self._values)
            self._values[values] = self._values.get(values, 0) + by

    def total(self) -> int:
        """Return the sum over all label values."""
        with self._lock:
            return sum(self._values.values())

    def _samples(self) -> Iterator[str]:
        for values, number in self._values.items():
            yield f"{self.name}{self._shown(values)} {number}"


@dataclass(slots=True)
class _Distribution:
    counts: list[int]
    sum: float = field(default=0.0)


class Histogram(Metric):
    """How often a value fell between bounds."""

    kind = "histogram"

    def __init__(self, name: str, bounds: tuple[float, ...], *labels: str) -> None:
        super().__init__(name, *labels)
        self._bounds = bounds
        self._found: dict[Labels, _Distribution] = {}

    def observe(self, value: float, *values: str) -> None:
        """Count one value; one that equals a bound belongs to the next bucket."""
        bucket = bisect.bisect_right(self._bounds, value)
        with self._lock:
            found = self._found.get(values)
            if found is None:
                values = self._bounded(values, self._found)
                found = self._found.setdefault(values, _Distribution([0] * (len(self._bounds) + 1)))
            found.counts[bucket] += 1
            found.sum += value

    def _samples(self) -> Iterator[str]:
        for values, found in self._found.items():
            total = 0
            for bound, count in zip([*self._bounds, None], found.counts, strict=True):
                total += count
                shown = "+Inf" if bound is None else f"{bound:.6g}"
                yield f"{self.name}_bucket{self._shown(values, ('le', shown))} {total}"
            yield f"{self.name}_sum{self._shown(values)} {found.sum:.6g}"
            yield f"{self.name}_count{self._shown(values)} {total}"


def page() -> str:
    """Return the text Prometheus reads."""
    return "".join(f"{line}\n" for metric in METRICS for line in metric.lines())


def totals(names: Iterable[str]) -> dict[str, int]:
    """Return the sum of each counter named; one that there is not counts nothing."""
    counters = {metric.name: metric for metric in METRICS if isinstance(metric, Counter)}
    wanted = {name: counters.get(name.replace("/", ":")) for name in names}
    return {name: counter.total() if counter else 0 for name, counter in wanted.items()}


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


_LATENCY = exponential(10, 1.8, 33)
_QUEUING = exponential(100, 1.2, 52)
_SIZES = exponential(1, 2, 14)

REQUEST_COUNT = Counter(":tensorflow:serving:request_count", "model_name", "status")
REQUEST_LATENCY = Histogram(":tensorflow:serving:request_latency", _LATENCY, "model_name", "API", "entrypoint")
RUNTIME_LATENCY = Histogram(":tensorflow:serving:runtime_latency", _LATENCY, "model_name", "API", "runtime")
REQUEST_EXAMPLE_COUNTS = Histogram(":tensorflow:serving:request_example_counts", exponential(1, 2, 15), "model")
REQUEST_EXAMPLE_COUNT_TOTAL = Counter(":tensorflow:serving:request_example_count_total", "model")
WARMUP_LATENCY = Histogram(":tensorflow:serving:model_warmup_latency", _LATENCY, "model_path", "status")
WARMUP_RECORDS_READ = Counter(":tensorflow:serving:model_warmup_records_read", "model_path", "status")
BATCH_QUEUING_LATENCY = Histogram(":tensorflow:serving:batching_session:queuing_latency", _QUEUING, "thread_pool_name")
BATCH_RUN_COUNT = Counter(":tensorflow:serving:batching_session:wrapped_run_count")
BATCH_PADDING_SIZE = Histogram(":tensorflow:serving:batching_session:padding_size", _SIZES, "execution_batch_size")
BATCH_INPUT_SIZE = Histogram(":tensorflow:serving:batching_session:input_batch_size", _SIZES)
BATCH_PROCESSED_SIZE = Histogram(":tensorflow:serving:batching_session:processed_batch_size", _SIZES)
# TensorFlow's own, which dashboards show as well; its Python wheel has no call to read them.
LOAD_ATTEMPT_COUNT = Counter(":tensorflow:cc:saved_model:load_attempt_count", "model_path", "status")
LOAD_LATENCY = Counter(":tensorflow:cc:saved_model:load_latency", "model_path")
GRAPH_RUNS = Counter(":tensorflow:core:graph_runs")
GRAPH_RUN_TIME = Counter(":tensorflow:core:graph_run_time_usecs")
SESSION_RUNS = Counter(":tensorflow:core:direct_session_runs")
