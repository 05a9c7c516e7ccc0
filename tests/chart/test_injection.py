"""Text of values stays text: a line break in it makes no field of an object."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema

from ci import chart_docs
from tests.chart.rendering import NAMESPACE, RefusedError, name_of, render
from tests.chart.test_null import VALUES

if TYPE_CHECKING:
    from collections.abc import Iterator

EVIL = 'a\n  namespace: evil\nevil: "yes"\n# {{ evil }} '
# Rounds in which keys are refused and left out; each names all it refuses.
ROUNDS = 6


def texts() -> Iterator[str]:
    """Yield the keys that may hold any text, as far as the schema says."""
    schema = chart_docs.load_schema()
    for value in chart_docs.walk(schema, chart_docs.load_values(), schema):
        validator = jsonschema.Draft7Validator({**value.schema, "definitions": schema["definitions"]})
        if validator.is_valid(EVIL):
            yield value.key


def with_evil(keys: set[str]) -> dict[str, Any]:
    """Return values with the text at dotted keys."""
    values: dict[str, Any] = json.loads(json.dumps(VALUES))
    for key in sorted(keys):
        *groups, last = key.split(".")
        at = values
        for name in groups:
            at = at.setdefault(name, {})
        at[last] = EVIL
    return values


def names(value: Any) -> Iterator[str]:
    """Yield every name of a field in a manifest."""
    if isinstance(value, dict):
        yield from value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from names(item)


def test_a_line_break_makes_no_field() -> None:
    keys = set(texts())
    assert {"model.name", "ingress.className", "training.priorityClassName"} <= keys
    rendered = None
    for _ in range(ROUNDS):
        try:
            rendered = render(with_evil(keys))
            break
        except RefusedError as error:
            refused = {key for key in keys if key in str(error)}
            assert refused, str(error)
            keys -= refused
    assert rendered, "no end of refusals"
    assert "server.schedulerName" in keys
    for item in rendered.manifests:
        assert item["metadata"]["namespace"] == NAMESPACE, name_of(item)
        assert "evil" not in set(names(item)), name_of(item)
