"""Flags of a bucket, and URIs of objects."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_bucket.settings import FLAGS, Settings, split

READ = {name: convert for name, convert, _ in FLAGS}


@pytest.mark.parametrize(
    "uri",
    ["", "s3://", "s3://b", "s3://bucket", "s3://bucket/", "https://bucket/key", "s3://bucket/a/../b", "s3://b u/k"],
)
def test_uri_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="s3://bucket/key"):
        split(uri)


@pytest.mark.parametrize(
    ("flag", "text", "value"),
    [
        ("--s3-endpoint", "https://s3.example.com/", "https://s3.example.com"),
        ("--s3-bucket", "my.models-1", "my.models-1"),
        ("--s3-prefix", "/team/models/", "team/models"),
        ("--s3-region", "", ""),
        ("--s3-path-style", "", None),
        ("--s3-path-style", "false", False),
        ("--s3-ca-bundle", "/ca.crt", Path("/ca.crt")),
    ],
)
def test_flag_is_read(flag: str, text: str, value: object) -> None:
    assert READ[flag](text) == value


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--s3-endpoint", "s3.example.com"),
        ("--s3-endpoint", "https://user:secret@s3.example.com"),
        ("--s3-bucket", "team/models"),
        ("--s3-prefix", "a/../b"),
        ("--s3-region", "eu central"),
        ("--s3-path-style", "yes"),
    ],
)
def test_flag_that_cannot_be_is_refused_with_what_is_expected(flag: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"^(an address|the name|a path|a region|true, false)"):
        READ[flag](text)


def test_every_setting_has_its_flag() -> None:
    assert [f"--s3-{name.replace('_', '-')}" for name in Settings.__dataclass_fields__] == [name for name, *_ in FLAGS]
