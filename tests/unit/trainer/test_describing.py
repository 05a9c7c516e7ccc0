"""What a compiled model tells of its task, and examples of every type as JSON has them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from model_description import saved_model
from trainer import Data, Recipe, describing, export

LOSSES = keras.losses


@pytest.mark.parametrize(
    ("units", "loss", "told"),
    [
        (3, "sparse_categorical_crossentropy", ("classification", "probabilities")),
        (3, LOSSES.SparseCategoricalCrossentropy(from_logits=True), ("classification", "logits")),
        (3, LOSSES.CategoricalCrossentropy(), ("classification", "probabilities")),
        (1, "binary_crossentropy", ("classification", "probabilities")),
        (1, LOSSES.BinaryCrossentropy(from_logits=True), ("classification", "logits")),
        (3, "binary_crossentropy", ("multilabel", "probabilities")),
        (1, "mse", ("regression", "")),
        (2, LOSSES.Huber(), ("regression", "")),
        (1, "mae", ("regression", "")),
        (3, LOSSES.KLDivergence(), ("raw", "")),
        (3, lambda true, guess: keras.ops.mean(true - guess), ("raw", "")),
    ],
)
def test_loss_tells_the_task_where_it_is_certain(units: int, loss: Any, told: tuple[str, str]) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(units)])
    model.compile("sgd", loss)
    assert describing._task(model) == told


def test_map_and_several_outputs_are_raw() -> None:
    given = keras.Input((4, 4, 1))
    mapped = keras.Model(given, keras.layers.Conv2D(3, 1)(given))
    mapped.compile("sgd", "sparse_categorical_crossentropy")
    assert describing._task(mapped) == ("raw", "")
    x = keras.Input((2,))
    both = keras.Model(x, {"a": keras.layers.Dense(1)(x), "b": keras.layers.Dense(1)(x)})
    both.compile("sgd", "mse")
    assert describing._task(both) == ("raw", "")


class Mixed(Recipe):
    """Have inputs of several types."""

    labels = ("no", "yes")

    def model(self, data: Data) -> keras.Model:
        """Return a model of a number and a word."""
        del data
        number, word = keras.Input((2,), name="number"), keras.Input((1,), name="word", dtype="string")
        hashed = keras.ops.cast(keras.layers.Hashing(10)(word), "float32")
        joined = keras.layers.Concatenate()([number, hashed])
        model = keras.Model({"number": number, "word": word}, keras.layers.Dense(1, "sigmoid", name="score")(joined))
        model.compile("sgd", "binary_crossentropy")
        return model


def test_example_of_several_inputs_is_told_by_name(tmp_path: Any) -> None:
    features = {"number": np.ones((4, 2), np.float64), "word": np.array([["a"], ["ü"], ["c"], ["d"]])}
    labels = np.zeros((4, 1), np.float32)
    recipe, data = Mixed(), Data(train=(features, labels), test=(features, labels))
    model = recipe.model(data)
    recipe.export(model, tmp_path / "model")
    content, rows = describing.result(recipe, model, data, {"loss": 0.123456789}, tmp_path / "model")
    assert content["example"]["inputs"] == {"number": [1.0, 1.0], "word": ["a"]}
    assert list(content["example"]["outputs"]) == ["score"]
    assert (content["task"], content["metrics"]) == ("classification", {"loss": 0.123457})
    assert rows["word"][1, 0] == "ü".encode()
    signature = saved_model.read_signatures(tmp_path / "model")[export.SIGNATURE]
    assert {name: one.dtype for name, one in signature.inputs.items()} == {"number": "float32", "word": "string"}
    assert len(export.warmup_records(rows)) == 5


def test_warmup_requests_of_large_rows_are_few() -> None:
    assert len(export.warmup_records({"x": np.zeros((1, 1 << 18), np.float32)})) == 2


def test_bytes_that_are_no_text_are_told_as_base64() -> None:
    assert describing._json(b"\xff\x0f") == {"b64": "/w8="}
    assert describing._json(np.array([0.1], np.float32)) == [0.100000001]
    assert describing._json(np.array([2**53 + 1])) == [2**53 + 1]
