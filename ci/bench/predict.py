"""`/predict` beside floors and other servers: one image per JSON request, all of them up, asked in turn, in rounds.

Prints a table of the medians and the goals as ratios, with what each process took of a core; fails below a goal.
`--quick` shows in seconds, without the peers, that it runs; it does not judge.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ci.bench import models, process_times
from ci.bench.load_generator import Load, run
from ci.bench.predict_servers import ALONE, FLOOR, MLSERVER, OURS, PIXELS, start_ours, start_peers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.bench.load_report import Report
    from ci.bench.predict_servers import Server

CONNECTIONS = 32
MANY_CONNECTIONS = 128
WARM_UP_SECONDS = 1.0
# At a constant rate as many as are needed are used, up to this.
HALF_LOAD_CONNECTIONS = 256

# The tutorial's numbers, and what a client sends that scales them first.
INPUTS: dict[str, Sequence[float]] = {"integers": PIXELS, "floats": [pixel / 255 for pixel in PIXELS]}


@dataclass
class Measured:
    """Rounds of one server with one kind of input: reports, and what each process took of a core."""

    reports: list[Report] = field(default_factory=list)
    shares: list[dict[str, float]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Median of answers a second."""
        return statistics.median(report.rate for report in self.reports)

    def milliseconds(self, share: float) -> float:
        """Median of the rounds' quantiles."""
        return statistics.median(report.milliseconds(share) for report in self.reports)

    def told_shares(self) -> str:
        """Return the medians of the processes' shares."""
        names = self.shares[0]
        return ", ".join(f"{name} {statistics.median(each[name] for each in self.shares):.0%}" for name in names)


@dataclass(frozen=True)
class Goal:
    """A number and its bound; without one it is told beside the others."""

    name: str
    value: float
    minimum: float | None = None
    maximum: float | None = None

    @property
    def is_met(self) -> bool:
        """The number is within; NaN is not."""
        return (self.minimum is None or self.value >= self.minimum) and (
            self.maximum is None or self.value <= self.maximum
        )

    def row(self) -> str:
        """Return its row of the table."""
        if self.minimum is None and self.maximum is None:
            return f"| {self.name} | {self.value:.2f} | | |"
        bound = f"{self.minimum} or more" if self.minimum is not None else f"{self.maximum} or less"
        return f"| {self.name} | {self.value:.2f} | {bound} | {'yes' if self.is_met else '**no**'} |"


@click.command(help=__doc__)
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="rounds of each server")
@click.option("--seconds", default=3.0, show_default=True, type=click.FloatRange(0.1), help="length of a round")
@click.option("--peers/--no-peers", default=True, show_default=True, help="measure the other servers as well")
@click.option("--quick", is_flag=True, help="one short round without peers; goals are printed and not judged")
def main(*, rounds: int, seconds: float, peers: bool, quick: bool) -> None:
    """Measure and print; exit with 1 below a goal."""
    if quick:
        rounds, seconds, peers = 1, 0.5, False
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        models.write(Path(name), models.KERAS)
        servers = start_ours(folder, stack)
        if peers:
            servers |= start_peers(folder, stack)
        everything = measure(servers, rounds, seconds)
        goals = [*compared(everything), *close_ups(servers, everything, rounds, seconds)]
    print_tables(everything, goals)
    if not quick and not all(goal.is_met for goal in goals):
        sys.exit(1)


def measure(servers: Mapping[str, Server], rounds: int, seconds: float) -> dict[tuple[str, str], Measured]:
    """Ask each server in turn by CONNECTIONS, a round each, with each kind of input."""
    measured = {(name, kind): Measured() for name in servers for kind in INPUTS}
    for number in range(rounds):
        for (name, kind), result in measured.items():
            with servers[name].awake():
                if number == 0:
                    asked(servers[name], kind, min(WARM_UP_SECONDS, seconds))
                keep(result, servers[name], kind, seconds)
            print(f"round {number + 1}: {name}, {kind}: {result.reports[-1].line()}", flush=True)
    return measured


def keep(result: Measured, server: Server, kind: str, seconds: float, connections: int = CONNECTIONS) -> None:
    """Ask for one round and keep the report with what each process took of a core."""
    before, start = process_times.seconds_of(server.processes), time.monotonic()
    report = asked(server, kind, seconds, connections)
    took = time.monotonic() - start
    after = process_times.seconds_of(server.processes)
    shares = {name: (after[name] - before[name]) / took for name in before} | {"generator": report.processor_share}
    result.reports.append(report)
    result.shares.append(shares)


