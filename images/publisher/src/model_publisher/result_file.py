"""The result file: what training says of the model it left."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from model_description import description as description_json
from model_description.errors import DescriptionError
from model_publisher.errors import PublisherError
from model_store import tree
from model_store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from model_description.description import Description

MAXIMUM_BYTES = 4 << 20
# What of a model's description training tells.
_DESCRIBING = ("task", "labels", "signature", "inputs", "outputs", "example", "parameters", "data")
FIELDS = frozenset({"metrics", "gates", *_DESCRIBING})


@dataclass(frozen=True)
class Result:
    """What training tells: metrics by name, not all of them finite; gates, None where it declares none; the rest.

    `signature` is "" where training does not name one.
    """

    description: Description
    metrics: Mapping[str, float] = field(default_factory=dict)
    gates: list[Any] | None = None
    signature: str = ""


def read(path: Path) -> Result:
    """Return the result in a file, an empty one where there is none; raise PublisherError that names what is wrong."""
    try:
        # User code wrote it: not through a link, and not from a FIFO, which would be waited for.
        content = tree.read(path.parent, path.name, MAXIMUM_BYTES)
    except StoreError as error:
        raise PublisherError(f"the result file is none: {error}; keep to one row as example") from error
    return Result(description_json.Description()) if content is None else parse(content, str(path))


def parse(content: bytes, place: str) -> Result:
    """Return the result in JSON, in which NaN and Infinity are numbers; raise PublisherError that names the field."""
    try:
        given = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise PublisherError(f"the result file {place} is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise PublisherError(
            f'the result file {place} holds {_kind(given)}: expected an object like {{"metrics": ...}}'
        )
    unknown = sorted(set(given) - FIELDS)
    if unknown:
        known = ", ".join(sorted(FIELDS))
        raise PublisherError(
            f"the result file {place} has a field {unknown[0]!r}, which means nothing: known are {known}"
        )
    gates = given.get("gates")
    if gates is not None and not isinstance(gates, list):
        raise PublisherError(f"gates in the result file {place}: expected a list, found {_kind(gates)}")
    return Result(_description(given, place), _metrics(given.get("metrics", {}), place), gates, _signature(given))


def _signature(given: Mapping[str, Any]) -> str:
    signature = given.get("signature", "")
    return signature if isinstance(signature, str) else ""


def _metrics(given: object, place: str) -> dict[str, float]:
    if not isinstance(given, dict):
        raise PublisherError(f"metrics in the result file {place}: expected an object of numbers, found {_kind(given)}")
    metrics = {}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise PublisherError(f"metrics.{name} in the result file {place}: expected a number, found {_kind(value)}")
        try:
            metrics[name] = float(value)
        except OverflowError as error:
            raise PublisherError(f"metrics.{name} in the result file {place} is too large a number") from error
    return metrics


def _description(given: Mapping[str, Any], place: str) -> Description:
    told = {name: given[name] for name in _DESCRIBING if given.get(name) is not None}
    example = told.get("example")
    if isinstance(example, dict) and not (example.get("inputs") and example.get("outputs")):
        raise PublisherError(
            f"example in the result file {place}: expected one row as inputs and what the model computes for it as "
            'outputs, by name: {"inputs": {"x": [1, 2]}, "outputs": {"scores": [0.9]}}'
        )
    try:
        return description_json.parse(json.dumps({"format": description_json.FORMAT, **told}).encode())
    except DescriptionError as error:
        raise PublisherError(f"the result file {place}: {error}") from error


def _kind(value: object) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return json.dumps(value)[:80]
