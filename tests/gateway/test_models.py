"""What /predict answers for every kind of model: by its task, or raw; never something that looks right and is not."""

from __future__ import annotations

import base64
import concurrent.futures
import math
from typing import TYPE_CHECKING, Any

import pytest
import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.gateway.processes import Api

SIGMOID_3 = 1 / (1 + math.exp(-3))
PNG = tf.io.encode_png(tf.zeros((2, 2, 1), tf.uint8)).numpy()

# model, what it is told by values, the input, the answer
ANSWERS: list[tuple[str, tuple[str, ...], Any, Any]] = [
    ("sigmoid", (), [3, 0, 0, 0], {"prediction": "yes", "probability": "0.9526"}),
    ("sigmoid", (), [-3, 0, 0, 0], {"prediction": "no", "probability": "0.9526"}),
    ("sigmoid", ("--model-task=raw",), [3, 0, 0, 0], {"outputs": {"output_0": [pytest.approx(SIGMOID_3)]}}),
    ("logits", (), [1, 2, 3], {"outputs": {"scores": [10.0, 20.0, 30.0]}}),
    ("described_logits", (), [0, 0, 1], {"prediction": "c", "probability": "0.9999"}),
    ("softmax", (), [0, 0, 0], {"outputs": {"probabilities": [pytest.approx(1 / 3)] * 3}}),
    (
        "softmax",
        ("--model-task=classification", '--model-labels=["x", "y", "z"]'),
        [0, 9, 0],
        {"prediction": "y", "probability": "0.9998"},
    ),
    ("softmax", ("--model-task=classification",), [0, 9, 0], {"prediction": "1", "probability": "0.9998"}),
    (
        "multilabel",
        (),
        [3, -3, 0],
        {
            "prediction": ["cat", "indoors"],
            "probabilities": {"cat": pytest.approx(SIGMOID_3), "dog": pytest.approx(1 - SIGMOID_3), "indoors": 0.5},
        },
    ),
    ("price", (), [100, 200, 300, 400.5], {"prediction": 1000.5}),
    ("price_vector", (), [100, 200, 300, 400], {"outputs": {"output_0": 1000.0}}),
    ("price_vector", ("--model-task=regression",), [100, 200, 300, 400], {"prediction": 1000.0}),
    ("embedding", (), [1, 2, 3, 4], {"outputs": {"output_0": [10.0] * 8}}),
    ("embedding", ("--model-task=regression",), [1, 2, 3, 4], {"prediction": [10.0] * 8}),
    ("segmentation", (), [[[1], [2]], [[3], [4]]], {"outputs": {"output_0": [[[pytest.approx(1 / 3)] * 3] * 2] * 2}}),
    ("segmentation", (), [1, 2, 3, 4], {"outputs": {"output_0": [[[pytest.approx(1 / 3)] * 3] * 2] * 2}}),
    ("two_inputs", (), {"a": [1, 2, 3, 4], "b": [5]}, {"prediction": "left", "probability": "0.5000"}),
    ("two_inputs", (), {"a": [1, 2, 3, 4], "b": 5}, {"prediction": "left", "probability": "0.5000"}),
    ("two_outputs", (), [1, 2], {"outputs": {"double": [2.0, 4.0], "sum": 3.0}}),
    ("text", (), "good film", {"outputs": {"output_0": [0.5, 0.5]}}),
    ("text", (), ["good film"], {"outputs": {"output_0": [0.5, 0.5]}}),
    ("text", (), {"text": {"b64": "Z29vZCBmaWxt"}}, {"outputs": {"output_0": [0.5, 0.5]}}),
    (
        "image_bytes",
        (),
        {"b64": base64.b64encode(PNG).decode()},
        {"outputs": {"same_bytes": {"b64": base64.b64encode(PNG).decode()}, "size": [2, 2, 1]}},
    ),
    ("variable_length", (), [1, 2, 3], {"prediction": 6.0}),
    ("variable_length", (), [5], {"prediction": 5.0}),
    ("int64_ids", (), 9007199254740993, {"outputs": {"last_digit": 3, "same": [9007199254740993]}}),
    ("int64_ids", (), [-(2**63)], {"outputs": {"last_digit": 2, "same": [-(2**63)]}}),
    ("int64_ids", (), [3.0], {"outputs": {"last_digit": 3, "same": [3]}}),
    ("half", (), [1.5, 2], {"outputs": {"double": [3.0, 4.0]}}),
    ("bfloat16", (), [1.5, 2], {"outputs": {"double": [3.0, 4.0]}}),
    ("uint64", (), [2**64 - 1, 0], {"outputs": {"same": [2**64 - 1, 0]}}),
    ("booleans", (), [True, False], {"outputs": {"both": False}}),
    (
        "fixed_batch",
        (),
        [5, 5, 0, 0],
        {"outputs": {"scores": [pytest.approx(1 / (1 + math.exp(-10))), pytest.approx(4.5397872e-05)]}},
    ),
    ("batch_of_three", (), [1, 2], {"outputs": {"sum": 3.0}}),
    (
        "estimator",
        (),
        "def main(): pass",
        {"outputs": {"classes": ["Python", "other"], "scores": [pytest.approx(0.9), pytest.approx(0.1)]}},
    ),
    ("estimator", ("--model-task=classification",), "def f(): 1", {"prediction": "Python", "probability": "0.9000"}),
    ("unknown_rank", (), [[1, 2], [3, 4]], {"outputs": {"sum": 10.0}}),
    ("unknown_rank", (), 7, {"outputs": {"sum": 7.0}}),
    ("scalar", (), 2.5, {"outputs": {"double": 5.0}}),
    ("not_a_number", (), 4, {"outputs": {"root": 2.0}}),
    ("not_a_number", (), -4, {"outputs": {"root": None}}),
    ("picture", (), [255] * 784, {"prediction": "light", "probability": "1.0000"}),
    ("refuses_zeros", (), [1, 2], {"outputs": {"sum": 3.0}}),
    ("lite", (), [1, 2], {"outputs": {"y": [3.0, 6.0]}}),
]