def asked(
    server: Server, kind: str, seconds: float, connections: int = CONNECTIONS, rate: float | None = None
) -> Report:
    """Return the report of a load; raise RuntimeError on any failure: a benchmark of errors is none."""
    request = server.request(INPUTS[kind])
    report = run(Load("127.0.0.1", server.port, request, connections, rate, seconds, timeout_seconds=30))
    if report.failures or not report.answers:
        raise RuntimeError(f"{server.path} on port {server.port} failed: {report.line()}")
    return report


def compared(measured: Mapping[tuple[str, str], Measured]) -> Iterator[Goal]:
    """Yield the ratios of the medians."""
    for over, under, minimum in ((OURS, FLOOR, 0.60), (ALONE, FLOOR, 0.70), (OURS, MLSERVER, 5.0)):
        for kind in INPUTS:
            if (under, kind) in measured:
                ratio = measured[over, kind].rate / measured[under, kind].rate
                yield Goal(f"{over} / {under}, {kind}", ratio, minimum=minimum)


def close_ups(
    servers: Mapping[str, Server], measured: dict[tuple[str, str], Measured], rounds: int, seconds: float
) -> Iterator[Goal]:
    """Measure one connection, many, and half of the top load; yield what has a goal."""
    kind = "integers"
    for name in (OURS, FLOOR):
        for connections in (1, MANY_CONNECTIONS):
            result = measured.setdefault(
                (f"{name}, {connections} connection{'s'[: connections > 1]}", kind), Measured()
            )
            for _ in range(rounds):
                keep(result, servers[name], kind, seconds, connections)
    one = measured[f"{OURS}, 1 connection", kind].milliseconds(0.5)
    call = statistics.median(grpc_milliseconds(servers[OURS].behind, seconds) for _ in range(rounds))
    print(f"one connection: /predict {one:.2f} ms at the median, the same by gRPC {call:.2f} ms")
    yield Goal("/predict at one connection - the same by gRPC, ms at the median", one - call, maximum=1.0)
    rate = measured[OURS, kind].rate / 2
    spreads = {}
    for name in (OURS, FLOOR):
        half = measured.setdefault((f"{name}, half the load", kind), Measured())
        for _ in range(rounds):
            half.reports.append(asked(servers[name], kind, seconds, HALF_LOAD_CONNECTIONS, rate))
            half.shares.append({"generator": half.reports[-1].processor_share})
        spreads[name] = half.milliseconds(0.99) / half.milliseconds(0.5)
    yield Goal(f"p99 / p50 at half the load ({rate:,.0f} requests/s)", spreads[OURS], maximum=3.0)
    # What the machine itself does to a server that waits for nobody: no goal of ours.
    yield Goal("the floor's p99 / p50 at the same rate", spreads[FLOOR])


def grpc_milliseconds(port: int, seconds: float) -> float:
    """Return the median of a Predict call of one image, one after the other."""
    import grpc  # noqa: PLC0415 - loaded where it is needed

    from model_description.protos import serving_pb2  # noqa: PLC0415

    request = serving_pb2.PredictRequest()
    request.model_spec.name = "mnist"
    tensor = request.inputs["pixels"]
    tensor.dtype = serving_pb2.DT_FLOAT
    for size in (1, 28, 28):
        tensor.tensor_shape.dim.add(size=size)
    tensor.float_val.extend(map(float, PIXELS))
    content = request.SerializeToString()
    times = []
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Any = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        call(content, timeout=30)
        end = time.monotonic() + seconds
        while (start := time.monotonic()) < end:
            call(content, timeout=30)
            times.append(time.monotonic() - start)
    return statistics.median(times) * 1e3


def print_tables(measured: Mapping[tuple[str, str], Measured], goals: Sequence[Goal]) -> None:
    """Print what was measured and what was wanted, in Markdown."""
    print(f"\n{os.cpu_count()} cores, one image per JSON request, {CONNECTIONS} connections unless said:\n")
    print("| server | input | requests/s | p50 ms | p99 ms | of a core |\n|---|---|---|---|---|---|")
    for (name, kind), result in measured.items():
        numbers = f"{result.rate:,.0f} | {result.milliseconds(0.5):.1f} | {result.milliseconds(0.99):.1f}"
        print(f"| {name} | {kind} | {numbers} | {result.told_shares()} |")
    print("\n| ratio | measured | goal | met |\n|---|---|---|---|")
    for goal in goals:
        print(goal.row())


if __name__ == "__main__":
    main()
