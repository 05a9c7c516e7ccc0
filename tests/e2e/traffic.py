"""Steady traffic while something changes: every answer is kept, and told by windows of time.

Clients ask as a cluster's clients do (asking.py): with connections they keep and with new ones, `/predict` and
TensorFlow Serving's REST from inside the cluster and through a port of a node, and gRPC to the server's pods. 0 errors
means 0.
"""

from __future__ import annotations

import base64
import collections
import contextlib
import itertools
import json
import math
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ci import paths
from model_description.protos import serving_pb2
from serving_codec import tensors
from tests.e2e import asking
from tests.e2e.own_model import image_of
from tests.e2e.release import API_PORT, SERVER_GRPC_PORT
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.e2e.digits import Digits
    from tests.e2e.release import Release

    # Bodies and the label each must be answered with, None where any answer will do.
    Asked = Sequence[tuple[str, str | None]]

POD = "traffic"
START_TIMEOUT_SECONDS = 120
END_TIMEOUT_SECONDS = 40
REQUEST_TIMEOUT_SECONDS = 20
KEPT = paths.ROOT / "build" / "e2e" / "traffic.txt"
# What the windows of a whole run were, for the end of it.
TOLD: list[Window] = []


class Answer(NamedTuple):
    """One answer; the time is the machine's, which pods share. `problem` is "" where it is the right one."""

    client: str
    started: float
    seconds: float
    status: int
    version: str
    retry_after: str
    problem: str


@dataclass
class Window:
    """What the clients saw while something happened."""

    name: str
    since: float
    until: float = math.inf
    answers: list[Answer] = field(default_factory=list, repr=False)

    @property
    def errors(self) -> list[Answer]:
        """Return what was not answered, not with 200, or wrong."""
        return [answer for answer in self.answers if answer.problem]

    @property
    def versions(self) -> set[str]:
        """Return the versions that answered."""
        return {answer.version for answer in self.answers if answer.version}

    @property
    def longest_gap_seconds(self) -> float:
        """Return the longest time without a right answer."""
        ends = sorted(answer.started + answer.seconds for answer in self.answers if not answer.problem)
        return max((after - before for before, after in itertools.pairwise(ends)), default=math.inf)

    def quantile_ms(self, share: float) -> float:
        """Return the latency that a share of the answers were below."""
        sorted_seconds = sorted(answer.seconds for answer in self.answers)
        return 1000 * sorted_seconds[min(len(sorted_seconds) - 1, int(share * len(sorted_seconds)))]

    def assert_faultless(self, least: int = 100) -> None:
        """Raise AssertionError, with the first errors, unless many requests were made and all answered right."""
        shown = "\n".join(f"{answer.started - self.since:.2f} s: {answer}" for answer in self.errors[:12])
        assert not self.errors, f"{self.name}: {len(self.errors)} of {len(self.answers)} failed\n{shown}"
        assert len(self.answers) >= least, f"{self.name}: only {len(self.answers)} requests"

    def row(self) -> str:
        """Return a line of the report."""
        if not self.answers:
            return f"{self.name:<44} nothing was asked"
        versions = ",".join(sorted(self.versions))
        return (
            f"{self.name:<44} {len(self.answers):>7} {len(self.errors):>6} {self.longest_gap_seconds:>7.2f} "
            f"{self.quantile_ms(0.5):>6.1f} {self.quantile_ms(0.99):>7.1f} {self.until - self.since:>6.0f}  {versions}"
        )


HEAD = f"{'window':<44} {'asked':>7} {'errors':>6} {'gap s':>7} {'p50 ms':>6} {'p99 ms':>7} {'s':>6}  versions"


class Traffic:
    """What all clients saw; `window` tells a part of it apart."""

    def __init__(self) -> None:
        self._answers: list[Answer] = []

    def take(self, line: str) -> None:
        """Keep an answer as asking.py tells it."""
        self._answers.append(Answer(*json.loads(line)))

    @property
    def count(self) -> int:
        """Return how many answers there are by now."""
        return len(self._answers)

    def between(self, since: float, until: float = math.inf) -> list[Answer]:
        """Return what was asked in a span of time."""
        return [answer for answer in self._answers if since <= answer.started < until]

    def versions(self, seconds: float = 3) -> collections.Counter[str]:
        """Return how often each version answered in the last seconds."""
        return collections.Counter(answer.version for answer in self.between(time.time() - seconds) if answer.version)

    @contextlib.contextmanager
    def window(self, name: str) -> Iterator[Window]:
        """Yield a window that is filled when the block ends, with all that was asked while it ran."""
        window = Window(name, time.time())
        try:
            yield window
        finally:
            # What was asked last is still under way.
            window.until = time.time()
            with contextlib.suppress(TimeoutError):
                wait_for(lambda: self.between(window.until), "later answers", REQUEST_TIMEOUT_SECONDS)
            window.answers = self.between(window.since, window.until)
            TOLD.append(window)
            _write_down(window)

    def watch(self, name: str, seconds: float) -> Window:
        """Return a window of so many seconds in which nothing is changed."""
        with self.window(name) as window:
            until = time.time() + seconds
            wait_for(lambda: self.between(until), f"{seconds:g} s of traffic", seconds + REQUEST_TIMEOUT_SECONDS)
        return window


def _write_down(window: Window) -> None:
    """Add a window to the file that outlives the run, with its first errors."""
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    with KEPT.open("a", encoding="utf-8") as file:
        file.write("\n".join([window.row(), *(f"    {answer}" for answer in window.errors[:20])]) + "\n")


# ---- what is asked


@dataclass(frozen=True)
class Questions:
    """What the clients ask, by protocol; one without questions is not asked."""

    model: str
    predict: Asked
    serving: Asked = ()
    grpc: Asked = ()