@pytest.mark.parametrize(("model", "flags", "value", "answer"), ANSWERS, ids=lambda case: str(case)[:40])
def test_one_input_is_answered_by_the_models_task(
    api_of: Callable[..., Api], model: str, flags: tuple[str, ...], value: Any, answer: Any
) -> None:
    assert api_of(model, *flags).predict(value) == answer


@pytest.mark.parametrize(("model", "flags", "value", "answer"), ANSWERS, ids=lambda case: str(case)[:40])
def test_several_inputs_are_answered_in_order(
    api_of: Callable[..., Api], model: str, flags: tuple[str, ...], value: Any, answer: Any
) -> None:
    reply = api_of(model, *flags).post("/predict", {"inputs": [value, value, value, value]})
    assert reply.ok, reply.text
    assert reply.json() == {"predictions": [answer] * 4}


# model, what it is told by values, the input, the status, what is said
REFUSALS: list[tuple[str, tuple[str, ...], Any, int, str]] = [
    (
        "logits",
        ("--model-task=classification",),
        [1, 2, 3],
        500,
        "probabilities from 0 to 1 in scores, got 10 in row 0",
    ),
    ("logits", ("--model-task=multilabel",), [1, 2, 3], 500, "probabilities from 0 to 1"),
    ("multilabel", ("--model-task=classification",), [3, 3, 3], 500, "probabilities that add up to 1"),
    ("segmentation", ("--model-task=classification",), [1, 2, 3, 4], 500, "one vector a row"),
    ("two_outputs", ("--model-task=regression",), [1, 2], 500, "task regression reads one numeric output"),
    ("softmax", ("--model-task=classification", '--model-labels=["a", "b"]'), [1, 2, 3], 500, "2 labels"),
    ("not_a_number", ("--model-task=regression",), -4, 500, "finite numbers in root, got nan in row 0"),
    ("unusable", (), [1], 500, "no signature 'serving_default' (model.signature); it has other"),
    ("sigmoid", (), [1, 2, 3], 422, "input: expected 4 numbers, got 3 values"),
    ("sigmoid", (), [1, 2, "3", 4], 422, 'input[2]: expected a number, got "3"'),
    ("sigmoid", (), [1, 2, True, 4], 422, "input[2]: expected a number, got true"),
    ("sigmoid", (), [1e39, 0, 0, 0], 422, "input[0]: expected a finite number that fits float32"),
    ("sigmoid", (), [[1], [2, 3]], 422, "input[1]: expected 4 numbers, got a list of 2 beside a list of 1"),
    ("segmentation", (), [[[1], [2]], [[3], 4]], 422, "input[1][1]"),
    ("two_inputs", (), [1, 2, 3, 4, 5], 422, "expected an object with 'a', 'b', got a list of 5"),
    ("two_inputs", (), {"a": [1, 2, 3, 4]}, 422, "'b' is missing"),
    ("two_inputs", (), {"a": [1, 2, 3, 4], "b": [1], "c": 1}, 422, "'c' is not one"),
    ("int64_ids", (), [9007199254740993.0], 422, "input[0]: expected a whole number in digits (int64)"),
    (
        "int64_ids",
        (),
        [2**63],
        422,
        "from -9223372036854775808 to 9223372036854775807 (int64), got 9223372036854775808",
    ),
    ("int64_ids", (), [2**64], 422, "input[0]: expected a whole number"),
    ("booleans", (), [1, 0], 422, "input[0]: expected true or false, got 1"),
    ("text", (), 5, 422, 'expected a text or {"b64": "..."}'),
    ("text", (), {"b64": "%"}, 422, "expected base64"),
    ("half", (), [1e6, 0], 422, "finite number that fits float16"),
    ("refuses_zeros", (), [0, 0], 422, "the model refused the request"),
]


