"""Capabilities: found missing, and left out of what runc is asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ci.cluster import docker_engine, runc_bounded

if TYPE_CHECKING:
    from pathlib import Path

FULL = "Name:\tx\nCapBnd:\t000001ffffffffff\n"
WITHOUT_SYS_RESOURCE = "Name:\tx\nCapBnd:\t000001fffeffffff\n"


def test_missing_capability_is_found() -> None:
    assert not docker_engine.lacks_capability(FULL, docker_engine.CAP_SYS_RESOURCE)
    assert docker_engine.lacks_capability(WITHOUT_SYS_RESOURCE, docker_engine.CAP_SYS_RESOURCE)
    assert runc_bounded.missing(FULL) == set()
    assert runc_bounded.missing(WITHOUT_SYS_RESOURCE) == {"CAP_SYS_RESOURCE"}


@pytest.mark.parametrize(("command", "flag", "wrapped"), [("create", "--bundle", True), ("exec", "--process", False)])
def test_missing_capability_is_left_out(tmp_path: Path, command: str, flag: str, wrapped: bool) -> None:  # noqa: FBT001
    process = {"args": ["sh"], "capabilities": {"bounding": ["CAP_SYS_RESOURCE", "CAP_CHOWN"]}}
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"process": process} if wrapped else process))
    runc_bounded.rewrite(["--root=/run", command, flag, str(tmp_path if wrapped else path)], {"CAP_SYS_RESOURCE"})
    written = json.loads(path.read_text())
    assert (written["process"] if wrapped else written)["capabilities"] == {"bounding": ["CAP_CHOWN"]}


def test_other_commands_are_passed_on_untouched() -> None:
    runc_bounded.rewrite(["delete", "container"], {"CAP_SYS_RESOURCE"})
