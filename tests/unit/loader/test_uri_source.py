"""A model from an archive: found in the usual layouts, handed over once, within the limit."""

from __future__ import annotations

import hashlib
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from model_loader import __main__ as command
from tests import http_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.unit.loader.conftest import MakeModel


@pytest.fixture
def requests() -> list[str]:
    """Return the paths that were asked for."""
    return []


@pytest.fixture
def packed(
    make_model: MakeModel, flags: list[str], tmp_path: Path, requests: list[str]
) -> Iterator[Callable[..., list[str]]]:
    """Yield a function that serves an archive of models and returns the loader's flags for it."""
    path = tmp_path / "model.tar.gz"

    class Handler(http_server.Handler):
        def get(self) -> None:
            requests.append(self.path)
            self.reply(200, path.read_bytes())

    def pack(*places: str, **facts: Any) -> list[str]:
        for place in places:
            make_model(tmp_path / "made" / place, **facts)
        with tarfile.open(path, "w:gz") as file:
            file.add(tmp_path / "made", arcname=".")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        uri = f"{address}/model.tar.gz?token=hunter2"
        return [*flags, "--timeout-seconds=30", f"--source-uri={uri}", f"--source-sha256={digest}"]

    with http_server.serving(Handler) as address:
        yield pack


def handed_over(tmp_path: Path) -> list[str]:
    """Return everything in the model's folder."""
    return sorted(path.name for path in (tmp_path / "models" / "mnist").iterdir())


@pytest.mark.parametrize(
    ("place", "version"), [("", 1), ("model", 1), ("3", 3), ("00000042", 42), ("model/42", 42)], ids=ascii
)
def test_model_is_found_at_the_root_or_below_one_folder(
    packed: Callable[..., list[str]], tmp_path: Path, place: str, version: int
) -> None:
    assert command.main(packed(place)) == 0
    assert handed_over(tmp_path) == [f".{version}.json", str(version)]
    assert (tmp_path / "models" / "mnist" / str(version) / "variables" / "variables.index").is_file()


def test_newest_version_of_an_archive_is_taken_or_the_pinned_ones(
    packed: Callable[..., list[str]], tmp_path: Path
) -> None:
    arguments = packed("2", "10", "3")
    assert command.main(arguments) == 0
    assert "10" in handed_over(tmp_path)
    assert command.main([*arguments, "--model-version=3", "--further-versions=2"]) == 0
    assert handed_over(tmp_path) == [".2.json", ".3.json", "2", "3"]


def test_model_without_a_number_is_the_version_asked_for(packed: Callable[..., list[str]], tmp_path: Path) -> None:
    assert command.main([*packed(""), "--model-version=9007199254740993"]) == 0
    assert handed_over(tmp_path) == [".9007199254740993.json", "9007199254740993"]


def test_archive_that_is_handed_over_is_not_downloaded_again(
    packed: Callable[..., list[str]], requests: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = packed("3")
    assert [command.main(arguments), command.main(arguments)] == [0, 0]
    assert len(requests) == 1
    assert "is handed over already" in capsys.readouterr().out


def test_another_archive_takes_its_place(packed: Callable[..., list[str]], tmp_path: Path, requests: list[str]) -> None:
    assert command.main(packed("3")) == 0
    assert command.main(packed("4")) == 0
    assert handed_over(tmp_path) == [".4.json", "4"]
    assert len(requests) == 2


def test_archive_of_another_digest_leaves_nothing(
    packed: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([*packed("3"), f"--source-sha256={'0' * 64}"]) == 2
    assert handed_over(tmp_path) == []
    assert "model.source.sha256 says 000" in (tmp_path / "reason").read_text()
    told = capsys.readouterr()
    assert "hunter2" not in told.out + told.err + (tmp_path / "reason").read_text()


def test_archive_without_a_model_tells_what_it_has(packed: Callable[..., list[str]], tmp_path: Path) -> None:
    (tmp_path / "made" / "notes").mkdir(parents=True)
    (tmp_path / "made" / "readme").write_text("no model")
    assert command.main(packed()) == 2
    reason = (tmp_path / "reason").read_text()
    assert "has no model" in reason
    assert "the archive/saved_model.pb" in reason
    assert "readme" in reason
    assert handed_over(tmp_path) == []


def test_model_the_api_cannot_use_is_not_handed_over(packed: Callable[..., list[str]], tmp_path: Path) -> None:
    assert command.main(packed("3", signature="score")) == 2
    assert "is not handed over: the model has no signature" in (tmp_path / "reason").read_text()
    assert handed_over(tmp_path) == []


def test_archive_that_unpacks_to_more_than_the_limit_is_refused(
    packed: Callable[..., list[str]], tmp_path: Path
) -> None:
    arguments = packed("3", weights=bytes(1 << 20))
    assert command.main([*arguments, "--size-limit=1Mi"]) == 2
    assert "unpacks to more than" in (tmp_path / "reason").read_text()
    assert command.main([*arguments, "--size-limit=100"]) == 2
    assert "loader.sizeLimit leaves is 100 bytes" in (tmp_path / "reason").read_text()
    assert handed_over(tmp_path) == []
    assert command.main([*arguments, "--size-limit=2Mi"]) == 0