@pytest.mark.parametrize(("model", "flags", "value", "status", "words"), REFUSALS, ids=lambda case: str(case)[:40])
def test_what_does_not_fit_is_an_error_that_never_says_retry(
    api_of: Callable[..., Api], model: str, flags: tuple[str, ...], value: Any, status: int, words: str
) -> None:
    reply = api_of(model, *flags).post("/predict", {"input": value})
    assert (reply.status_code, words in reply.json()["error"]) == (status, True), reply.text
    assert "retry-after" not in reply.headers


def test_rows_of_strangers_never_meet_in_a_model_of_one_row(api_of: Callable[..., Api]) -> None:
    api = api_of("fixed_batch")
    alone = {value: api.predict(list(value)) for value in ((5, 5, 0, 0), (0, 0, 5, 5))}
    asked = [(5, 5, 0, 0), (0, 0, 5, 5)] * 100
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda value: api.predict(list(value)), asked)) == [alone[value] for value in asked]


def test_rows_of_different_shapes_are_answered_each(api_of: Callable[..., Api]) -> None:
    reply = api_of("variable_length").post("/predict", {"inputs": [[1, 2, 3], [4], [5, 6, 7], [8, 9]]})
    assert [answer["prediction"] for answer in reply.json()["predictions"]] == [6.0, 4.0, 18.0, 17.0]


def test_one_bad_row_fails_alone_among_those_it_travelled_with(api_of: Callable[..., Api]) -> None:
    api = api_of("refuses_zeros")

    def ask(i: int) -> int:
        return api.post("/predict", {"input": [i, i]}).status_code

    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        found = list(pool.map(ask, range(96)))
    assert found == [422] + [200] * 95


def test_top_adds_the_likeliest_classes(api_of: Callable[..., Api]) -> None:
    api = api_of("softmax", "--model-task=classification", '--model-labels=["x", "y", "z"]')
    answer = api.post("/predict?top=2", {"input": [0, 2, 1]}).json()
    assert answer == {
        "prediction": "y",
        "probability": "0.6652",
        "classes": [{"label": "y", "probability": "0.6652"}, {"label": "z", "probability": "0.2447"}],
    }


def test_unusable_model_is_told_where_people_look(api_of: Callable[..., Api]) -> None:
    api = api_of("unusable")
    reply = api.get("/readyz")
    assert reply.status_code == 503
    assert "no signature 'serving_default'" in reply.json()["error"]
    assert "retry-after" not in reply.headers


def test_model_that_refuses_zeros_is_ready(api_of: Callable[..., Api]) -> None:
    assert api_of("refuses_zeros").get("/readyz").status_code == 200


def test_model_tells_of_itself(api_of: Callable[..., Api]) -> None:
    facts = api_of("sigmoid").get("/v1/model").json()
    assert facts["task"] == "classification"
    assert facts["labels"] == ["no", "yes"]
    assert facts["inputs"] == {"features": {"dtype": "float32", "shape": [None, 4]}}
    assert facts["outputs"] == {"output_0": {"dtype": "float32", "shape": [None, 1]}}
    assert facts["example"] == {
        "request": {"input": [3, 0, 0, 0]},
        "response": {"prediction": "yes", "probability": "0.9526"},
    }


def test_example_in_the_facts_is_answered_as_it_says(api_of: Callable[..., Api]) -> None:
    api = api_of("sigmoid")
    example = api.get("/v1/model").json()["example"]
    assert api.post("/predict", example["request"]).json() == example["response"]