def same(body: Any) -> Questions:
    """Return one body for `/predict`, whatever the answer."""
    return Questions("", [(json.dumps(body), None)])


def of_digits(digits: Digits, model: str = "mnist") -> Questions:
    """Return images, each with its own label."""
    pairs = [(image, str(label)) for image, label in zip(digits.images, digits.labels, strict=True)]
    return Questions(
        model,
        [(json.dumps({"input": image.flatten().tolist()}), label) for image, label in pairs],
        [(json.dumps({"instances": [image.tolist()]}), label) for image, label in pairs],
        [(_grpc_body(image, model), label) for image, label in pairs],
    )


def _grpc_body(image: Any, model: str) -> str:
    request = serving_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = "serving_default"
    tensors.fill(request.inputs["pixels"], image[None].astype(np.float32), "float32")
    return base64.b64encode(request.SerializeToString()).decode()


def _clients(release: Release, questions: Questions) -> list[dict[str, Any]]:
    """Return the clients inside the cluster: about 70 requests/s."""
    api, server = f"{release.named('api')}:{API_PORT}", release.named("server")
    clients = [
        *(_http(f"predict, kept {number}", api, "predict", 0.2) for number in range(4)),
        *(_http("predict, new", api, "predict", 0.2, is_kept=False) for _ in range(4)),
    ]
    if questions.serving:
        path = f"/v1/models/{questions.model}:predict"
        clients += [
            *(_http(f"serving, kept {number}", api, "serving", 0.2, path) for number in range(2)),
            _http("serving, new", api, "serving", 0.2, path, is_kept=False),
        ]
    if questions.grpc:
        targets = {"service": (server, False), "headless": (f"{server}-headless", True)}
        clients += [
            {"name": f"grpc, {name}", "kind": "grpc", "target": f"{host}:{SERVER_GRPC_PORT}", "questions": "grpc"}
            | {"period_seconds": 0.15, "timeout_seconds": REQUEST_TIMEOUT_SECONDS, "is_spread": is_spread}
            for name, (host, is_spread) in targets.items()
        ]
    return clients


def _clients_outside(release: Release) -> list[dict[str, Any]]:
    """Return the clients that come through a node's port, where the api's Service has one."""
    port = release.core.read_namespaced_service(release.named("api"), release.namespace).spec.ports[0].node_port
    if port is None:
        return []
    nodes = release.core.list_node().items
    address = next(item.address for item in nodes[0].status.addresses if item.type == "InternalIP")
    target = f"{address}:{port}"
    return [
        *(_http(f"node port, kept {number}", target, "predict", 0.2) for number in range(2)),
        _http("node port, new", target, "predict", 0.2, is_kept=False),
    ]


def _http(
    name: str, target: str, questions: str, period_seconds: float, path: str = "/predict", *, is_kept: bool = True
) -> dict[str, Any]:
    client = {"name": name, "kind": "http", "target": target, "path": path, "is_kept": is_kept, "questions": questions}
    return client | {"period_seconds": period_seconds, "timeout_seconds": REQUEST_TIMEOUT_SECONDS}


# ---- asking


@contextlib.contextmanager
def steady(release: Release, questions: Questions) -> Iterator[Traffic]:
    """Ask at a steady rate while the block runs; yield what is answered."""
    _start_pod(release)
    traffic = Traffic()
    asked = {"predict": questions.predict, "serving": questions.serving, "grpc": questions.grpc}
    source = Path(asking.__file__).read_text(encoding="utf-8")
    inside = [*release.kubectl_command, "exec", "--stdin", POD, "--", "python3", "-c", source]
    outside = [sys.executable, "-c", source]
    with contextlib.ExitStack() as stack:
        for command, clients in ((inside, _clients(release, questions)), (outside, _clients_outside(release))):
            if clients:
                stack.enter_context(_asking(command, {"clients": clients, "questions": asked}, traffic))
        wait_for(lambda: traffic.count > 0, "the first answer", START_TIMEOUT_SECONDS)
        yield traffic


@contextlib.contextmanager
def _asking(command: list[str], plan: dict[str, Any], traffic: Traffic) -> Iterator[None]:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None

        def read(lines: Any) -> None:
            for line in lines:
                traffic.take(line)

        reader = threading.Thread(target=read, args=(process.stdout,))
        reader.start()
        # A connection to the cluster that is lost must not hold up what is told of the loss.
        ending = threading.Timer(END_TIMEOUT_SECONDS, process.kill)
        try:
            process.stdin.write(json.dumps(plan) + "\n")
            process.stdin.flush()
            yield
            assert process.poll() is None, f"the clients ended before they were told to: {process.returncode}"
        finally:
            ending.start()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write("end\n")
                process.stdin.close()
            reader.join()
            ending.cancel()


def _start_pod(release: Release) -> None:
    """Start the pod that clients inside the cluster run in, away from the release's own pods where that can be."""
    if any(pod.metadata.name == POD for pod in release.core.list_namespaced_pod(release.namespace).items):
        return
    container = {
        "name": POD,
        "image": image_of(release, "publisher"),
        "command": ["python3", "-c", "import signal; signal.sigwait([signal.SIGTERM])"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    place = {"matchExpressions": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]}
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": place}]}
    spec = {
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
        "affinity": {"nodeAffinity": preferred},
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
    }
    release.core.create_namespaced_pod(release.namespace, {"metadata": {"name": POD}, "spec": spec})

    def runs() -> bool:
        return bool(release.core.read_namespaced_pod(POD, release.namespace).status.phase == "Running")

    wait_for(runs, "the traffic's pod runs", START_TIMEOUT_SECONDS)
