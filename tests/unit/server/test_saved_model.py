"""Which runs stay in their caller's thread, and what a run's deadline does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import predict_pb2

from model_server import predict_reply, saved_model
from model_server.saved_model import (
    QUICK_ELEMENTS,
    QUICK_SECONDS,
    RUNS_OF_DISTRUST,
    Experience,
    SavedModel,
    SessionOptions,
)
from serving_codec import json_outputs
from serving_codec.json_tensors import Output
from serving_codec.status import Code, ServingError
from tests.contract import models

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture
def model(tmp_path: Path) -> SavedModel:
    """Return a loaded model of many signatures, one of which loops."""
    return SavedModel(models.line(tmp_path / "1", 0.5), SessionOptions())


def run(model: SavedModel, signature: str, timeout_ms: int | None = None, rows: int = 2) -> NDArray[np.float32]:
    """Return a signature's answer for ones (row,)."""
    wanted = model.signatures[signature]
    feeds = {wanted.inputs["x"].name: np.ones(rows, np.float32)}
    (answer,) = model.run(feeds, [next(iter(wanted.outputs.values())).name], timeout_ms)
    return answer


def fed(model: SavedModel, rows: int) -> dict[str, NDArray[np.float32]]:
    """Return feeds of so many rows."""
    return {model.signatures["serving_default"].inputs["x"].name: np.ones(rows, np.float32)}


def fetched(model: SavedModel) -> list[str]:
    """Return what a run for serving_default's outputs fetches."""
    return [info.name for info in model.signatures["serving_default"].outputs.values()]


def is_quick(model: SavedModel, rows: int) -> bool:
    return model.is_quick(fed(model, rows), fetched(model))


@pytest.fixture
def known() -> Experience:
    """Return what is known after a quick run on 8 bytes."""
    known = Experience(is_tried=True)
    known.learn(8, nanoseconds=0, elements=1)
    return known


def test_a_graph_with_a_loop_is_never_quick(model: SavedModel) -> None:
    for _ in range(5):
        run(model, "serving_default")
    assert not is_quick(model, 1)


def test_a_bounded_graph_is_quick_for_as_much_as_was_quick_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However busy the machine is.
    monkeypatch.setattr(saved_model, "QUICK_SECONDS", 60.0)
    bounded = SavedModel(models.bounded(tmp_path / "1"), SessionOptions())
    # The first makes the graph; the second is quick, but in the session's threads; so is the third, in its caller's.
    for _ in range(2):
        assert not is_quick(bounded, 1)
        run(bounded, "serving_default", rows=2)
    assert is_quick(bounded, 2)
    assert not is_quick(bounded, 3)
    assert not bounded.is_quick(fed(bounded, 2), [*fetched(bounded), *fetched(bounded)])


def test_nothing_is_quick_beside_a_first_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_model, "QUICK_SECONDS", 60.0)
    bounded = SavedModel(models.bounded(tmp_path / "1"), SessionOptions())
    for _ in range(3):
        run(bounded, "serving_default", rows=2)
    found, here = [], bounded._run

    def watched(*arguments: Any) -> Any:
        found.append(is_quick(bounded, 2))
        return here(*arguments)

    monkeypatch.setattr(bounded, "_run", watched)
    for _ in range(2):
        bounded.run(fed(bounded, 2), [*fetched(bounded), *fetched(bounded)], timeout_ms=1)
    assert found == [False, True]
    assert is_quick(bounded, 2)


def test_a_run_that_takes_long_is_not_quick(known: Experience) -> None:
    known.learn(8, nanoseconds=int(QUICK_SECONDS * 1e9), elements=1)
    assert known.quick_bytes == 8
    known.learn(8, nanoseconds=int(QUICK_SECONDS * 1e9) + 1, elements=1)
    assert known.quick_bytes == 7


def test_a_run_that_answers_much_is_not_quick_since_writing_it_is_not(known: Experience) -> None:
    known.learn(8, nanoseconds=0, elements=QUICK_ELEMENTS)
    assert known.quick_bytes == 8
    known.learn(8, nanoseconds=0, elements=QUICK_ELEMENTS + 1)
    assert known.quick_bytes == 7


