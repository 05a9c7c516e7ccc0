"""A model that answers much, or tells much of itself, keeps nobody waiting: what is large is written on threads."""

from __future__ import annotations

import contextlib
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import requests
from google.protobuf import json_format
from tensorflow_serving.apis import classification_pb2, get_model_metadata_pb2, get_model_status_pb2, predict_pb2

from tests.bystander import Watch
from tests.contract import models
from tests.contract.conftest import Server
from tests.contract.test_models import config, listed
from tests.contract.test_monitoring import PAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.timed

# On a thread of two busy cores; on an event loop what follows takes 1 to 10 s.
OTHERS_SECONDS = 0.4
SIGNATURES, TENSORS = 100, 100
# Of large answers at once, which take some 10 s on two cores; who waits for half of them is no small one.
CALLERS, SMALL_SECONDS = 32, 1.0


@pytest.fixture(scope="module")
def answering(command: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a server of a model that answers as much as it is asked for, with a metrics page."""
    folder = tmp_path_factory.mktemp("answering")
    models.answering(folder / "answering" / "1")
    (folder / "monitoring.txt").write_text(f'prometheus_config: {{ enable: true, path: "{PAGE}" }}')
    flags = [f"--monitoring_config_file={folder / 'monitoring.txt'}"]
    with Server(command, folder / "answering", *flags, name="answering") as server:
        yield server


@contextlib.contextmanager
def rest_status(server: Server) -> Iterator[Callable[[], str]]:
    """Yield what asks for the model's status on a kept connection."""
    with requests.Session() as session:
        yield lambda: "" if session.get(server.url(f"/v1/models/{server.name}"), timeout=60).ok else "not ok"


@contextlib.contextmanager
def grpc_status(server: Server) -> Iterator[Callable[[], str]]:
    """Yield what asks for the model's status on a channel that is kept."""
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = server.name

    def ask() -> str:
        try:
            server.models.GetModelStatus(request, timeout=60)
        except grpc.RpcError as error:
            return str(error)
        return ""

    yield ask


def by_rest(server: Server, signature: str, n: int) -> requests.Response:
    reply = server.post({"signature_name": signature, "inputs": [n]})
    assert reply.ok, reply.text[:300]
    return reply


def by_grpc(server: Server, signature: str, n: int) -> Any:
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = server.name, signature
    request.inputs["n"].dtype = 9
    request.inputs["n"].tensor_shape.dim.add(size=1)
    request.inputs["n"].int64_val.append(n)
    return server.prediction.Predict(request, timeout=60).outputs["y"]


def runs(server: Server) -> int:
    """Return how often a graph was run."""
    found = re.search(r"^:tensorflow:core:graph_runs\{\} (\d+)$", server.get(PAGE).text, re.MULTILINE)
    assert found
    return int(found[1])


@pytest.mark.parametrize(
    ("signature", "n"), [("many", 2_000_000), ("whole", 3_000_000), ("none", 3_000_000), ("texts", 1_000_000)]
)
def test_answer_that_is_large_for_one_value_is_not_written_on_rests_loop(
    answering: Server, signature: str, n: int
) -> None:
    # As often as it takes to be held for quick.
    for _ in range(10):
        by_rest(answering, signature, 1)
    before = runs(answering)
    with Watch(answering.process.pid, rest_status(answering)) as watch:
        answer = by_rest(answering, signature, n)
    # Read by now, for others in this process would wait meanwhile.
    outputs = answer.json()["outputs"]
    assert len(outputs if signature == "none" else outputs[0]) == n
    # What ran on the loop is not run once more.
    assert runs(answering) == before + 1
    assert not watch.failures
    assert watch.slowest_seconds < OTHERS_SECONDS


def test_answer_that_is_large_for_one_value_is_not_written_on_grpcs_loop(answering: Server) -> None:
    for _ in range(10):
        by_grpc(answering, "whole", 1)
    before = runs(answering)
    with Watch(answering.process.pid, grpc_status(answering)) as watch:
        answer = by_grpc(answering, "whole", 6_000_000)
    assert len(answer.int64_val) == 6_000_000
    assert runs(answering) == before + 1
    assert not watch.failures
    assert watch.slowest_seconds < OTHERS_SECONDS


@contextlib.contextmanager
def classifying(server: Server) -> Iterator[Callable[[], str]]:
    """Yield what asks, on each port, for what is little and always answered on a thread."""
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name, request.model_spec.signature_name = server.name, "classes"
    request.input.example_list.examples.append(models.example(x=1.0))
    path = f"/v1/models/{server.name}:classify"

    def ask() -> str:
        server.prediction.Classify(request, timeout=60)
        reply = server.post({"signature_name": "classes", "examples": [{"x": 1.0}]}, path)
        return "" if reply.ok else reply.text

    yield ask


@pytest.mark.parametrize(("ask", "n"), [(by_rest, 1_000_000), (by_grpc, 3_000_000)])
def test_dozens_of_large_answers_keep_no_small_one_waiting(
    answering: Server, ask: Callable[[Server, str, int], Any], n: int
) -> None:
    for _ in range(2):
        ask(answering, "whole", n)
    with ThreadPoolExecutor(CALLERS) as callers, Watch(answering.process.pid, classifying(answering)) as watch:
        # What they are answered is let go here: memory is the server's.
        sizes = [callers.submit(lambda: ask(answering, "whole", n) and 1) for _ in range(CALLERS)]
        assert sum(size.result() for size in sizes) == CALLERS
    assert not watch.failures
    assert watch.slowest_seconds < SMALL_SECONDS


def test_metadata_of_many_signatures_is_not_written_on_rests_loop(command: str, tmp_path: Path) -> None:
    models.line(tmp_path / "line" / "1", 0.5)
    models.signatures(tmp_path / "many" / "1", SIGNATURES, TENSORS)
    (tmp_path / "models.txt").write_text(listed(config("line", tmp_path / "line"), config("many", tmp_path / "many")))
    asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    asked.model_spec.name = "many"
    found = get_model_metadata_pb2.SignatureDefMap()
    with Server(command, None, f"--model_config_file={tmp_path / 'models.txt'}") as server:
        with Watch(server.process.pid, rest_status(server)) as watch:
            told = requests.get(server.url("/v1/models/many/metadata"), timeout=60).json()["metadata"]["signature_def"]
        assert server.prediction.GetModelMetadata(asked, timeout=60).metadata["signature_def"].Unpack(found)
    assert set(found.signature_def) == set(told["signature_def"])
    assert json_format.ParseDict(told, get_model_metadata_pb2.SignatureDefMap()) == found
    assert len(found.signature_def) == SIGNATURES
    assert not watch.failures
    assert watch.slowest_seconds < OTHERS_SECONDS
