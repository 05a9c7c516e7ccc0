"""The document of a served model says what the gateway takes and answers: no more, and no less."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import hypothesis
import jsonschema
import openapi_spec_validator
import pytest
import schemathesis

from tests.gateway.test_models import ANSWERS, REFUSALS
from tests.gateway.zoo import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.gateway.processes import Api

# What JSON Schema has no words for: digits of a whole number, and what only the model knows.
BEYOND_SCHEMAS = ("in digits (int64)", "the model refused")
UNFIT = [case for case in REFUSALS if case[3] == 422 and not any(words in case[4] for words in BEYOND_SCHEMAS)]
CONTENT = ("content", "application/json", "schema")


def validator_of(document: dict[str, Any], *place: str) -> jsonschema.Draft202012Validator:
    """Return the validator of a schema in a document; its references are to the document's components."""
    schema = functools.reduce(lambda found, name: found[name], place, document)
    return jsonschema.Draft202012Validator(schema | {"components": document["components"]})


def request_of(document: dict[str, Any]) -> jsonschema.Draft202012Validator:
    """Return the validator of a body of /predict."""
    return validator_of(document, "paths", "/predict", "post", "requestBody", *CONTENT)


def reply_of(document: dict[str, Any]) -> jsonschema.Draft202012Validator:
    """Return the validator of an answer of /predict."""
    return validator_of(document, "paths", "/predict", "post", "responses", "200", *CONTENT)


def document_of(api: Api) -> dict[str, Any]:
    """Return a gateway's document."""
    reply = api.get("/openapi.json")
    assert reply.ok, reply.text
    document: dict[str, Any] = reply.json()
    return document


@pytest.mark.parametrize("model", MODELS)
def test_document_of_every_kind_of_model_is_openapi(api_of: Callable[..., Api], model: str) -> None:
    openapi_spec_validator.validate(document_of(api_of(model)))


@pytest.mark.parametrize(("model", "flags", "value"), [case[:3] for case in ANSWERS], ids=lambda case: str(case)[:40])
def test_what_is_taken_and_answered_is_as_described(
    api_of: Callable[..., Api], model: str, flags: tuple[str, ...], value: Any
) -> None:
    api = api_of(model, *flags)
    document = document_of(api)
    for body in ({"input": value}, {"inputs": [value, value]}):
        request_of(document).validate(body)
        reply = api.post("/predict", body)
        assert reply.ok, reply.text
        reply_of(document).validate(reply.json())


@pytest.mark.parametrize(("model", "flags", "value"), [case[:3] for case in UNFIT], ids=lambda case: str(case)[:40])
def test_what_is_refused_is_not_described(
    api_of: Callable[..., Api], model: str, flags: tuple[str, ...], value: Any
) -> None:
    assert not request_of(document_of(api_of(model, *flags))).is_valid({"input": value})


@pytest.mark.parametrize("body", [{}, {"input": [1, 2, 3], "inputs": [[1, 2, 3]]}, {"inputs": []}, [1, 2, 3]], ids=str)
def test_body_without_exactly_one_of_its_keys_is_not_described(api_of: Callable[..., Api], body: Any) -> None:
    api = api_of("logits")
    assert api.post("/predict", body).status_code in {400, 422}
    assert not request_of(document_of(api)).is_valid(body)


def test_classes_are_described_where_they_are_asked_for(api_of: Callable[..., Api]) -> None:
    api = api_of("sigmoid")
    document = document_of(api)
    assert [parameter["name"] for parameter in document["paths"]["/predict"]["post"]["parameters"]] == ["top"]
    reply_of(document).validate(api.post("/predict?top=2", {"input": [3, 0, 0, 0]}).json())


@pytest.mark.parametrize("query", ["top=", "top=-1", "top=1.5", "top=two"])
def test_number_of_classes_that_is_none_is_refused(api_of: Callable[..., Api], query: str) -> None:
    assert api_of("sigmoid").post(f"/predict?{query}", {"input": [3, 0, 0, 0]}).status_code == 422


def test_refusal_is_as_described(api_of: Callable[..., Api]) -> None:
    api = api_of("sigmoid")
    document = document_of(api)
    error = validator_of(document, "components", "responses", "422", *CONTENT)
    error.validate(api.post("/predict", {"input": [1]}).json())


@pytest.mark.parametrize("model", ["sigmoid", "picture", "unknown_rank", "unusable"])
@pytest.mark.parametrize("path", ["/v1/model", "/v2", "/v2/models/{}", "/v1/models/{}/metadata"])
def test_facts_are_as_described(api_of: Callable[..., Api], model: str, path: str) -> None:
    api = api_of(model)
    path = path.format(model)
    reply = api.get(path)
    document = document_of(api)
    if reply.ok:
        validator_of(document, "paths", path, "get", "responses", "200", *CONTENT).validate(reply.json())
    else:
        validator_of(document, "components", "schemas", "Error").validate(reply.json())


def test_model_that_cannot_be_used_is_described_with_its_problem(api_of: Callable[..., Api]) -> None:
    operation = document_of(api_of("unusable"))["paths"]["/predict"]["post"]
    assert "no signature 'serving_default'" in operation["description"]
    assert set(operation["responses"]) == {"500", "503"}


def test_picture_is_described_where_it_is_taken(api_of: Callable[..., Api]) -> None:
    def kinds_of(model: str) -> set[str]:
        return set(document_of(api_of(model))["paths"]["/predict"]["post"]["requestBody"]["content"])

    assert kinds_of("sigmoid") == {"application/json"}
    assert kinds_of("picture") == {"application/json", "image/png", "image/jpeg", "multipart/form-data"}


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: str(mode.value))
@pytest.mark.parametrize("model", ["sigmoid", "two_inputs", "booleans"])
def test_made_up_requests_are_answered_as_described(
    api_of: Callable[..., Api], model: str, mode: schemathesis.GenerationMode
) -> None:
    api = api_of(model)
    operation = schemathesis.openapi.from_dict(document_of(api))["/predict"]["POST"]

    @hypothesis.settings(
        max_examples=40,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=api.url(""))

    ask()
