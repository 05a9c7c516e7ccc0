"""A model that answers a few bytes with megabytes: what is held is bounded, others do not wait, nobody's are mixed."""

from __future__ import annotations

import concurrent.futures
import contextlib
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import tensorflow as tf

from tests.contract.conftest import Server
from tests.gateway.processes import Api

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Of a row: a MiB of floats, 2.6 of JSON.
NUMBERS = 1 << 18
CALLERS, ROWS = 8, 8
# The chart's limit is 512 MiB. Of 64 MiB of answers, and 170 of JSON, at once half are held; 310 MiB were seen.
MOST_RESIDENT_MIB = 420
# Seconds that a probe may wait meanwhile; 0.02 to 0.1 were seen, and 5.9 before answers were written in pieces.
MOST_PAUSE_SECONDS = 1.0
DEADLINE_SECONDS = 60


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a server of a model that repeats each row's number."""
    folder = tmp_path_factory.mktemp("wide")
    module = tf.Module()
    module.repeat = tf.function(
        lambda x: {"y": tf.tile(x, [1, NUMBERS])}, input_signature=[tf.TensorSpec([None, 1], name="x")]
    )
    # Half of the room, and not an answer for each row, though it looks as if it were.
    module.once = tf.function(
        lambda x: {"y": tf.tile(x[:, 0], [16 * NUMBERS])}, input_signature=[tf.TensorSpec([None, 1], name="x")]
    )
    signatures = {"serving_default": module.repeat, "once": module.once}
    tf.saved_model.save(module, str(folder / "wide" / "1"), signatures)
    with Server(f"{sys.executable} -m model_server", folder / "wide", name="wide") as server:
        yield server


@pytest.fixture
def api(wide: Server) -> Iterator[Api]:
    """Yield a gateway of its own, since its memory is looked at."""
    with Api(wide.grpc_port, "wide", f"--request-timeout-seconds={DEADLINE_SECONDS}") as api:
        yield api


def body_of(path: str, rows: list[float]) -> Any:
    """Return a request about rows in the words of a path."""
    if path == "/predict":
        return {"inputs": [[row] for row in rows]}
    if path.startswith("/v2"):
        return {"inputs": [{"name": "x", "shape": [len(rows), 1], "datatype": "FP32", "data": rows}]}
    return {"instances": [[row] for row in rows]}


def numbers_in(path: str, answer: Any) -> list[list[float]]:
    """Return the numbers of each row of an answer."""
    if path == "/predict":
        return [row["outputs"]["y"] for row in answer["predictions"]]
    if path.startswith("/v2"):
        (output,) = answer["outputs"]
        return [output["data"][start : start + NUMBERS] for start in range(0, len(output["data"]), NUMBERS)]
    found: list[list[float]] = answer["predictions"]
    return found


@contextlib.contextmanager
def pauses(url: str) -> Iterator[list[float]]:
    """Ask for a page again and again while the block runs; yield how many seconds each answer took."""
    found: list[float] = []
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.wait(0.005):
            start = time.monotonic()
            assert requests.get(url, timeout=DEADLINE_SECONDS).ok
            found.append(time.monotonic() - start)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            yield found
        finally:
            is_over.set()
            asking.result()


def resident_peak_mib(process: int) -> float:
    """Return the most memory a process has had (proc(5), VmHWM)."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


@pytest.mark.parametrize("path", ["/predict", "/v2/models/wide/infer"])
def test_many_large_answers_at_once_take_turns(api: Api, path: str) -> None:
    def ask(caller: int) -> bool:
        rows = [float(caller * ROWS + row) for row in range(ROWS)]
        reply = requests.post(api.url(path), json=body_of(path, rows), timeout=DEADLINE_SECONDS)
        assert reply.ok, reply.text[:300]
        # A list of equal numbers, compared without making a million of them.
        return [(set(row), len(row)) for row in numbers_in(path, reply.json())] == [({row}, NUMBERS) for row in rows]

    with pauses(api.url("/livez")) as found, concurrent.futures.ThreadPoolExecutor(CALLERS) as pool:
        assert all(pool.map(ask, range(CALLERS)))
    assert max(found) < MOST_PAUSE_SECONDS
    assert resident_peak_mib(api.process.pid) < MOST_RESIDENT_MIB


@pytest.mark.parametrize("path", ["/predict", "/v2/models/wide/infer", "/v1/models/wide:predict"])
def test_an_answer_that_never_fits_is_refused_and_one_that_fits_is_not(api: Api, path: str) -> None:
    refused = api.post(path, body_of(path, [1.0] * 64))
    assert refused.status_code in {400, 422}
    assert "max_held_answer_bytes" in refused.json()["error"]
    assert "ask about less" in refused.json()["error"]
    assert "retry-after" not in refused.headers
    assert numbers_in(path, api.post(path, body_of(path, [2.5])).json()) == [[2.5] * NUMBERS]
    assert resident_peak_mib(api.process.pid) < MOST_RESIDENT_MIB


def test_single_rows_that_would_not_fit_together_are_not_asked_together(api: Api) -> None:
    def ask(value: float) -> bool:
        reply = requests.post(api.url("/predict"), json={"input": [value]}, timeout=DEADLINE_SECONDS)
        assert reply.ok, reply.text[:300]
        return set(reply.json()["outputs"]["y"]) == {value}

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        assert all(pool.map(ask, map(float, range(64))))
    assert resident_peak_mib(api.process.pid) < MOST_RESIDENT_MIB


@pytest.mark.parametrize("port_of", [lambda wide, _: wide.rest_port, lambda _, api: api.port], ids=["server", "api"])
def test_numbers_in_rests_own_words_keep_nobody_waiting(
    wide: Server, api: Api, port_of: Callable[[Server, Api], int]
) -> None:
    url = f"http://127.0.0.1:{port_of(wide, api)}/v1/models/wide"
    with pauses(url) as found:
        for _ in range(2):
            reply = requests.post(f"{url}:predict", json=body_of("", [1.5, 2.5, 3.5, 4.5]), timeout=DEADLINE_SECONDS)
            assert reply.ok, reply.text[:300]
    assert max(found) < MOST_PAUSE_SECONDS / 2


def test_answers_that_are_refused_leave_their_room_and_memory_to_others(wide: Server) -> None:
    """What a model answers that is no answer, or not one that fits, is held by nothing once it is refused."""
    flags = ("--signature-name=once", "--model-task=raw", f"--request-timeout-seconds={DEADLINE_SECONDS}")
    with Api(wide.grpc_port, "wide", *flags) as api, pauses(api.url("/livez")):
        start = time.monotonic()
        for _ in range(6):
            reply = api.post("/predict", {"input": [1.0]})
            assert (reply.status_code, "of shape" in reply.text) == (500, True), reply.text[:300]
        for _ in range(6):
            body = {"signature_name": "serving_default"} | body_of("/v1", [1.0] * 40)
            reply = api.post("/v1/models/wide:predict", body)
            assert "max_held_answer_bytes" in reply.text
        assert time.monotonic() - start < DEADLINE_SECONDS / 3
        assert resident_peak_mib(api.process.pid) < MOST_RESIDENT_MIB / 2


def test_what_is_told_of_the_model_needs_no_room_that_answers_take(wide: Server) -> None:
    with Api(wide.grpc_port, "wide", "--max-held-answer-bytes=1") as api:
        assert api.get("/v1/models/wide/metadata").ok
        assert api.get("/v2/models/wide").json()["versions"] == ["1"]
        refused = api.post("/predict", {"input": [1.0]})
        assert (refused.status_code, "max_held_answer_bytes" in refused.text) == (422, True)
