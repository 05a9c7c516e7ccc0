"""The published data sets: their labels and the SHA-256 of their original files (published.json)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Dataset:
    """A data set by name: `labels[i]` names class i; `sha256` holds the digest of each raw file by file name."""

    name: str
    labels: tuple[str, ...]
    sha256: dict[str, str]


def _load() -> dict[str, Dataset]:
    table = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return {name: Dataset(name, tuple(entry["labels"]), entry["sha256"]) for name, entry in table.items()}


DATASETS = _load()
