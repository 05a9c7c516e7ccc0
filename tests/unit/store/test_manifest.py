"""What is written is read; what cannot be a manifest is refused by the name of its field."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store import Manifest, VerificationError
from model_store.manifest import File
from tests.unit.store.conftest import FILES, write_model

if TYPE_CHECKING:
    from pathlib import Path

SHA256 = "a" * 64
ENTRY = {"path": "saved_model.pb", "size_bytes": 5, "sha256": SHA256}


def canonical(content: Any) -> str:
    """Return the SHA-256 of content as canonical JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def rendered(**changes: Any) -> bytes:
    """Return a manifest of format 2 with other fields, and the digest of them."""
    content = {
        "format": 2,
        "model": "mnist",
        "key": "0123456789ab",
        "version": 3,
        "created": "2026-01-02T03:04:05Z",
        "packages": {"python": "3.11"},
        "files": [ENTRY],
        **changes,
    }
    return json.dumps({**content, "digest": canonical(content)}).encode()


NAMES = st.text(st.characters(exclude_characters="/\\\0"), min_size=1).filter(lambda name: name not in {".", ".."})


@given(
    st.text(),
    st.integers(0, 2**63 - 1),
    st.lists(
        st.builds(File, NAMES, st.integers(0, 2**63), st.just(SHA256)), min_size=1, unique_by=lambda file: file.path
    ),
)
def test_what_is_written_is_read(text: str, version: int, files: list[File]) -> None:
    files = [file for file in files if file.path != "manifest.json"] or [File("f", 0, SHA256)]
    manifest = Manifest(text, text, version, text, {text: text}, tuple(files))
    assert Manifest.parse(manifest.render().encode()) == manifest


def test_manifest_lists_every_file_of_a_folder(tmp_path: Path) -> None:
    write_model(tmp_path)
    (tmp_path / "manifest.json").write_text("of an earlier try")
    manifest = Manifest.of_folder(tmp_path, model="m", key="k", version=1, created="now", packages={})
    assert manifest.format == 2
    assert {file.path: (file.size_bytes, file.sha256) for file in manifest.files} == {
        path: (len(content), hashlib.sha256(content).hexdigest()) for path, content in FILES.items()
    }
    assert manifest.size_bytes == sum(map(len, FILES.values()))


def test_format_1_is_read_with_what_it_says_of_the_model() -> None:
    facts = {
        "labels": ["0", "1"],
        "metrics": {"test_accuracy": 0.98},
        "parameters": {"epochs": 5},
        "dataset": {"name": "mnist", "sha256": SHA256},
        "input": {"shape": [28, 28], "dtype": "float32", "minimum": 0.0, "maximum": 255.0},
    }
    content = {
        "format": 1,
        "model": "mnist",
        "key": "0123456789ab",
        "version": 7,
        "created": "2026-01-02T03:04:05Z",
        **facts,
        "packages": {"python": "3.11"},
        "files": [ENTRY],
        "digest": canonical([ENTRY]),
    }
    manifest = Manifest.parse(json.dumps(content, indent=2).encode())
    assert (manifest.format, manifest.version, manifest.facts) == (1, 7, facts)
    assert json.loads(manifest.render()) == content


def test_newer_format_is_refused_saying_so() -> None:
    with pytest.raises(
        VerificationError, match=r"format of manifest\.json: expected 1 or 2, found 3; a newer publisher"
    ):
        Manifest.parse(rendered(format=3))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"format": "2"}, "format of"),
        ({"format": True}, "format of"),
        ({"version": -1}, "version of"),
        ({"version": 2**63}, "version of"),
        ({"version": 1.0}, "version of"),
        ({"model": None}, "model of"),
        ({"packages": {"python": 3}}, "packages.python of"),
        ({"files": []}, "files of"),
        ({"files": {}}, "files of"),
        ({"files": ["saved_model.pb"]}, r"files\[0\] of"),
        ({"files": [{**ENTRY, "size_bytes": -1}]}, r"files\[0\].size_bytes of"),
        ({"files": [{**ENTRY, "size_bytes": "5"}]}, r"files\[0\].size_bytes of"),
        ({"files": [{**ENTRY, "sha256": "abc"}]}, r"files\[0\].sha256 of"),
        ({"files": [ENTRY, ENTRY]}, "names saved_model.pb twice"),
    ],
)
def test_wrong_field_is_named(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(VerificationError, match=told):
        Manifest.parse(rendered(**changes))


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../../x", "/etc/passwd", "a//b", "./a", "a/", "", "a\0b", "a\\b", "manifest.json", 3, None],
)
def test_path_that_is_not_below_the_version_is_refused(path: object) -> None:
    with pytest.raises(VerificationError, match=r"files\[0\].path of manifest.json: expected a path below"):
        Manifest.parse(rendered(files=[{**ENTRY, "path": path}]))


@pytest.mark.parametrize("field", ["model", "key", "version", "created", "packages", "files"])
def test_digest_covers_every_field(field: str) -> None:
    content = json.loads(rendered())
    content[field] = {
        "version": 4,
        "packages": {},
        "files": [{**ENTRY, "size_bytes": 6}],
    }.get(field, "another")
    with pytest.raises(VerificationError, match="is damaged: its digest"):
        Manifest.parse(json.dumps(content).encode())


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(repr).map(str.encode)
)
def test_any_bytes_are_a_manifest_or_refused(content: bytes) -> None:
    with pytest.raises(VerificationError):
        Manifest.parse(content)


def test_deep_json_is_refused() -> None:
    with pytest.raises(VerificationError, match="cannot be read"):
        Manifest.parse(b"[" * 100_000)
