"""A real model server looks at what was trained: what it answers alike is published, what it does not is not."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import tensorflow as tf

from model_description import saved_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.publishing.conftest import Pod

pytestmark = pytest.mark.usefixtures("server")


def test_model_that_answers_its_example_is_published_described(pod: Pod) -> None:
    pod.leave(labels=[], task="regression", data={"name": "sums", "sha256": "a" * 64})
    done = pod.run("publish")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^blessed: loaded in \d+\.\d s, answered its example in 0\.\d\d s$", done.stdout, re.MULTILINE)
    assert pod.versions() == [1]
    told = saved_model.read_description(pod.store / pod.name / "0123456789ab" / "1")
    assert told is not None
    assert (told.task, told.key, told.metrics["accuracy"]) == ("regression", "0123456789ab", 0.9)
    assert told.data["sha256"] == "a" * 64
    assert len(told.weights_sha256) == 64
    assert pod.reason() == ""


@pytest.mark.parametrize(
    ("expected", "variables", "code"),
    [
        ([10.0005], {}, 0),
        ([10.01], {}, 3),
        ([10.01], {"ABSOLUTE_TOLERANCE": "0.1"}, 0),
        ([10.01], {"RELATIVE_TOLERANCE": "0.01"}, 0),
        ([10.0005], {"ABSOLUTE_TOLERANCE": "0", "RELATIVE_TOLERANCE": "0"}, 3),
    ],
)
def test_answer_may_be_off_by_the_tolerances_alone(
    pod: Pod, expected: list[float], variables: dict[str, str], code: int
) -> None:
    pod.leave({"inputs": {"numbers": [1, 2, 3, 4]}, "outputs": {"output_0": expected}})
    done = pod.run("publish", **variables)
    assert done.returncode == code, done.stderr
    assert pod.versions() == [1] * (code == 0)
    if code:
        assert re.search(
            r"the server answers the model's example with output_0 \[\[10\.\]\], training computed "
            r"\[\[10\.0\d+\]\], up to \S+ apart: nothing was published",
            pod.reason(),
        )


def test_model_that_cannot_be_loaded_is_told_at_once_with_the_servers_reason(pod: Pod) -> None:
    pod.leave()
    shutil.rmtree(pod.output / "model" / "variables")
    done = pod.run("publish", BLESSING_TIMEOUT_SECONDS="300")
    assert done.returncode == 3
    assert re.search(r"the server cannot load the model: .*checkpoint.*: nothing was published", pod.reason())
    assert pod.versions() == []


def test_server_that_does_not_come_is_told_after_the_blessings_own_time(pod: Pod) -> None:
    pod.leave()
    done = pod.run("publish", SERVER_GRPC="127.0.0.1:9", BLESSING_TIMEOUT_SECONDS="1")
    assert done.returncode == 3
    assert "the server did not load the model in 1 s (training.blessing.timeoutSeconds)" in pod.reason()
    assert "container server" in pod.reason()


def test_model_without_an_example_is_loaded_and_that_is_said(pod: Pod) -> None:
    pod.leave()
    (pod.output / "result.json").unlink()
    done = pod.run("publish")
    assert done.returncode == 0, done.stderr
    assert "there is no example to ask it" in done.stdout


def test_blessing_can_be_left_out(pod: Pod) -> None:
    pod.leave({"inputs": {"numbers": [1, 2, 3, 4]}, "outputs": {"output_0": [999]}})
    done = pod.run("publish", BLESSING="false")
    assert done.returncode == 0, done.stderr
    assert "blessed" not in done.stdout


CASES: dict[str, tuple[Any, Any, Any, Any]] = {
    "half": (lambda x: {"y": x * 2}, tf.TensorSpec((None, 2), tf.half, name="x"), [0.1, 3], [0.2, 6]),
    "bfloat16": (lambda x: {"y": x * 2}, tf.TensorSpec((None, 2), tf.bfloat16, name="x"), [0.1, 3], [0.2, 6]),
    "double": (lambda x: {"y": x * 2}, tf.TensorSpec((None, 2), tf.double, name="x"), [0.1, 3], [0.2, 6]),
    "int64": (lambda x: {"y": x + 1}, tf.TensorSpec((None,), tf.int64, name="x"), 2**53 + 1, 2**53 + 2),
    "boolean": (lambda x: {"y": x > 1}, tf.TensorSpec((None, 2), tf.float32, name="x"), [0, 3], [False, True]),
    "text": (lambda x: {"y": tf.strings.upper(x)}, tf.TensorSpec((None,), tf.string, name="x"), "abc", "ABC"),
    "bytes": (
        lambda x: {"y": tf.strings.length(x)},
        tf.TensorSpec((None,), tf.string, name="x"),
        {"b64": "/w8="},
        2,
    ),
    "fixed rows": (lambda x: {"y": x * 2}, tf.TensorSpec((3, 2), tf.float32, name="x"), [1, 3], [2, 6]),
    "no rows": (lambda x: {"y": x * 2}, tf.TensorSpec((), tf.float32, name="x"), 3, 6),
    "other size": (lambda x: {"y": x[:, :1]}, tf.TensorSpec((None, None), tf.float32, name="x"), [5, 6, 7], [5]),
}


@pytest.mark.lengthy
@pytest.mark.parametrize("name", CASES)
def test_example_of_any_type_is_asked_and_compared(pod: Pod, save: Callable[..., None], name: str) -> None:
    function, spec, given, answer = CASES[name]
    save(function, spec, {"inputs": {"x": given}, "outputs": {"y": answer}})
    done = pod.run("publish")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("name", "wrong"), [("int64", 2**53 + 3), ("text", "ABD"), ("boolean", [True, True])])
def test_what_is_exact_by_nature_is_compared_exactly(
    pod: Pod, save: Callable[..., None], name: str, wrong: Any
) -> None:
    function, spec, given, _ = CASES[name]
    save(function, spec, {"inputs": {"x": given}, "outputs": {"y": wrong}})
    done = pod.run("publish")
    assert done.returncode == 3, done.stdout
    assert "nothing was published" in pod.reason()


def test_example_that_does_not_fit_the_model_is_bad_input(pod: Pod) -> None:
    pod.leave({"inputs": {"numbers": ["a", "b", "c", "d"]}, "outputs": {"output_0": [1]}})
    done = pod.run("publish")
    assert done.returncode == 2
    assert "the example in the result file does not fit the model" in pod.reason()
