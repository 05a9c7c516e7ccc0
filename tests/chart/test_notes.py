"""NOTES.txt: commands of this release, ready to be copied."""

from __future__ import annotations

import functools
import json
import re
import shlex
import subprocess
from typing import Any

import pytest
import yaml

from ci import paths, tools
from tests.chart.rendering import CASES, NAMESPACE, RELEASE, at, render_text


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


@pytest.mark.parametrize(("dataset", "label"), [("mnist", "7"), ("fashion-mnist", "Ankle boot")])
def test_notes_send_a_real_test_image_and_tell_its_class(dataset: str, label: str) -> None:
    text = notes(yaml.safe_dump({"training": {"dataset": {"name": dataset}}}))
    example: Any = json.loads((paths.CHART / "files" / "examples" / f"{dataset}.json").read_text(encoding="utf-8"))
    assert [json.loads(words[words.index("--data") + 1]) for words in commands(text) if "--data" in words] == [
        example["request"]
    ]
    assert f'the answer should be "{label}"' in text


@pytest.mark.parametrize("values", [{"training": {"enabled": False}}, {"model": {"version": 3}}])
def test_notes_promise_no_class_of_an_unknown_model(values: Any) -> None:
    text = notes(yaml.safe_dump(values))
    assert "see that a class is answered" in text
    assert "should be" not in text


def test_notes_are_tidy() -> None:
    for path in CASES.values():
        text = notes(path.read_text(encoding="utf-8"))
        assert "\n\n\n" not in text, path.name
        assert not re.search(r"[ \t]+$", text, re.MULTILINE), path.name


def test_notes_say_how_to_start_a_suspended_job() -> None:
    text = notes(yaml.safe_dump({"training": {"suspend": True}}))
    assert """--type merge --patch '{"spec": {"suspend": false}}'""" in text
