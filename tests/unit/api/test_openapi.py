"""What the document says of inputs and answers, by dtype, shape and task."""

from __future__ import annotations

from typing import Any

import pytest

from model_api import config, openapi, schemas
from model_api.knowledge import Known
from model_description.description import Description, Example, InputDescription
from model_description.signature import Signature, TensorSpec

FLOATS = TensorSpec("x", "float32", (None, 4))
SCORES = TensorSpec("scores", "float32", (None, 2))
CONFIG = config.parse(["--model-name=odd name", "--max-inputs-per-request=9", "--max-body-bytes=1000"])


def known(
    *inputs: TensorSpec,
    outputs: tuple[TensorSpec, ...] = (SCORES,),
    task: str = "raw",
    labels: tuple[str, ...] = (),
    told: Description | None = None,
    optional: frozenset[str] = frozenset(),
) -> Known:
    """Return what is known of a version with these tensors."""
    signature = Signature(
        "serving_default",
        {spec.name: spec for spec in inputs},
        {spec.name: spec for spec in outputs},
        optional=optional,
    )
    return Known(3, {signature.name: signature}, told, signature, "", task, labels)


def component(of: Known, name: str) -> Any:
    """Return a component of the document of a version."""
    return openapi.document(of, CONFIG)["components"]["schemas"][name]


def predict(of: Known) -> dict[str, Any]:
    """Return what the document says of /predict."""
    operation: dict[str, Any] = openapi.document(of, CONFIG)["paths"]["/predict"]["post"]
    return operation


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("int8", {"type": "integer", "minimum": -128, "maximum": 127}),
        ("uint64", {"type": "integer", "minimum": 0, "maximum": 18446744073709551615}),
        ("bool", {"type": "boolean"}),
        ("string", {"$ref": "#/components/schemas/Text"}),
        ("float16", {"type": "number", "exclusiveMinimum": -65520.0, "exclusiveMaximum": 65520.0}),
    ],
)
def test_one_value_is_described_by_its_dtype(dtype: str, expected: dict[str, Any]) -> None:
    assert schemas.scalar(dtype) == expected


def test_fixed_shape_is_taken_nested_or_flat() -> None:
    flag = {"type": "boolean"}
    pair = {"type": "array", "items": flag, "minItems": 2, "maxItems": 2}
    assert schemas.taken(TensorSpec("x", "bool", (None, 3, 2)), (3, 2)) == {
        "anyOf": [
            {"type": "array", "items": pair, "minItems": 3, "maxItems": 3},
            {"type": "array", "items": flag, "minItems": 6, "maxItems": 6},
        ]
    }


def test_one_value_is_taken_alone_or_in_a_list() -> None:
    flag = {"type": "boolean"}
    listed = {"type": "array", "items": flag, "minItems": 1, "maxItems": 1}
    assert schemas.taken(TensorSpec("x", "bool", (None,)), ()) == {"anyOf": [flag, listed]}
    assert schemas.taken(TensorSpec("x", "bool", (None, 1)), (1,)) == {"anyOf": [listed, flag]}


def test_open_axes_have_no_length_and_are_never_flat() -> None:
    pair = {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 2}
    assert schemas.taken(TensorSpec("x", "bool", (None, None, 2)), (None, 2)) == {
        "type": "array",
        "items": pair,
        "minItems": 1,
    }


def test_unknown_rank_refers_to_itself() -> None:
    found = component(known(TensorSpec("x", "bool", None)), "Any-bool")
    again = {"$ref": "#/components/schemas/Any-bool"}
    assert found == {"anyOf": [{"type": "boolean"}, {"type": "array", "items": again}]}


def test_several_inputs_are_an_object_and_optional_ones_may_be_left_out() -> None:
    found = component(known(FLOATS, TensorSpec("y", "bool", (None,)), optional=frozenset({"y"})), "Input")
    assert (sorted(found["properties"]), found["required"], found["additionalProperties"]) == (["x", "y"], ["x"], False)


def test_request_has_exactly_one_of_its_keys_and_its_limit() -> None:
    found = component(known(FLOATS), "Request")
    assert found["oneOf"] == [{"required": ["input"]}, {"required": ["inputs"]}]
    assert (found["properties"]["inputs"]["minItems"], found["properties"]["inputs"]["maxItems"]) == (1, 9)


def test_input_is_described_with_what_the_model_says_of_it() -> None:
    told = Description(inputs={"x": InputDescription("", 0, 255, "grey levels")})
    bare = component(known(FLOATS, told=told), "Input")["anyOf"][0]
    assert bare["description"] == "4 numbers (float32); trained on 0 to 255; grey levels"


