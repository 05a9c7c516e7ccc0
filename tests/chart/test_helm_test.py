"""`helm test`: a pod that fails unless the model answers its own example, here against a small API of our own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.rendering import at, containers, environment, render
from tests.chart.stand_in import AWAY, EXAMPLE, SEVEN, Api, listening

if TYPE_CHECKING:
    from tests.chart.rendering import Rendered


def run(rendered: Rendered, url: str, give_up_after_seconds: int = 30) -> subprocess.CompletedProcess[str]:
    """Run the test pod's own command against a URL, with less patience where the test waits for its end."""
    (container,) = containers(rendered.one("Pod")).values()
    script = container["args"][0].replace(
        "GIVE_UP_AFTER_SECONDS = 30", f"GIVE_UP_AFTER_SECONDS = {give_up_after_seconds}"
    )
    assert container["command"] == ["python3", "-c"]
    env = {**os.environ, **environment(container), "URL": url}
    return subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False, timeout=60
    )


def run_on(api: Api, give_up_after_seconds: int = 30) -> subprocess.CompletedProcess[str]:
    """Run the test pod's command of a default release against a stand-in."""
    with listening(api) as url:
        return run(render(), url, give_up_after_seconds)


def test_expected_answer_passes() -> None:
    api = Api([SEVEN])
    done = run_on(api)
    assert done.returncode == 0, done.stderr
    assert 'version 3 of mnist answers its own example: {"prediction": "7"' in done.stdout
    assert api.bodies == [EXAMPLE["request"]]


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        pytest.param(
            {"prediction": "7", "probability": "0.9987"}, {"prediction": "7", "probability": "0.9899"}, id="p"
        ),
        pytest.param({"prediction": 1034.5}, {"prediction": 1035}, id="number"),
        pytest.param({"prediction": [1, 0.0]}, {"prediction": [1.0005, 0.00009]}, id="numbers"),
        pytest.param({"outputs": {"a": [[None, "x"]]}}, {"outputs": {"a": [[None, "x"]]}}, id="nested"),
        pytest.param({"outputs": {"a": True}}, {"outputs": {"a": True}}, id="boolean"),
        pytest.param(
            {"prediction": ["cat"], "probabilities": {"cat": 0.91, "dog": 0.1}},
            {"prediction": ["cat"], "probabilities": {"dog": 0.10005, "cat": 0.9104}},
            id="multilabel",
        ),
    ],
)
def test_answer_that_says_the_same_passes(expected: dict[str, Any], found: dict[str, Any]) -> None:
    done = run_on(Api([(200, found)], example={"request": {"input": 1}, "response": expected}))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        pytest.param({"prediction": "7", "probability": "0.9"}, {"prediction": "3", "probability": "0.9"}, id="class"),
        pytest.param({"prediction": "7", "probability": "0.9"}, {"prediction": "7", "probability": "0.88"}, id="p"),
        pytest.param({"prediction": "7", "probability": "0.9"}, {"prediction": "7"}, id="less"),
        pytest.param({"prediction": 1034.5}, {"prediction": 1036}, id="number"),
        pytest.param({"prediction": [1, 2]}, {"prediction": [1]}, id="length"),
        pytest.param({"outputs": {"a": 1}}, {"outputs": {"b": 1}}, id="name"),
        pytest.param({"outputs": {"a": "1"}}, {"outputs": {"a": "1.0"}}, id="text-of-a-number"),
        pytest.param({"outputs": {"a": 1}}, {"outputs": {"a": True}}, id="type"),
        pytest.param({"outputs": {"a": None}}, {"outputs": {"a": 0}}, id="nothing"),
    ],
)
def test_other_answer_fails(expected: dict[str, Any], found: dict[str, Any]) -> None:
    done = run_on(Api([(200, found)], example={"request": {"input": 1}, "response": expected}))
    assert done.returncode == 1
    assert "expected {" in done.stderr
    assert ", got {" in done.stderr


def test_model_without_an_example_is_sent_nothing_and_has_to_be_ready() -> None:
    api = Api([SEVEN], example=None)
    done = run_on(api)
    assert done.returncode == 0, done.stderr
    assert "version 3 of mnist is ready; the model has no example of its own" in done.stdout
    assert api.bodies == []
    api.ready = (404, {"error": "no such model"})
    done = run_on(api)
    assert done.returncode == 1
    assert "/v2/models/mnist/ready answered 404" in done.stderr


@pytest.mark.parametrize(
    "facts", [{"version": None}, {"inputs": {}}, {"name": "other"}, {"problem": "takes a dtype the api cannot send"}]
)
def test_model_that_is_not_what_it_should_be_fails(facts: dict[str, Any]) -> None:
    done = run_on(Api([SEVEN], example=None, **facts))
    assert done.returncode == 1
    assert "expected mnist with a version and inputs, got {" in done.stderr


def test_bad_request_fails_at_once() -> None:
    api = Api([(422, {"error": "expected 4 numbers"})])
    done = run_on(api)
    assert done.returncode == 1
    assert "422" in done.stderr
    assert "expected 4 numbers" in done.stderr
    assert len(api.bodies) == 1


def test_endpoint_that_comes_late_is_waited_for() -> None:
    assert run_on(Api([AWAY, SEVEN])).returncode == 0


def test_answer_of_another_version_is_not_compared() -> None:
    done = run_on(Api([SEVEN], answered_by="4"), give_up_after_seconds=6)
    assert done.returncode == 1
    assert "version 3 was described and version 4 answered" in done.stderr


def test_server_that_stays_away_fails_with_its_reason() -> None:
    done = run_on(Api([AWAY]), give_up_after_seconds=6)
    assert done.returncode == 1
    assert "503" in done.stderr
    assert "no server answers" in done.stderr


def test_api_that_is_not_there_fails(default: Rendered) -> None:
    with listening(Api([AWAY])) as url:
        pass
    done = run(default, url, give_up_after_seconds=6)
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr


def test_pod_asks_the_api_and_leaves_nothing(rendered: Rendered) -> None:
    pod = rendered.one("Pod")
    annotations = at(pod, "metadata.annotations")
    assert annotations["helm.sh/hook"] == "test"
    assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded,hook-failed"
    assert annotations["helm.sh/hook-output-log-policy"] == "hook-succeeded,hook-failed"
    assert (at(pod, "spec.restartPolicy"), at(pod, "spec.activeDeadlineSeconds")) == ("Never", 60)
    service = next(item for item in rendered.of_kind("Service") if at(item, "metadata.name").endswith("-api"))
    (container,) = containers(pod).values()
    assert environment(container) == {
        "URL": f"http://{at(service, 'metadata.name')}:{at(service, 'spec.ports')[0]['port']}",
        "MODEL_NAME": environment(rendered.container("api"))["MODEL_NAME"],
    }
    assert container["image"] == rendered.container("api")["image"]
