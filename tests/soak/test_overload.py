"""Twice the capacity for minutes: what is answered is right, the rest is refused, memory is flat, and it recovers."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import requests

from ci.bench.load_generator import Load, run
from tests.gateway.attacks import Target, sent
from tests.processes import memory_mib, wait_for
from tests.soak.conftest import tell

if TYPE_CHECKING:
    from tests.soak.conftest import Pair

CONNECTIONS = 3000
REFUSED = frozenset({429, 503})
RECOVERY_SECONDS = 5
# Longer than the api gives a request: who waits in vain is told so.
TIMEOUT_SECONDS = 30
SAMPLE_SECONDS = 5.0
COLUMNS = ("minutes", "capacity/s", "asked/s", "200", "503 and 429", "others", "answers looked at", "recovered, s")
MEMORY = ("process", "MiB after a tenth of the time", "MiB at most from there", "MiB at the end")


class Checks:
    """Somebody who asks different things beside the load, and looks at each answer; and memory as time goes by."""

    def __init__(self, pair: Pair) -> None:
        self.counts: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.memory: dict[str, list[float]] = {"api": [], "server": []}
        self._pair = pair
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask), threading.Thread(target=self._sample)]

    def __enter__(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        """End."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        number = 0
        with requests.Session() as session:
            while not self._stop.wait(0.02):
                number += 1
                reply = session.post(self._pair.api.url("/predict"), json={"input": number}, timeout=30)
                self.counts[reply.status_code] += 1
                if reply.status_code == 200 and reply.json() != {"outputs": {"y": number * 0.5 + 2}}:
                    self.wrong.append(reply.text)

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            for name, process in (("api", self._pair.api.process), ("server", self._pair.server.process)):
                self.memory[name].append(memory_mib(process.pid))


def test_twice_the_capacity_is_answered_right_or_refused(pair: Pair, seconds: float) -> None:
    target = Target(pair.api.port, pair.api.process.pid, "/predict", b"")
    request = target.post(json.dumps({"input": 5}).encode())
    capacity = run(Load("127.0.0.1", pair.api.port, request, connections=32, seconds=5)).rate
    checks = Checks(pair)
    with checks:
        load = Load("127.0.0.1", pair.api.port, request, CONNECTIONS, 2 * capacity, seconds, TIMEOUT_SECONDS)
        report = run(load)
    start = time.monotonic()
    wait_for(lambda: sent(target, request) == 200, "it has recovered", RECOVERY_SECONDS)
    recovered = time.monotonic() - start
    refused = sum(count for status, count in report.statuses.items() if status in REFUSED)
    others = sum(report.statuses.values()) - report.statuses[200] - refused + sum(report.errors.values())
    rates = f"{capacity:.0f}", f"{2 * capacity:.0f}"
    looked_at = f"{checks.counts[200]} right, {len(checks.wrong)} wrong"
    tell(
        "Overload", COLUMNS, seconds / 60, *rates, report.statuses[200], refused, others, looked_at, f"{recovered:.2f}"
    )
    for name, samples in checks.memory.items():
        settled = samples[len(samples) // 10 :]
        tell("Memory under overload", MEMORY, name, settled[0], max(settled), settled[-1])
    assert not others, (report.statuses, report.errors)
    assert report.statuses[200]
    assert not checks.wrong
    assert set(checks.counts) <= {200, *REFUSED}
    for name, samples in checks.memory.items():
        settled = samples[len(samples) // 10 :]
        assert max(settled) < 1.1 * settled[0] + 20, name