def test_classification_answers_one_of_its_labels() -> None:
    of = known(FLOATS, task="classification", labels=("cat", "dog"))
    assert component(of, "Label")["enum"] == ["cat", "dog"]
    assert component(of, "Answer")["required"] == ["prediction", "probability"]
    assert [parameter["name"] for parameter in predict(of)["parameters"]] == ["top"]


def test_classes_without_names_are_numbers() -> None:
    assert component(known(FLOATS, task="classification"), "Label")["pattern"] == "^[0-9]+$"


def test_multilabel_answers_a_probability_for_each_label() -> None:
    answer = component(known(FLOATS, task="multilabel", labels=("cat", "dog")), "Answer")
    assert answer["properties"]["probabilities"]["required"] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((None, 1), {"type": "number"}),
        ((None,), {"type": "number"}),
        ((None, 3), {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3}),
        (
            (None, None),
            {"anyOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}}]},
        ),
    ],
)
def test_regression_answers_a_number_or_as_many_as_there_are(
    shape: tuple[int | None, ...], expected: dict[str, Any]
) -> None:
    of = known(FLOATS, outputs=(TensorSpec("y", "float32", shape),), task="regression")
    assert component(of, "Answer")["properties"]["prediction"] == expected


def test_raw_answers_hold_null_for_numbers_that_json_has_not() -> None:
    outputs = component(known(FLOATS), "Answer")["properties"]["outputs"]
    assert outputs["required"] == ["scores"]
    assert outputs["properties"]["scores"] == {
        "title": "scores",
        "type": "array",
        "items": {"type": ["number", "null"]},
        "minItems": 2,
        "maxItems": 2,
    }


def test_output_without_a_row_axis_is_the_whole_answer() -> None:
    outputs = (TensorSpec("rows", "bool", (1, 5)), TensorSpec("whole", "bool", (5,)), TensorSpec("one", "bool", ()))
    found = component(known(TensorSpec("x", "float32", (1, 4)), outputs=outputs), "Answer")
    listed = {"type": "array", "items": {"type": "boolean"}, "minItems": 5, "maxItems": 5}
    assert found["properties"]["outputs"]["properties"] == {
        "rows": {"title": "rows"} | listed,
        "whole": {"title": "whole"} | listed,
        "one": {"title": "one", "type": "boolean"},
    }


def test_examples_are_the_models_own() -> None:
    told = Description(example=Example({"x": [1, 2, 3, 4]}, {"scores": [0.25, 0.75]}))
    operation = predict(known(FLOATS, told=told))
    assert operation["requestBody"]["content"]["application/json"]["example"] == {"input": [1, 2, 3, 4]}
    answer = operation["responses"]["200"]["content"]["application/json"]["example"]
    assert answer == {"outputs": {"scores": [0.25, 0.75]}}


def test_picture_is_a_body_where_an_input_is_described_as_one() -> None:
    told = Description(inputs={"x": InputDescription("image")})
    pixels = TensorSpec("x", "float32", (None, 8, 8))
    assert "image/png" in predict(known(pixels, told=told))["requestBody"]["content"]
    assert "image/png" not in predict(known(pixels))["requestBody"]["content"]


def test_every_error_is_a_sentence() -> None:
    document = openapi.document(known(FLOATS), CONFIG)
    statuses = set(document["paths"]["/predict"]["post"]["responses"])
    assert statuses == {"200", "400", "413", "415", "422", "500", "503", "504"}
    assert "1000 bytes" in document["components"]["responses"]["413"]["description"]
    assert document["components"]["schemas"]["Error"]["required"] == ["error"]


def test_paths_name_the_model_as_a_url_has_it() -> None:
    paths = openapi.document(known(FLOATS), CONFIG)["paths"]
    assert "/v1/models/odd%20name:predict" in paths
    assert "/v2/models/odd%20name/infer" in paths


def test_every_operation_has_a_name_of_its_own() -> None:
    paths = openapi.document(known(FLOATS), CONFIG)["paths"]
    names = [
        operation["operationId"]
        for item in paths.values()
        for method, operation in item.items()
        if method in {"get", "post"}
    ]
    assert len(names) == len(set(names))


def test_version_that_cannot_be_used_is_described_with_its_problem() -> None:
    operation = predict(Known(3, {}, None, None, "it has no signature", "raw", ()))
    assert operation["description"] == "it has no signature"
    assert set(operation["responses"]) == {"500", "503"}
