"""TensorFlow Serving's REST in front of a model that is a numpy function."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from model_api import serving_rest
from model_api.errors import ApiError, InputError, ModelError, TooSlowError, UnavailableError
from model_api.serving_rest import ServingRest
from model_description.protos import serving_pb2
from model_description.signature import TensorSpec
from serving_codec.status import Code, ServingError
from tests.unit.api.computing import Computing, request, same, signature_of

if TYPE_CHECKING:
    from model_api.gateway import Gateway
    from model_api.reply import Reply

MODEL = "/v1/models/the%20model"
BODY = b'{"instances": [[1, 2]]}'


def echo(given: Any) -> Any:
    """Answer `y` with `x`."""
    return {"y": given["x"]}


def over(gateway: Computing) -> ServingRest:
    """Return the protocol in front of a gateway."""
    return ServingRest(cast("Gateway", gateway))


def handled(rest: ServingRest, path: str, body: bytes | None = None, **more: Any) -> Reply:
    """Return what a path is answered."""
    return asyncio.run(rest.handle(request(path, body, **more)))


def predicted(gateway: Computing, body: bytes, path: str = f"{MODEL}:predict") -> Any:
    """Return the JSON of an answer; fail when it is refused."""
    reply = handled(over(gateway), path, body)
    assert reply.status == 200, reply.body
    return json.loads(reply.body)


def error_of(reply: Reply) -> tuple[int, str]:
    """Return the status and the words of a refusal."""
    return reply.status, json.loads(reply.body)["error"]


@pytest.fixture
def gateway() -> Computing:
    """Return a gateway of a model that answers with its two floats."""
    return Computing(echo, same("float32"))


@pytest.fixture
def rest(gateway: Computing) -> ServingRest:
    """Return the protocol in front of it."""
    return over(gateway)


@pytest.mark.parametrize(
    ("dtype", "row"),
    [
        ("int64", [2**63 - 1, -(2**63)]),
        ("uint64", [2**64 - 1, 0]),
        ("float64", [0.1, 1e300]),
        ("float16", [0.5, 65504.0]),
        ("bfloat16", [0.5, 3.0]),
        ("bool", [True, False]),
        ("string", ["a", "\u00e4\n"]),
    ],
)
def test_values_of_every_dtype_come_back_as_they_were(dtype: str, row: list[Any]) -> None:
    model = Computing(echo, same(dtype))
    assert predicted(model, json.dumps({"instances": [row]}).encode()) == {"predictions": [row]}
    assert predicted(model, json.dumps({"inputs": {"x": [row]}}).encode()) == {"outputs": [row]}


def test_several_tensors_are_named_in_rows_and_columns() -> None:
    spec = {name: TensorSpec(name, "float32", (None,)) for name in "abcd"}
    signature = signature_of({"a": spec["a"], "b": spec["b"]}, {"c": spec["c"], "d": spec["d"]})
    model = Computing(lambda given: {"c": given["a"] + given["b"], "d": given["a"] - given["b"]}, signature)
    assert predicted(model, b'{"instances": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]}') == {
        "predictions": [{"c": 3.0, "d": -1.0}, {"c": 7.0, "d": -1.0}]
    }
    assert predicted(model, b'{"inputs": {"a": [1, 3], "b": [2, 4]}}') == {
        "outputs": {"c": [3.0, 7.0], "d": [-1.0, -1.0]}
    }


def test_not_a_number_and_infinity_travel_both_ways(gateway: Computing) -> None:
    text = handled(over(gateway), f"{MODEL}:predict", b'{"instances": [[NaN, -Infinity]]}').body
    assert b"[NaN, -Infinity]" in text


def test_version_of_the_path_is_asked_with_its_own_signature() -> None:
    model = Computing(echo, same("int64"), same("float32"))
    assert predicted(model, BODY, f"{MODEL}/versions/1:predict") == {"predictions": [[1, 2]]}
    assert (model.calls[-1].version, model.calls[-1].inputs["x"].dtype.name) == (1, "int64")
    assert predicted(model, BODY) == {"predictions": [[1.0, 2.0]]}
    assert model.calls[-1].version is None


def test_label_is_asked_with_its_versions_signature_and_looked_up_once() -> None:
    model = Computing(echo, same("int64"), same("float32"))
    model.labels["stable"] = 1
    rest = over(model)
    for _ in range(3):
        reply = handled(rest, f"{MODEL}/labels/stable:predict", BODY)
        assert (reply.status, reply.version) == (200, 1)
    assert [call.label for call in model.calls] == ["stable"] * 3
    assert model.calls[-1].inputs["x"].dtype == np.int64
    assert model.asked == ["GetModelMetadata"]


def test_label_that_nobody_gave_is_refused_in_the_servers_words(rest: ServingRest) -> None:
    reply = handled(rest, f"{MODEL}/labels/nobodys:predict", BODY)
    assert error_of(reply) == (400, "Unrecognized servable version label: nobodys")


def test_labels_that_are_remembered_are_few() -> None:
    model = Computing(echo, same("float32"))
    rest = over(model)
    for number in range(2 * serving_rest.MAXIMUM_LABELS):
        model.labels[f"l{number}"] = 1
        handled(rest, f"{MODEL}/labels/l{number}:predict", BODY)
    assert len(rest._labels) == serving_rest.MAXIMUM_LABELS


def test_predict_asks_for_no_metadata(gateway: Computing) -> None:
    predicted(gateway, BODY)
    assert gateway.asked == []


def test_request_read_for_a_version_that_is_gone_is_read_for_the_next_one() -> None:
    model = Computing(echo, same("float32", (None, 2)), same("string", (None, 2)))
    model.current = 1
    assert predicted(model, b'{"instances": [["a", "b"]]}') == {"predictions": [["a", "b"]]}


def test_signature_that_is_not_there_is_told(rest: ServingRest) -> None:
    reply = handled(rest, f"{MODEL}:predict", b'{"instances": [[1, 2]], "signature_name": "model_description"}')
    assert error_of(reply) == (400, 'Serving signature name: "model_description" not found in signature def')


def test_metadata_is_written_once_while_the_servers_say_the_same(rest: ServingRest, gateway: Computing) -> None:
    first = handled(rest, f"{MODEL}/metadata").body
    assert handled(rest, f"{MODEL}/metadata").body is first
    gateway.versions[7] = gateway.versions[max(gateway.versions)]
    assert json.loads(handled(rest, f"{MODEL}/metadata").body)["model_spec"]["version"] == "7"


def test_metadata_hides_what_the_model_says_of_itself(rest: ServingRest) -> None:
    reply = handled(rest, f"{MODEL}/metadata")
    content = json.loads(reply.body)
    assert list(content["metadata"]["signature_def"]["signature_def"]) == ["serving_default"]
    assert content["model_spec"] == {"name": "the model", "signature_name": "", "version": "1"}


def test_status_lists_versions(rest: ServingRest) -> None:
    ok = {"error_code": "OK", "error_message": ""}
    assert json.loads(handled(rest, MODEL).body) == {
        "model_version_status": [{"version": "1", "state": "AVAILABLE", "status": ok}]
    }


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/v1/models/other", None, "Could not find any versions of model other"),
        ("/v1/models/other/metadata", None, "Servable not found for request: Latest(other)"),
        ("/v1/models/other:predict", b"{}", "Servable not found for request: Latest(other)"),
        ("/v1/models/other/versions/3:regress", b"{}", "Servable not found for request: Specific(other, 3)"),
        (f"{MODEL}/versions/9:predict", BODY, "Servable not found for request: Specific(the model, 9)"),
    ],
)
def test_what_is_not_served_is_not_found(rest: ServingRest, path: str, body: bytes | None, words: str) -> None:
    reply = handled(rest, path, body)
    assert error_of(reply) == (404, words)
    assert reply.headers == ()


@pytest.mark.parametrize(
    ("path", "body", "query", "words"),
    [
        ("/v1/models", None, "", "Missing model name in request."),
        (f"{MODEL}:predict", None, "", f"Malformed request: GET {MODEL}:predict"),
        (f"{MODEL}:predict", b"{}", "a=b", f"Malformed request: POST {MODEL}:predict?a=b"),
        (MODEL, b"{}", "", f"Malformed request: POST {MODEL}"),
        (f"{MODEL}:predict", b"{}", "", "Missing 'inputs' or 'instances' key"),
        (f"{MODEL}:classify", b"{}", "", "When method is classify, key 'examples' is expected and was not found"),
    ],
)
def test_malformed_requests_are_refused(
    rest: ServingRest, path: str, body: bytes | None, query: str, words: str
) -> None:
    assert error_of(handled(rest, path, body, query=query)) == (400, words)


def test_version_beyond_64_bits_is_refused_without_a_word(rest: ServingRest) -> None:
    reply = handled(rest, f"{MODEL}/versions/9223372036854775808")
    assert (reply.status, reply.body) == (400, b"")


def _caused(error: ApiError, code: Code, words: str) -> ApiError:
    error.__cause__ = ServingError(code, words)
    return error


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (ServingError(Code.INVALID_ARGUMENT, "wrong"), 400, "wrong"),
        (ServingError(Code.UNIMPLEMENTED, "never"), 501, "never"),
        (_caused(InputError("told so"), Code.INVALID_ARGUMENT, "in its words"), 400, "in its words"),
        (_caused(ModelError("told so"), Code.FAILED_PRECONDITION, "in its words"), 400, "in its words"),
        (TooSlowError("no answer within 5 s"), 504, "no answer within 5 s"),
        (ModelError("no such rows"), 500, "no such rows"),
    ],
)
def test_errors_have_the_servers_status_and_words(
    gateway: Computing, error: Exception, status: int, words: str
) -> None:
    gateway.error = error
    reply = handled(over(gateway), f"{MODEL}:predict", BODY)
    assert error_of(reply) == (status, words)
    assert reply.headers == ()


@pytest.mark.parametrize(
    "error",
    [
        UnavailableError("9 rows are waiting already"),
        ServingError(Code.UNAVAILABLE, "no server is ready yet"),
        ServingError(Code.NOT_FOUND, "Servable not found for request: Latest(the model)"),
        _caused(UnavailableError("so"), Code.NOT_FOUND, "Servable not found for request: Latest(the model)"),
        _caused(UnavailableError("so"), Code.RESOURCE_EXHAUSTED, "too many"),
    ],
)
def test_model_that_is_away_is_worth_another_try(gateway: Computing, error: Exception) -> None:
    gateway.error = error
    reply = handled(over(gateway), f"{MODEL}:predict", BODY)
    assert (reply.status, dict(reply.headers)) == (503, {b"retry-after": b"1"})


def test_classify_sends_examples_and_tells_classes(gateway: Computing) -> None:
    response = serving_pb2.ClassificationResponse()
    response.result.classifications.add().classes.add(label="Python", score=0.5)
    response.model_spec.version.value = 4
    gateway.replies["Classify"] = response
    reply = handled(over(gateway), f"{MODEL}:classify", b'{"examples": [{"x": 1.5}]}')
    assert (json.loads(reply.body), reply.version) == ({"results": [[["Python", 0.5]]]}, 4)


def test_regress_tells_values(gateway: Computing) -> None:
    response = serving_pb2.RegressionResponse()
    response.result.regressions.add(value=2.5)
    gateway.replies["Regress"] = response
    reply = handled(over(gateway), f"{MODEL}:regress", b'{"examples": [{"x": "a"}]}')
    assert json.loads(reply.body) == {"results": [2.5]}


def test_examples_carry_the_context_unless_they_say_otherwise(
    gateway: Computing, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[serving_pb2.RegressionRequest] = []
    response = serving_pb2.RegressionResponse()
    response.result.regressions.add(value=1)

    async def raw(_: str, content: bytes) -> bytes:
        sent.append(serving_pb2.RegressionRequest.FromString(content))
        return bytes(response.SerializeToString())

    monkeypatch.setattr(gateway, "raw", raw)
    body = b'{"context": {"a": 1, "b": 1}, "examples": [{"b": 2}], "signature_name": "s"}'
    handled(over(gateway), f"{MODEL}/versions/3:regress", body)
    (example,) = sent[0].input.example_list.examples
    assert {name: list(one.int64_list.value) for name, one in example.features.feature.items()} == {"a": [1], "b": [2]}
    assert (sent[0].model_spec.version.value, sent[0].model_spec.signature_name) == (3, "s")


def test_answer_of_a_dtype_it_was_not_known_with_is_written_as_it_is(gateway: Computing) -> None:
    gateway.compute = lambda _: {"y": np.array([[2**63 - 1]])}
    assert predicted(gateway, BODY) == {"predictions": [[2**63 - 1]]}
