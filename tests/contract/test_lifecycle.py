"""Start, versions come and go, stop: a request is never lost."""

from __future__ import annotations

import shutil
import threading
from typing import TYPE_CHECKING

import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tests.contract import models
from tests.contract.conftest import Server, run
from tests.contract.test_predict import request
from tests.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.lengthy
VERSION_TIMEOUT_SECONDS = 30


@pytest.fixture
def server(command: str, base_path: Path) -> Iterator[Server]:
    """Yield a server that looks for versions every second and does not wait between retries."""
    with Server(command, base_path, "--max_num_load_retries=0", "--load_retry_interval_micros=-1") as server:
        yield server


def test_newer_version_replaces_the_older_without_a_failed_request(
    server: Server, base_path: Path, tmp_path: Path
) -> None:
    failures: list[str] = []
    done = threading.Event()

    def traffic() -> None:
        while not done.is_set():
            reply = server.post({"instances": [1.0]})
            if not reply.ok:
                failures.append(reply.text)

    caller = threading.Thread(target=traffic)
    caller.start()
    models.line(tmp_path / "new", 3.0).rename(base_path / "2")
    wait_for(lambda: server.version() == 2, "version 2 is served", VERSION_TIMEOUT_SECONDS)
    assert server.post({"instances": [1.0]}).json() == {"predictions": [5.0]}
    done.set()
    caller.join()
    assert failures == []


def test_broken_newer_version_leaves_the_older_in_service(server: Server, base_path: Path) -> None:
    (base_path / "2").mkdir()
    (base_path / "2" / "saved_model.pb").write_bytes(b"not a model")

    def ended() -> bool:
        listed = requests.get(server.url("/v1/models/line"), timeout=5).json()["model_version_status"]
        return any((item["version"], item["state"]) == ("2", "END") for item in listed)

    wait_for(ended, "version 2 has failed", VERSION_TIMEOUT_SECONDS)
    assert server.post({"instances": [1.0]}).json() == {"predictions": [2.5]}


def test_half_copied_version_is_not_served(server: Server, base_path: Path) -> None:
    shutil.copytree(base_path / "1", base_path / ".2.partial")
    assert server.version() == 1


def test_sigterm_finishes_requests_and_exits_0(command: str, base_path: Path) -> None:
    with Server(command, base_path) as server:
        call = server.prediction.Predict.future(request("slow", x=[1.0]), timeout=60)
        # The slow call is on its way before the signal: a quick one after it on the same connection has been answered.
        server.prediction.Predict(request(x=[1.0]), timeout=30)
        server.process.terminate()
        assert call.result().outputs["y"].float_val[0] > 0
        assert server.process.wait(60) == 0


def test_bad_warm_up_record_fails_the_load(command: str, base_path: Path) -> None:
    folder = base_path / "1" / "assets.extra"
    folder.mkdir()
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.signature_name = "no such"
    with tf.io.TFRecordWriter(str(folder / "tf_serving_warmup_requests")) as writer:
        writer.write(log.SerializeToString())
    code, _, told = run(command, f"--model_base_path={base_path}", "--max_num_load_retries=0")
    assert code == 255
    assert 'Serving signature key "no such" not found.' in told


def test_missing_model_ends_the_start_after_its_retries(command: str, tmp_path: Path) -> None:
    (tmp_path / "empty" / "1").mkdir(parents=True)
    flags = ("--max_num_load_retries=1", "--load_retry_interval_micros=-1")
    code, printed, told = run(command, f"--model_base_path={tmp_path / 'empty'}", *flags)
    assert code == 255
    assert "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available" in told
    assert printed == ""


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "Error: INVALID_ARGUMENT"),
        (["--port=0", "--model_base_path=/x"], "Error: INVALID_ARGUMENT"),
        (["--batching_parameters_file=x", "--model_base_path=/x"], "server_options.enable_batching to true."),
        (["--port=many"], "usage:"),
    ],
)
def test_bad_start_exits_255(command: str, flags: list[str], told: str) -> None:
    code, printed, found = run(command, *flags)
    assert code == 255
    # Usage is printed; why a start failed is told on the standard error stream, as everything that goes wrong is.
    assert told in (printed if told == "usage:" else found)
    assert "Failed to start server" not in printed


def test_version_is_printed(command: str) -> None:
    code, output, _ = run(command, "--version")
    assert code == 0
    assert "TensorFlow ModelServer: " in output
    assert "TensorFlow Library: " in output


def test_model_that_fails_every_request_is_told_once_in_the_log(command: str, tmp_path: Path) -> None:
    models.keras_without_variables(tmp_path / "models" / "4")
    log = tmp_path / "log"
    shell = f"sh -c 'exec \"$@\" 2>{log}' sh {command}"
    with Server(shell, tmp_path / "models", name="keras") as server:
        assert server.states() == {4: "AVAILABLE"}
        for _ in range(3):
            reply = server.post({"instances": [[1.0, 2.0, 3.0, 4.0]]})
            assert reply.status_code == 400
            assert "Could not find variable" in reply.json()["error"]
        # A client's own mistakes are nothing to tell.
        assert server.post({"instances": [["x"]]}).status_code == 400
    told = [line for line in log.read_text().splitlines() if " ERROR " in line]
    assert len(told) == 1
    assert "every Predict of {name: keras version: 4} with signature 'serving_default' has failed so far" in told[0]
