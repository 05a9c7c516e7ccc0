"""Classify, Regress and MultiInference, over REST and gRPC (docs/serving-contract.md, sections 2 and 3)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

from tests.contract import models
from tests.contract.conftest import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLASSIFY, REGRESS = "/v1/models/examples:classify", "/v1/models/examples:regress"


@pytest.fixture(scope="module")
def server(command: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a server of a TF1 model that takes Examples."""
    base_path = tmp_path_factory.mktemp("examples")
    models.examples(base_path / "7")
    with Server(command, base_path, name="examples") as server:
        yield server


def classification(signature: str = "classify", *values: float) -> Any:
    """Return a ClassificationRequest of one Example for each value of x."""
    made = classification_pb2.ClassificationRequest()
    made.model_spec.name, made.model_spec.signature_name = "examples", signature
    made.input.example_list.examples.extend(models.example(x=value) for value in values)
    return made


def regression(signature: str = "regress", *values: float) -> Any:
    """Return a RegressionRequest of one Example for each value of x."""
    made = regression_pb2.RegressionRequest()
    made.model_spec.name, made.model_spec.signature_name = "examples", signature
    made.input.example_list.examples.extend(models.example(x=value) for value in values)
    return made


def multi(*tasks: tuple[str, str], value: float = 2.0) -> Any:
    """Return a MultiInferenceRequest of (signature, method) tasks."""
    made = inference_pb2.MultiInferenceRequest()
    for signature, method in tasks:
        task = made.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name, task.model_spec.signature_name = "examples", signature
    made.input.example_list.examples.append(models.example(x=value))
    return made


def refusal(call: Any, request: Any) -> tuple[str, str]:
    """Return the code and the words a call is refused with."""
    with pytest.raises(grpc.RpcError) as refused:
        call(request, timeout=10)
    return refused.value.code().name, str(refused.value.details())


def test_grpc_classifies_with_labels_and_scores(server: Server) -> None:
    reply = server.prediction.Classify(classification("classify", 2.0, 4.0), timeout=10)
    found = [[(one.label, one.score) for one in row.classes] for row in reply.result.classifications]
    assert found == [[("low", 3.0), ("high", -2.0)], [("low", 4.0), ("high", -3.0)]]
    spec = reply.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("examples", 7, "classify")


def test_scores_without_labels_have_empty_ones(server: Server) -> None:
    reply = server.prediction.Classify(classification("scores_only", 2.0), timeout=10)
    assert [(one.label, one.score) for one in reply.result.classifications[0].classes] == [("", 3.0), ("", -2.0)]


def test_grpc_regresses(server: Server) -> None:
    reply = server.prediction.Regress(regression("regress", 2.0, 4.0), timeout=10)
    assert [one.value for one in reply.result.regressions] == [3.0, 4.0]


def test_context_is_in_front_of_every_example(server: Server) -> None:
    asked = regression()
    asked.input.example_list_with_context.context.CopyFrom(models.example(x=6.0))
    asked.input.example_list_with_context.examples.extend([models.example(), models.example(x=2.0)])
    reply = server.prediction.Regress(asked, timeout=10)
    assert [one.value for one in reply.result.regressions] == [5.0, 3.0]


def test_multi_inference_answers_each_task_from_one_run(server: Server) -> None:
    reply = server.prediction.MultiInference(multi(("regress", "regress"), ("classify", "classify")), timeout=10)
    first, second = reply.results
    assert first.regression_result.regressions[0].value == 3.0
    assert [one.label for one in second.classification_result.classifications[0].classes] == ["low", "high"]
    assert (first.model_spec.version.value, second.model_spec.signature_name) == (7, "classify")


def test_multi_inference_feeds_every_signature_of_a_tf2_export(command: str, tmp_path: Path) -> None:
    models.tf2_examples(tmp_path / "1")
    with Server(command, tmp_path, name="examples") as server:
        for tasks in ([("regress", "regress"), ("classify", "classify")], [("classify", "classify")]):
            reply = server.prediction.MultiInference(multi(*tasks), timeout=10)
            by_signature = {result.model_spec.signature_name: result for result in reply.results}
            (row,) = by_signature["classify"].classification_result.classifications
            assert [(one.label, one.score) for one in row.classes] == [("low", 3.0), ("high", -2.0)]
        both = server.prediction.MultiInference(multi(("regress", "regress"), ("classify", "classify")), timeout=10)
        assert both.results[0].regression_result.regressions[0].value == 3.0


