"""NOTES.txt: commands of this release, ready to be copied."""

from __future__ import annotations

import functools
import json
import re
import shlex
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from ci import paths, tools
from tests.chart.rendering import CASES, NAMESPACE, RELEASE, at, render_text
from tests.chart.stand_in import SEVEN, Api, listening

if TYPE_CHECKING:
    from pathlib import Path


@functools.cache
def notes(values: str) -> str:
    """Return what Helm prints after an installation with values."""
    command = [str(tools.helm()), "install", RELEASE, str(paths.CHART), f"--namespace={NAMESPACE}", "--values=-"]
    done = subprocess.run([*command, "--dry-run=client"], input=values, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:\n")[2]


def commands(text: str) -> list[list[str]]:
    """Return the words of every indented line, which are the commands."""
    return [shlex.split(line) for line in text.splitlines() if line.startswith("  ")]


def pipeline(text: str) -> str:
    """Return the line that sends the model's own example."""
    (line,) = [line.strip() for line in text.splitlines() if "/predict" in line]
    return line


def send(url: str) -> subprocess.CompletedProcess[bytes]:
    """Run that line in a shell against a URL."""
    line = pipeline(notes("{}")).replace("http://127.0.0.1:8080", url)
    return subprocess.run(["bash", "-c", line], capture_output=True, check=False)


def untrained(**source: Any) -> str:
    """Return what is printed for a model that is not trained here."""
    return notes(yaml.safe_dump({"training": {"enabled": False}, "model": {"name": "churn", "source": source}}))


@pytest.mark.parametrize("case", CASES)
def test_commands_name_this_release_and_what_it_has(case: str) -> None:
    values = CASES[case].read_text(encoding="utf-8")
    objects = {f"{item['kind'].lower()}/{at(item, 'metadata.name')}" for item in render_text(values).manifests}
    text = notes(values)
    named = set(re.findall(r"\b(?:job|deployment|service)/[\w-]+", text))
    assert named <= objects
    assert named
    for words in commands(text):
        assert words[0] in {"kubectl", "helm", "curl"}, words
        assert words[0] == "curl" or words[1:3] == ["--namespace", NAMESPACE], words


@pytest.mark.parametrize("case", CASES)
def test_notes_are_tidy_and_short(case: str) -> None:
    text = notes(CASES[case].read_text(encoding="utf-8"))
    assert "\n\n\n" not in text
    assert not re.search(r"[ \t]+$", text, re.MULTILINE)
    assert len(text.splitlines()) <= 51


def test_ways_out_of_a_change_whose_model_never_comes_are_told() -> None:
    told = " ".join(notes("{}").split())
    assert f"a change that trains well, or helm rollback {RELEASE} (git revert" in told
    assert "helm rollback" not in untrained()


def test_server_and_api_are_waited_for_as_long_as_training_may_take() -> None:
    waits = [words for words in commands(notes("{}")) if words[3:5] == ["rollout", "status"]]
    assert [words[5] for words in waits] == [f"deployment/mnist-tensorflow-model-{name}" for name in ("server", "api")]
    assert {words[6] for words in waits} == {f"--timeout={3600 + 900}s"}


def test_notes_send_the_models_own_example_with_curl_and_python_alone() -> None:
    api = Api([SEVEN])
    with listening(api) as url:
        done = send(url)
    assert json.loads(done.stdout) == SEVEN[1]
    assert api.bodies == [api.model["example"]["request"]]


def test_notes_ask_a_model_without_example_what_it_takes() -> None:
    api = Api([(422, {"error": "expected 4 numbers"})], example=None)
    with listening(api) as url:
        done = send(url)
    assert json.loads(done.stdout) == {"error": "expected 4 numbers"}
    assert api.bodies == [{}]


def test_no_digit_is_sent_to_anybodys_model() -> None:
    for path in CASES.values():
        assert "--data '" not in notes(path.read_text(encoding="utf-8")), path.name


def test_notes_say_how_to_start_a_suspended_job() -> None:
    text = notes(yaml.safe_dump({"training": {"suspend": True}}))
    # Not a patch: the next upgrade would meet a field that somebody else owns.
    assert "upgrade mnist CHART --reuse-values --set training.suspend=false" in text


def test_notes_tell_how_the_runs_of_a_schedule_ended_too() -> None:
    (once,) = [line for line in notes("{}").splitlines() if "terminated" in line]
    (again,) = [line for line in notes("training: {schedule: {cron: '@daily'}}").splitlines() if "terminated" in line]
    assert "--selector job-name=mnist-tensorflow-model-training-" in once
    assert "--selector app.kubernetes.io/instance=mnist,app.kubernetes.io/component=training " in again


def test_notes_say_what_is_looked_for_in_a_claim() -> None:
    text = untrained()
    assert "the newest version is looked for in the claim mnist-tensorflow-model-model-store, as" in text
    assert "churn/<version>/saved_model.pb or, as training publishes it, churn/<key>/<version>/saved_model.pb." in text
    assert "A newer version that appears there is served within seconds, by every pod." in text


def test_notes_say_what_is_fetched_without_its_signature() -> None:
    text = untrained(uri="https://example.com/churn.zip?token=secret", sha256="a" * 64)
    assert "the model is fetched from https://example.com/churn.zip." in text
    assert "secret" not in text


def test_notes_say_which_image_and_folder() -> None:
    text = untrained(image={"reference": "registry.example.com/churn:3"}, path="models/churn")
    assert "looked for in the image registry.example.com/churn:3, folder models/churn." in text


@pytest.mark.parametrize(("version", "is_told"), [("1.31.4", True), ("1.34.9", True), ("1.35.0", False)])
def test_gate_of_image_volumes_is_named_where_it_is_one(version: str, is_told: bool, tmp_path: Path) -> None:  # noqa: FBT001
    chart = tmp_path / "chart"
    subprocess.run(["cp", "-r", paths.CHART, chart], check=True)
    # `helm template` prints no notes, and `helm install` knows no --kube-version.
    notes_as_manifest = chart / "templates" / "notes.yaml"
    notes_as_manifest.write_text(
        '{"notes": {{ include "tensorflow-model.notes.source" . | toJson }}}', encoding="utf-8"
    )
    values = {"training": {"enabled": False}, "model": {"source": {"image": {"reference": "model:1"}}}}
    command = [str(tools.helm()), "template", RELEASE, str(chart), f"--kube-version={version}", "--values=-"]
    command.append("--show-only=templates/notes.yaml")
    done = subprocess.run(command, input=yaml.safe_dump(values), capture_output=True, text=True, check=True)
    assert ("feature gate ImageVolume" in done.stdout) is is_told


def test_images_without_a_registry_are_named() -> None:
    line = "No registry is named for {}: nodes that do not have them already look on docker.io, where they are not. Set"
    names = [f"tensorflow-model-{name}" for name in ("training", "publisher", "loader", "api")]
    assert line.format(", ".join(names)) in notes("{}")
    assert "No registry" not in notes("global: {imageRegistry: mirror.example.com}")
    assert line.format(", ".join(names[2:])) in untrained()
    elsewhere = {name: {"image": {"registry": "registry.example.com"}} for name in ("loader", "api")}
    assert "No registry" not in notes(yaml.safe_dump({"training": {"enabled": False}, **elsewhere}))
