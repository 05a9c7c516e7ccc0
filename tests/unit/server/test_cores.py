"""Flags and versions: the pure parts of the model server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from model_server import flags, versions

if TYPE_CHECKING:
    from pathlib import Path


def test_last_flag_wins_and_booleans_may_be_bare() -> None:
    parsed = flags.parse(["--port=1", "--port=2", "--enable_grpc_healthcheck_service", "--enable_model_warmup=FALSE"])
    assert (parsed.port, parsed.enable_grpc_healthcheck_service, parsed.enable_model_warmup) == (2, True, False)


def test_unknown_argument_is_told_and_not_fatal() -> None:
    assert flags.parse(["--no_such_flag=1", "--port", "9"]).unknown == ("--no_such_flag=1", "--port", "9")


@pytest.mark.parametrize("argument", ["--port=x", "--enable_model_warmup=maybe"])
def test_bad_value_is_an_error(argument: str) -> None:
    with pytest.raises(flags.FlagError):
        flags.parse([argument])


def test_all_48_flags_of_upstream_are_known() -> None:
    assert not flags.OURS - set(flags.ACTING)
    assert len(set(flags.DEFAULTS) - flags.OURS) == 48


def test_numbered_directories_are_versions(tmp_path: Path) -> None:
    for name in ("1", "00000123", "x", "-3", "1.0", "99999999999999999999"):
        (tmp_path / name).mkdir()
    (tmp_path / "7").write_text("a file")
    assert sorted(versions.discover(tmp_path)) == [1, 123]
