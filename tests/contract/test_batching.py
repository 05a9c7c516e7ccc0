"""Batching by BatchingParameters (docs/serving-contract.md, section 5)."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import pytest

from tests.contract import models
from tests.contract.conftest import Server, run
from tests.contract.test_predict import request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.lengthy
PARAMETERS = """
    max_batch_size { value: 4 }
    batch_timeout_micros { value: 20000000 }
    max_enqueued_batches { value: 2 }
    num_batch_threads { value: 1 }
    allowed_batch_sizes: 2
    allowed_batch_sizes: 4
"""


def started(command: str, folder: Path, parameters: str, *flags: str) -> Server:
    """Return a starting server of the line that batches by these parameters, with its metrics page."""
    models.line(folder / "line" / "1", 0.5)
    (folder / "batching.txt").write_text(parameters)
    (folder / "monitoring.txt").write_text("prometheus_config { enable: true }")
    return Server(
        command,
        folder / "line",
        "--enable_batching",
        f"--batching_parameters_file={folder / 'batching.txt'}",
        f"--monitoring_config_file={folder / 'monitoring.txt'}",
        "--rest_api_timeout_in_ms=500",
        *flags,
    )


@pytest.fixture(scope="module")
def server(command: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a server whose batches close when they are full: their timeout is longer than any test waits."""
    with started(command, tmp_path_factory.mktemp("batching"), PARAMETERS) as server:
        yield server


def runs(server: Server) -> int:
    """Return how often a batch was run."""
    page = server.get("/monitoring/prometheus/metrics").text
    found = re.search(r"batching_session:wrapped_run_count\{\} (\d+)", page)
    assert found is not None
    return int(found[1])


def test_requests_that_fill_a_batch_share_one_run(server: Server) -> None:
    before = runs(server)
    with ThreadPoolExecutor(4) as callers:
        calls = [callers.submit(server.prediction.Predict, request(x=[float(x)]), timeout=15) for x in range(4)]
        assert [call.result().outputs["y"].float_val[0] for call in calls] == [2.0, 2.5, 3.0, 3.5]
    assert runs(server) - before == 1


def test_request_larger_than_a_batch_is_refused(server: Server) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        server.prediction.Predict(request(x=[1.0] * 5), timeout=10)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "Task size 5 is larger than maximum input batch size 4" in str(refused.value.details())


def test_request_without_rows_is_refused(server: Server) -> None:
    with pytest.raises(grpc.RpcError, match="Batching Run\\(\\) input tensors must have at least one dimension"):
        server.prediction.Predict(request("sum", x=1.0), timeout=10)


def test_inputs_of_unequal_rows_are_refused(server: Server) -> None:
    with pytest.raises(grpc.RpcError, match="Batching Run\\(\\) input tensors must have equal 0th-dimension size"):
        server.prediction.Predict(request("pair", a=[1.0, 2.0], s=["x"]), timeout=10)


def test_output_without_rows_is_refused(server: Server) -> None:
    with pytest.raises(grpc.RpcError, match="Batched output tensor has 0 dimensions"):
        server.prediction.Predict(request("sum", x=[1.0] * 4), timeout=10)


def test_shapes_that_differ_are_refused(server: Server) -> None:
    calls = [server.prediction.Predict.future(request("rows", x=[[1.0] * width] * 2), timeout=15) for width in (3, 5)]
    for call in calls:
        assert call.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "padding is turned off" in call.details()


def test_full_queue_is_unavailable(command: str, tmp_path: Path) -> None:
    with started(
        command, tmp_path, PARAMETERS.replace("max_enqueued_batches { value: 2 }", "max_enqueued_batches { value: 1 }")
    ) as server:
        waiting = threading.Barrier(2)

        def call() -> grpc.StatusCode:
            waiting.wait()
            future = server.prediction.Predict.future(request(x=[1.0] * 3), timeout=5)
            code: grpc.StatusCode = future.code()
            return code

        # Two of three rows do not fit one batch of four: the second needs a batch that the queue has no place for.
        with ThreadPoolExecutor(2) as callers:
            codes = {one.result() for one in [callers.submit(call), callers.submit(call)]}
        assert grpc.StatusCode.UNAVAILABLE in codes


def test_lone_request_is_padded_and_waits_no_longer_than_the_timeout(command: str, tmp_path: Path) -> None:
    parameters = PARAMETERS.replace("20000000", "1000") + "pad_variable_length_inputs: true"
    with started(command, tmp_path, parameters) as server:
        assert server.post({"instances": [1.0]}).json() == {"predictions": [2.5]}
        page = server.get("/monitoring/prometheus/metrics").text
        assert ':tensorflow:serving:batching_session:padding_size_count{execution_batch_size="2"} 1' in page
        assert ":tensorflow:serving:batching_session:processed_batch_size_sum{} 2" in page


def test_large_requests_are_split(command: str, tmp_path: Path) -> None:
    parameters = """
        max_batch_size { value: 100 }
        enable_large_batch_splitting { value: true }
        max_execution_batch_size { value: 4 }
    """
    with started(command, tmp_path, parameters) as server:
        before = runs(server)
        assert server.post({"instances": [float(x) for x in range(10)]}).json() == {
            "predictions": [x / 2 + 2 for x in range(10)]
        }
        assert runs(server) - before == 3


def test_models_bring_their_own_parameters(command: str, tmp_path: Path) -> None:
    models.line(tmp_path / "own" / "1", 0.5)
    (tmp_path / "own" / "1" / "batching_params.pbtxt").write_text("max_batch_size { value: 2 }")
    models.line(tmp_path / "none" / "1", 0.5)
    entries = "".join(
        f'config {{ name: "{name}" base_path: "{tmp_path / name}" model_platform: "tensorflow" }}'
        for name in ("own", "none")
    )
    (tmp_path / "models.config").write_text(f"model_config_list {{ {entries} }}")
    flags = ("--enable_batching", "--enable_per_model_batching_parameters")
    with Server(command, None, f"--model_config_file={tmp_path / 'models.config'}", *flags, name="own") as server:
        body = {"instances": [1, 2, 3]}
        assert "Task size 3 is larger" in server.post(body, "/v1/models/own:predict").json()["error"]
        assert server.post(body, "/v1/models/none:predict").json() == {"predictions": [2.5, 3.0, 3.5]}


def test_sizes_that_contradict_each_other_fail_the_load(command: str, tmp_path: Path) -> None:
    models.line(tmp_path / "line" / "1", 0.5)
    (tmp_path / "batching.txt").write_text("max_batch_size { value: 8 } allowed_batch_sizes: 4")
    flags = ("--enable_batching", f"--batching_parameters_file={tmp_path / 'batching.txt'}", "--max_num_load_retries=0")
    code, _, told = run(command, f"--model_base_path={tmp_path / 'line'}", *flags)
    assert code == 255
    assert "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 8" in told
