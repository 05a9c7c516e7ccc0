"""TensorFlow Serving's SSLConfig, written from a mounted Secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from model_loader import __main__ as command

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.loader.conftest import Publish


@pytest.fixture
def tls_flags(publish: Publish, flags: list[str], tmp_path: Path) -> list[str]:
    """Return flags for a model that is there and a Secret that is mounted."""
    publish()
    (tmp_path / "tls").mkdir()
    for name in ("tls.key", "tls.crt", "ca.crt"):
        (tmp_path / "tls" / name).write_text(f"-----BEGIN {name}-----\n")
    return [*flags, f"--tls-dir={tmp_path / 'tls'}", f"--ssl-config={tmp_path / 'ssl_config.txt'}"]


def test_ssl_config_holds_the_text_of_the_secret(tls_flags: list[str], tmp_path: Path) -> None:
    assert command.main([*tls_flags, "--client-verify=yes"]) == 0
    assert (tmp_path / "ssl_config.txt").read_text().splitlines() == [
        'server_key: "-----BEGIN tls.key-----\\n"',
        'server_cert: "-----BEGIN tls.crt-----\\n"',
        'custom_ca: "-----BEGIN ca.crt-----\\n"',
        "client_verify: true",
    ]
    assert (tmp_path / "ssl_config.txt").stat().st_mode & 0o007 == 0


@pytest.mark.parametrize("text", [None, "not a certificate"])
def test_incomplete_secret_is_told(
    tls_flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    path = tmp_path / "tls" / "ca.crt"
    path.unlink() if text is None else path.write_text(text)
    assert command.main(tls_flags) == 2
    assert "ca.crt of the Secret in server.tls.secretName" in capsys.readouterr().err
    assert not (tmp_path / "ssl_config.txt").exists()
