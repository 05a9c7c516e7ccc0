"""Models published before models described themselves keep their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from model_description import saved_model
from model_description.description import Description, InputDescription, OutputDescription
from model_loader import __main__ as command

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.loader.conftest import Publish

FACTS: dict[str, Any] = {
    "labels": [str(digit) for digit in range(10)],
    "metrics": {"test_accuracy": 0.98, "test_loss": 0.07},
    "parameters": {"epochs": 5},
    "dataset": {"name": "mnist", "sha256": "ab"},
    "input": {"shape": [28, 28], "dtype": "float32", "minimum": 0.0, "maximum": 255.0},
}


def test_copy_is_described_by_what_its_manifest_says(publish: Publish, flags: list[str], tmp_path: Path) -> None:
    folder = publish(number=1, **FACTS)
    original = (folder / "saved_model.pb").read_bytes()
    assert command.main(flags) == 0
    copy = tmp_path / "models" / "mnist" / "1"
    assert saved_model.read_description(copy) == Description(
        task="classification",
        labels=tuple("0123456789"),
        signature="serving_default",
        inputs={"pixels": InputDescription("image", 0.0, 255.0)},
        outputs={"scores_0": OutputDescription("probabilities")},
        metrics={"test_accuracy": 0.98, "test_loss": 0.07},
        parameters={"epochs": 5},
        data={"name": "mnist", "sha256": "ab"},
        key="0123456789ab",
        weights_sha256=saved_model.weights_sha256(folder),
        created="2026-01-02T03:04:05Z",
    )
    assert (folder / "saved_model.pb").read_bytes() == original
    assert not (copy / "manifest.json").exists()


def test_described_copy_is_kept_at_a_restart(
    publish: Publish, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    publish(number=1, **FACTS)
    assert [command.main(flags), command.main(flags)] == [0, 0]
    assert "is handed over already" in capsys.readouterr().out


def test_model_that_describes_itself_is_left_as_it_is(publish: Publish, flags: list[str], tmp_path: Path) -> None:
    publish(number=2, **FACTS)
    assert command.main(flags) == 0
    assert saved_model.read_description(tmp_path / "models" / "mnist" / "1") is None
    assert (tmp_path / "models" / "mnist" / "1" / "manifest.json").is_file()


@pytest.mark.parametrize("facts", [{}, {"labels": None}, {"labels": [1, 2]}, {"labels": ["a", "a"]}, {"labels": "ab"}])
def test_manifest_without_labels_describes_nothing(
    publish: Publish, flags: list[str], tmp_path: Path, facts: dict[str, Any]
) -> None:
    publish(number=1, **facts)
    assert command.main(flags) == 0
    assert saved_model.read_description(tmp_path / "models" / "mnist" / "1") is None


def test_facts_of_the_wrong_kind_are_left_out(publish: Publish, flags: list[str], tmp_path: Path) -> None:
    odd: dict[str, Any] = {
        "metrics": [1],
        "parameters": 3,
        "dataset": "mnist",
        "input": {"shape": "28", "minimum": "0", "maximum": True},
    }
    publish(number=1, labels=FACTS["labels"], **odd)
    assert command.main(flags) == 0
    description = saved_model.read_description(tmp_path / "models" / "mnist" / "1")
    assert description is not None
    assert description.inputs == {"pixels": InputDescription()}
    assert (description.metrics, description.parameters, description.data) == ({}, {}, {})


def test_labels_that_do_not_fit_are_told(publish: Publish, flags: list[str], tmp_path: Path) -> None:
    publish(number=1, **{**FACTS, "labels": ["a", "b", "c"]})
    assert command.main(flags) == 2
    assert "10 classes but there are 3 labels" in (tmp_path / "reason").read_text()