def test_what_answers_much_to_much_is_not_taken_to_answer_much_to_little(known: Experience) -> None:
    known.learn_much(8, QUICK_ELEMENTS)
    assert known.much_bytes == math.inf
    known.learn_much(1000, QUICK_ELEMENTS + 1)
    known.learn_much(8, 1)
    assert known.much_bytes == 1000
    known.learn_much(2000, 1)
    assert known.much_bytes == 2001


@pytest.mark.parametrize(
    "values",
    [
        [np.array(b"x" * 100_000, object)],
        [np.array([b"x" * 100_000, b""], object)],
        [np.zeros((100_000, 0, 4), np.float32)],
        [np.zeros((1, 0), np.float32)] * 1000,
    ],
    ids=["text", "texts", "lists of nothing", "outputs"],
)
def test_texts_lists_and_names_count_as_the_numbers_that_take_as_long(values: list[Any]) -> None:
    assert saved_model.elements_of(values) > QUICK_ELEMENTS


def test_what_turns_out_slow_is_not_believed_again_at_once(known: Experience) -> None:
    for _ in range(2):
        known.learn(4, nanoseconds=int(QUICK_SECONDS * 2e9), elements=1)
        for _ in range(RUNS_OF_DISTRUST):
            known.learn(8, nanoseconds=0, elements=1)
            assert known.quick_bytes == 3
        known.learn(8, nanoseconds=0, elements=1)
        assert known.quick_bytes == 8


def test_what_answers_much_again_is_believed_ever_later(known: Experience) -> None:
    for times in (1, 10, 100):
        known.learn(8, nanoseconds=0, elements=QUICK_ELEMENTS + 1)
        for _ in range(times * RUNS_OF_DISTRUST):
            known.learn(8, nanoseconds=0, elements=1)
            assert known.quick_bytes == 7
        known.learn(8, nanoseconds=0, elements=1)
        assert known.quick_bytes == 8


def test_more_choices_of_outputs_than_are_kept_are_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_model, "MAXIMUM_CALLABLES", 1)
    bounded = SavedModel(models.bounded(tmp_path / "1"), SessionOptions())
    for fetches in (fetched(bounded) * times for times in (1, 2, 1, 2)):
        bounded._known_of(fetches).quick_bytes = 80
        answers = bounded.run(fed(bounded, 2), fetches)
        assert [answer.tolist() for answer in answers] == [[2.5, 2.5]] * len(fetches)


def test_answers_are_the_same_in_either_thread(tmp_path: Path) -> None:
    bounded = SavedModel(models.bounded(tmp_path / "1"), SessionOptions())
    first = run(bounded, "serving_default", timeout_ms=10)
    bounded._known_of(fetched(bounded)).quick_bytes = 8
    np.testing.assert_array_equal(run(bounded, "serving_default", timeout_ms=10_000), first)


def test_a_deadline_ends_a_loop(model: SavedModel) -> None:
    with pytest.raises(ServingError) as late:
        run(model, "slow", timeout_ms=60)
    assert late.value.code is Code.DEADLINE_EXCEEDED


def test_one_text_alone_keeps_the_nuls_at_its_end(tmp_path: Path) -> None:
    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        text = v1.placeholder(tf.string, [], "text")
        signature = v1.saved_model.predict_signature_def({"text": text}, {"text": tf.identity(text, "same")})
        builder = v1.saved_model.Builder(str(tmp_path / "1"))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
    model = SavedModel(tmp_path / "1", SessionOptions())
    (answer,) = model.run({"text:0": np.array(b"ab\0\0", object)}, ["same:0"])
    output = Output("text", types_pb2.DT_STRING, answer)
    assert json_outputs.written([output], is_rows=False) == b'{\n    "outputs": "ab\\u0000\\u0000"\n}'
    reply = predict_pb2.PredictResponse.FromString(predict_reply.serialized("m", 1, "s", [output]))
    assert list(reply.outputs["text"].string_val) == [b"ab\0\0"]
