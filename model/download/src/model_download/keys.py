"""The names of the settings that messages refer to: everyone who downloads has their own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Keys:
    """What the settings of a download are called; `what` is what is downloaded."""

    what: str
    uri: str
    sha256: str
    size_limit: str
    timeout: str
    ca_bundle: str