@pytest.mark.parametrize(
    ("asked", "code", "told"),
    [
        (classification("none", 1.0), "INVALID_ARGUMENT", "No signature was found with the name: none"),
        (classification("nothing", 1.0), "INVALID_ARGUMENT", "Expected classification signature outputs to contain"),
        (classification("serving_default", 1.0), "INVALID_ARGUMENT", "No classification inputs found in SignatureDef"),
        (classification("classify"), "INVALID_ARGUMENT", "Input is empty."),
        (classification_pb2.ClassificationRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
    ],
)
def test_classify_refuses_in_upstreams_words(server: Server, asked: Any, code: str, told: str) -> None:
    found, words = refusal(server.prediction.Classify, asked)
    assert found == code
    assert told in words


def test_regression_of_two_columns_is_refused(server: Server) -> None:
    words = "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [1,2]"
    assert refusal(server.prediction.Regress, regression("wide", 1.0)) == ("INVALID_ARGUMENT", words)


def test_multi_inference_refuses_in_upstreams_words(server: Server) -> None:
    call = server.prediction.MultiInference
    assert refusal(call, multi(("regress", "regress"), ("regress", "regress"))) == (
        "INVALID_ARGUMENT",
        "Duplicate evaluation of signature: regress",
    )
    assert refusal(call, multi(("none", "regress"))) == (
        "INVALID_ARGUMENT",
        "Requested signature not found in model graph: none",
    )
    assert refusal(call, multi(("regress", "rank"))) == (
        "UNIMPLEMENTED",
        "Unsupported signature method_name: tensorflow/serving/rank",
    )
    two = multi(("regress", "regress"), ("classify", "classify"))
    two.tasks[1].model_spec.name = "other"
    assert "must access the same model name" in refusal(call, two)[1]
    two.tasks[1].model_spec.name = ""
    assert "Found ModelSpec with an empty model name." in refusal(call, two)[1]


def test_rest_classifies_and_regresses(server: Server) -> None:
    body = {"signature_name": "classify", "examples": [{"x": 2.0}, {"x": [4.0]}]}
    assert server.post(body, CLASSIFY).json() == {
        "results": [[["low", 3.0], ["high", -2.0]], [["low", 4.0], ["high", -3.0]]]
    }
    with_context = {"signature_name": "regress", "context": {"x": 6.0}, "examples": [{}, {"x": 2.0}]}
    assert server.post(with_context, REGRESS).json() == {"results": [5.0, 3.0]}


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        (CLASSIFY, "{}", "When method is classify, key 'examples' is expected and was not found"),
        (REGRESS, "{}", "When method is regress, key 'examples' is expected and was not found"),
        (CLASSIFY, '{"examples": []}', "'examples' value is an empty array"),
        (CLASSIFY, '{"examples": {}}', "Expecting 'examples' value to be an list/array"),
        (CLASSIFY, '{"examples": [[1]]}', "Example must be JSON object but got JSON Array"),
        (CLASSIFY, '{"examples": [{"x": null}]}', "Feature: x has element with unexpected JSON type: Null"),
        (CLASSIFY, '{"examples": [{"x": [2, 2.0]}]}', "Unexpected element type in feature: x expecting type: int64"),
        (
            CLASSIFY,
            '{"examples": [{"x": 18446744073709551615}]}',
            "Feature: x has uint64_t element. Only int64_t is supported.",
        ),
        (
            CLASSIFY,
            '{"signature_name": "none", "examples": [{"x": 1.0}]}',
            "No signature was found with the name: none",
        ),
    ],
)
def test_rest_refuses_in_upstreams_words(server: Server, path: str, body: str, told: str) -> None:
    reply = server.post(body, path)
    assert reply.status_code == 400
    assert told in reply.json()["error"]


def test_examples_take_base64_as_tensors_do(server: Server) -> None:
    encoded = models.example(x=2.0).SerializeToString()
    lines = base64.encodebytes(encoded).decode()
    body = {"signature_name": "regress", "inputs": {"inputs": [{"b64": lines}, {"b64": lines.strip().rstrip("=")}]}}
    assert server.post(body).json() == {"outputs": [[3.0], [3.0]]}
    by_feature = {"signature_name": "regress", "examples": [{"x": 2.0, "note": {"b64": "AA\nE"}}]}
    assert server.post(by_feature, REGRESS).json() == {"results": [3.0]}
    url_safe = {"signature_name": "regress", "examples": [{"x": 2.0, "note": {"b64": "-_8="}}]}
    assert server.post(url_safe, REGRESS).json() == {"error": "Unable to base64 decode"}


@pytest.mark.parametrize("path", [CLASSIFY, REGRESS])
@pytest.mark.parametrize("example", ['{"x": "\\ud83d"}', '{"\\ud83d": 1}', '{"x": ["a", "\\udc00"]}'])
def test_half_an_emoji_in_an_example_is_refused(server: Server, path: str, example: str) -> None:
    reply = server.post('{"examples": [' + example + "]}", path)
    assert reply.status_code == 400
    assert "The surrogate pair in string is invalid." in reply.json()["error"]


def test_predict_reaches_any_signature_by_its_aliases(server: Server) -> None:
    encoded = models.example(x=2.0).SerializeToString()
    body = {"signature_name": "regress", "inputs": {"inputs": [{"b64": base64.b64encode(encoded).decode()}]}}
    assert server.post(body).json() == {"outputs": [[3.0]]}


def test_tf1_predict_feeds_what_the_graph_takes(server: Server) -> None:
    # [3] into a signature of [-1, 1]: static shapes are not enforced.
    assert server.post({"instances": [1.0, 2.0, 5.0]}).json() == {"predictions": [2.5, 3.0, 4.5]}
