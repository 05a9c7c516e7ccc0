"""Wait, verify, hand over; fail closed."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

from model_loader import __main__ as command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """Return flags for a model that should be there already."""
    return [
        f"--model-store={tmp_path / 'store'}",
        f"--target={tmp_path / 'models'}",
        f"--termination-log={tmp_path / 'reason'}",
        "--model-key=0123456789ab",
        "--timeout-seconds=0",
    ]


def test_verified_version_is_linked(publish: Callable[..., Path], arguments: list[str], tmp_path: Path) -> None:
    folder = publish()
    assert command.main(arguments) == 0
    assert (tmp_path / "models" / "mnist" / "1").resolve() == folder
    assert (tmp_path / "models" / "mnist" / "manifest.json").read_bytes() == (folder / "manifest.json").read_bytes()


def test_handing_over_twice_is_fine(publish: Callable[..., Path], arguments: list[str]) -> None:
    publish()
    assert [command.main(arguments), command.main(arguments)] == [0, 0]


def test_manifest_only_hands_over_no_model(publish: Callable[..., Path], arguments: list[str], tmp_path: Path) -> None:
    publish()
    assert command.main([*arguments, "--manifest-only"]) == 0
    assert [path.name for path in (tmp_path / "models" / "mnist").iterdir()] == ["manifest.json"]


def test_model_published_later_is_waited_for(
    publish: Callable[..., Path], arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The loader catches SIGTERM, so it runs here and the publisher beside it.
    publisher = threading.Timer(0.3, publish)
    publisher.start()
    assert command.main([*arguments, "--timeout-seconds=30"]) == 0
    publisher.join()
    assert "waiting for mnist/0123456789ab/<newest version>" in capsys.readouterr().out
    assert (tmp_path / "models" / "mnist" / "1").is_dir()


def test_model_that_is_not_published_in_time_is_named(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments) == 1
    assert "mnist/0123456789ab/<newest version> was not published" in capsys.readouterr().err


def test_newest_version_of_any_key_is_taken_without_a_key(
    publish: Callable[..., Path], arguments: list[str], tmp_path: Path
) -> None:
    publish("aaaaaaaaaaaa", 3)
    publish("bbbbbbbbbbbb", 12)
    assert command.main([*arguments, "--model-key="]) == 0
    assert (tmp_path / "models" / "mnist" / "12").is_dir()


def test_pinned_version_is_found_under_another_key(
    publish: Callable[..., Path], arguments: list[str], tmp_path: Path
) -> None:
    publish("aaaaaaaaaaaa", 3)
    publish("0123456789ab", 12)
    assert command.main([*arguments, "--model-version=3"]) == 0
    assert (tmp_path / "models" / "mnist" / "3").is_dir()


def flip(folder: Path) -> None:
    """Change one byte and keep the size."""
    (folder / "saved_model.pb").write_bytes(b"grapH")


def shorten(folder: Path) -> None:
    """Cut a file."""
    (folder / "saved_model.pb").write_bytes(b"gra")


def remove(folder: Path) -> None:
    """Remove a file."""
    (folder / "saved_model.pb").unlink()


@pytest.mark.parametrize("damage", [flip, shorten, remove])
def test_damaged_file_is_named_and_nothing_is_served(
    publish: Callable[..., Path],
    arguments: list[str],
    damage: Callable[[Path], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = publish()
    damage(folder)
    (tmp_path / "reason").touch()
    assert command.main(arguments) == 2
    assert str(folder / "saved_model.pb") in capsys.readouterr().err
    assert str(folder / "saved_model.pb") in (tmp_path / "reason").read_text()
    assert not (tmp_path / "models").exists()


def test_file_that_is_not_in_the_manifest_is_named(
    publish: Callable[..., Path], arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = publish()
    (folder / "extra.so").write_bytes(b"x")
    assert command.main(arguments) == 2
    assert f"{folder / 'extra.so'} is not in the manifest" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["../../escape", "/etc/passwd"])
def test_path_out_of_the_version_is_refused(
    publish: Callable[..., Path], arguments: list[str], path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = publish()
    content = json.loads((folder / "manifest.json").read_text())
    content["files"][0]["path"] = path
    (folder / "manifest.json").write_text(json.dumps(content))
    assert command.main(arguments) == 2
    assert "names a file that cannot be" in capsys.readouterr().err


def test_verification_can_be_turned_off(publish: Callable[..., Path], arguments: list[str]) -> None:
    flip(publish())
    assert command.main([*arguments, "--no-verify"]) == 0


@pytest.mark.parametrize("flag", ["--model-version=-1", "--timeout-seconds=soon", "--nothing"])
def test_bad_flag_is_named(arguments: list[str], flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([*arguments, flag]) == 2
    assert flag.partition("=")[0] in capsys.readouterr().err


def test_further_versions_are_linked_beside_the_wanted_one(
    publish: Callable[..., Path], arguments: list[str], tmp_path: Path
) -> None:
    wanted, further = publish(version=5), publish(key="ba9876543210", version=9)
    assert command.main([*arguments, "--model-version=5", "--further-versions=9"]) == 0
    home = tmp_path / "models" / "mnist"
    assert {path.name: path.resolve() for path in home.iterdir() if path.is_symlink()} == {"5": wanted, "9": further}
    assert (home / "manifest.json").read_bytes() == (wanted / "manifest.json").read_bytes()


def test_missing_further_version_is_named(
    publish: Callable[..., Path], arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    publish(version=5)
    assert command.main([*arguments, "--model-version=5", "--further-versions=9"]) != 0
    assert "mnist/<any key>/9 was not published" in capsys.readouterr().err


@pytest.fixture
def tls_arguments(publish: Callable[..., Path], arguments: list[str], tmp_path: Path) -> list[str]:
    """Return flags for a model that is there and a Secret that is mounted."""
    publish()
    (tmp_path / "tls").mkdir()
    for name in ("tls.key", "tls.crt", "ca.crt"):
        (tmp_path / "tls" / name).write_text(f"-----BEGIN {name}-----\n")
    return [*arguments, f"--tls-dir={tmp_path / 'tls'}", f"--ssl-config={tmp_path / 'ssl_config.txt'}"]


def test_ssl_config_holds_the_text_of_the_secret(tls_arguments: list[str], tmp_path: Path) -> None:
    assert command.main([*tls_arguments, "--client-verify=true"]) == 0
    assert (tmp_path / "ssl_config.txt").read_text().splitlines() == [
        'server_key: "-----BEGIN tls.key-----\\n"',
        'server_cert: "-----BEGIN tls.crt-----\\n"',
        'custom_ca: "-----BEGIN ca.crt-----\\n"',
        "client_verify: true",
    ]
    assert (tmp_path / "ssl_config.txt").stat().st_mode & 0o007 == 0


@pytest.mark.parametrize("text", [None, "not a certificate"])
def test_incomplete_secret_is_told(
    tls_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    path = tmp_path / "tls" / "ca.crt"
    path.unlink() if text is None else path.write_text(text)
    assert command.main(tls_arguments) == 2
    assert "ca.crt of the Secret in server.tls.secretName" in capsys.readouterr().err
    assert not (tmp_path / "ssl_config.txt").exists()
