"""Which runs stay in their caller's thread, and what a run's deadline does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from model_server import saved_model
from model_server.saved_model import QUICK_ELEMENTS, QUICK_SECONDS, RUNS_OF_DISTRUST, SavedModel, SessionOptions
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


def test_a_graph_with_a_loop_is_never_quick(model: SavedModel) -> None:
    for _ in range(3):
        run(model, "serving_default")
    assert not model.is_quick(fed(model, 1))


def test_a_bounded_graph_is_quick_for_as_much_as_was_quick_before(tmp_path: Path) -> None:
    bounded = SavedModel(models.bounded(tmp_path / "1"), SessionOptions())
    assert not bounded.is_quick(fed(bounded, 1))
    bounded._learn(size=8, nanoseconds=int(QUICK_SECONDS * 1e9), elements=1)
    assert bounded.is_quick(fed(bounded, 2))
    assert not bounded.is_quick(fed(bounded, 3))
    bounded._learn(size=8, nanoseconds=int(QUICK_SECONDS * 1e9) + 1, elements=1)
    assert bounded.is_quick(fed(bounded, 1))
    assert not bounded.is_quick(fed(bounded, 2))


def test_a_run_that_answers_much_is_not_quick_since_writing_it_is_not(tmp_path: Path) -> None:
    bounded = SavedModel(models.bounded(tmp_path / "1"), SessionOptions())
    bounded._learn(size=8, nanoseconds=0, elements=QUICK_ELEMENTS)
    assert bounded.is_quick(fed(bounded, 2))
    bounded._learn(size=8, nanoseconds=0, elements=QUICK_ELEMENTS + 1)
    assert not bounded.is_quick(fed(bounded, 2))
    assert bounded.is_quick(fed(bounded, 1))


@pytest.mark.parametrize("texts", [b"x" * 100_000, np.array([b"x" * 100_000, b""], object)])
def test_long_texts_count_as_the_numbers_that_take_as_long(texts: Any) -> None:
    assert saved_model._elements([texts]) > QUICK_ELEMENTS


def test_a_signature_that_turns_out_slow_beside_a_quick_one_is_not_believed_again_at_once(tmp_path: Path) -> None:
    bounded = SavedModel(models.bounded(tmp_path / "1"), SessionOptions())
    bounded._learn(size=8, nanoseconds=0, elements=1)
    bounded._learn(size=4, nanoseconds=int(QUICK_SECONDS * 2e9), elements=1)
    for _ in range(RUNS_OF_DISTRUST):
        bounded._learn(size=8, nanoseconds=0, elements=1)
        assert not bounded.is_quick(fed(bounded, 1))
    bounded._learn(size=8, nanoseconds=0, elements=1)
    assert bounded.is_quick(fed(bounded, 2))


def test_more_choices_of_outputs_than_are_kept_are_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_model, "MAXIMUM_CALLABLES", 1)
    bounded = SavedModel(models.bounded(tmp_path / "1"), SessionOptions())
    bounded._learn(size=80, nanoseconds=0, elements=1)
    wanted = bounded.signatures["serving_default"]
    (output,) = wanted.outputs.values()
    for fetches in ([output.name], [output.name] * 2):
        answers = bounded.run(fed(bounded, 2), fetches)
        assert [answer.tolist() for answer in answers] == [[2.5, 2.5]] * len(fetches)


def test_answers_are_the_same_in_either_thread(tmp_path: Path) -> None:
    bounded = SavedModel(models.bounded(tmp_path / "1"), SessionOptions())
    first = run(bounded, "serving_default", timeout_ms=10)
    bounded._learn(size=8, nanoseconds=0, elements=1)
    np.testing.assert_array_equal(run(bounded, "serving_default", timeout_ms=10_000), first)


def test_a_deadline_ends_a_loop(model: SavedModel) -> None:
    with pytest.raises(ServingError) as late:
        run(model, "slow", timeout_ms=60)
    assert late.value.code is Code.DEADLINE_EXCEEDED
