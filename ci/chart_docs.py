"""The chart's generated files, from values.schema.yaml and from what the built-in recipes declare.

values.schema.json, files/keys.json, files/recipes.json, and the reference in the chart's README.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from ci.paths import CHART, ROOT
from ci.steps import StepError
from trainer import declarations

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SCHEMA_SOURCE = CHART / "values.schema.yaml"
SCHEMA_TARGET = CHART / "values.schema.json"
VALUES = CHART / "values.yaml"
README = CHART / "README.md"
RECIPES = CHART / "files" / "recipes.json"
KEYS = CHART / "files" / "keys.json"
BEGIN = "<!-- values reference: generated from values.schema.yaml by `ci/nox -s docs` -->"
END = "<!-- end of the values reference -->"
# Facts of a schema that the reference shows beside the type, with the words for them.
BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
}
# A decimal may also come as text, which is what `--set` makes of it.
DECIMAL = ["number", "string"]
DECIMAL_PATTERN = r"^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?$"
# What recipes declare that JSON schema has by the same name.
SCHEMA_FACTS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum")
LIST = "array of "
# What a key that is not there stands for, by its type. A number stands for nothing: templates leave it out.
ABSENT: dict[str, object] = {"string": "", "boolean": False, "array": [], "object": {}}

Schema = dict[str, Any]


@dataclass(frozen=True)
class Value:
    """One value a user may set: its dotted key, its schema without references, and its default."""

    key: str
    schema: Schema
    default: object

    @property
    def description(self) -> str:
        """Return the paragraph that explains it, on one line."""
        return " ".join(str(self.schema.get("description", "")).split())

    @property
    def kind(self) -> str:
        """Return its type, or the words it may be, with its bounds."""
        if "enum" in self.schema:
            return " or ".join(f"`{word}`" for word in self.schema["enum"])
        kinds = self.schema["type"]
        named = "number" if kinds == DECIMAL else " or ".join([kinds] if isinstance(kinds, str) else kinds)
        bounds = [words.format(self.schema[name]) for name, words in BOUNDS.items() if name in self.schema]
        return ", ".join([named, *bounds])


def load_schema() -> Schema:
    """Return values.schema.yaml as it is written."""
    schema: Schema = yaml.safe_load(SCHEMA_SOURCE.read_text(encoding="utf-8"))
    return schema


def load_values() -> dict[str, Any]:
    """Return the chart's default values."""
    values: dict[str, Any] = yaml.safe_load(VALUES.read_text(encoding="utf-8"))
    return values


def resolve(schema: Schema, root: Schema) -> Schema:
    """Return a schema with its reference followed; what is written beside the reference wins."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    target = resolve(root["definitions"][reference.rpartition("/")[2]], root)
    return {**target, **{name: fact for name, fact in schema.items() if name != "$ref"}}


def is_group(schema: Schema) -> bool:
    """Tell whether a resolved schema only groups keys of the chart, rather than being a value itself."""
    return "properties" in schema and schema.get("type") == "object"


def walk(schema: Schema, defaults: object, root: Schema, prefix: str = "") -> Iterator[Value]:
    """Yield every value below a schema in the order they are written, groups left out."""
    for name, written in schema["properties"].items():
        key = f"{prefix}{name}"
        found = resolve(written, root)
        default = defaults.get(name) if isinstance(defaults, dict) else None
        if is_group(found):
            yield from walk(found, default, root, f"{key}.")
        else:
            yield Value(key, found, default)


def schema_json() -> str:
    """Return the content of values.schema.json; a built-in recipe that is named has the parameters it declares."""
    schema = load_schema()
    schema["properties"]["training"]["allOf"] = [
        {
            "if": {
                "properties": {"module": {"const": name}, "command": {"type": ["array", "null"], "maxItems": 0}},
            },
            "then": {"properties": {"params": params_schema(recipe["parameters"])}},
        }
        for name, recipe in declarations.built_in().items()
    ]
    for group in (schema, *schema["definitions"].values()):
        _leave_absence_out(group)
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _leave_absence_out(schema: Schema) -> None:
    """Drop what a group requires: templates say it with a way out, and an editor sees the keys of a user alone."""
    schema.pop("absent", None)
    if is_group(schema):
        schema.pop("required", None)
        for found in schema["properties"].values():
            _leave_absence_out(found)


def keys_json() -> str:
    """Return the content of files/keys.json: whether a key has to be there, and what its absence stands for."""
    schema = load_schema()
    return json.dumps(absence(schema, schema), indent=1, ensure_ascii=False) + "\n"


def absence(group: Schema, root: Schema, prefix: str = "") -> dict[str, Any]:
    """Return the keys of a group by name: "needed", and "keys" of a further group or "absent" of a value.

    Raise StepError for a number that would have to stand for something when it is not there.
    """
    keys: dict[str, Any] = {}
    for name, written in group["properties"].items():
        found = resolve(written, root)
        needed = {"needed": True} if name in group.get("required", []) else {}
        if is_group(found):
            keys[name] = {**needed, "keys": absence(found, root, f"{prefix}{name}.")}
            continue
        value = found.get("absent", absent(found))
        kinds = found.get("type", "string")
        if value is None and not needed and "null" not in kinds:
            raise StepError(
                f"{prefix}{name} is a number that says nothing of null",
                hint="add it to `required`, or null to its type",
            )
        keys[name] = {**needed, "absent": value}
    return keys


def absent(schema: Schema) -> object:
    """Return what the absence of a value stands for by its type."""
    kinds = schema.get("type", "string")
    return None if "null" in kinds else ABSENT.get(kinds if isinstance(kinds, str) else kinds[0])


def params_schema(parameters: dict[str, Schema]) -> Schema:
    """Return what training.params may be for a recipe: its parameters, in camelCase or in snake_case."""
    properties = {}
    for name, declared in parameters.items():
        found = param_schema(declared)
        properties[camel_case(name)] = found
        properties[name] = found
    return {"type": "object", "additionalProperties": False, "properties": properties}


def param_schema(declared: Schema) -> Schema:
    """Return the schema of one parameter; null leaves it to the recipe's default."""
    facts = {name: declared[name] for name in SCHEMA_FACTS if name in declared}
    kind = str(declared["type"])
    if kind.startswith(LIST):
        return {"type": ["array", "null"], "items": {"type": kind.removeprefix(LIST), **facts}}
    if kind in {"number", "integer"}:
        # Bounds of text are held by templates/validation/_training.tpl.
        return {"type": [kind, "string", "null"], "pattern": DECIMAL_PATTERN, **facts}
    return {"type": [kind, "null"], **facts}


def camel_case(name: str) -> str:
    """Return a Python name as values have it.

    >>> camel_case("hidden_units")
    'hiddenUnits'
    """
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def recipes_json() -> str:
    """Return the content of files/recipes.json."""
    return json.dumps(declarations.built_in(), indent=2, ensure_ascii=False) + "\n"


def recipe_table() -> str:
    """Return the parameters of the built-in recipes as tables, those that have the same ones together."""
    alike: dict[str, list[str]] = {}
    for name, recipe in declarations.built_in().items():
        rows = [_param_row(key, declared) for key, declared in recipe["parameters"].items()]
        gates = " and ".join(f"`{json.dumps(gate)}`" for gate in recipe["gates"]) or "none"
        table = ["| Parameter | Type | Default | What it does |", "|---|---|---|---|", *rows]
        alike.setdefault(
            "\n".join([*table, "", f"Gates, unless `training.gates` says otherwise: {gates}.", ""]), []
        ).append(name)
    return "\n".join(
        f"#### `training.params` of the recipe{'s' * (len(names) > 1)} {' and '.join(names)}\n\n{text}"
        for text, names in alike.items()
    )


def _param_row(name: str, declared: Schema) -> str:
    value = Value(
        camel_case(name),
        {**declared, "description": f"{declared['help'][0].upper()}{declared['help'][1:]}."},
        declared["default"],
    )
    return _row(value)


def reference() -> str:
    """Return the reference: a table for each top-level key that groups others, and one for the rest."""
    schema, values = load_schema(), load_values()
    keys = {name: resolve(written, schema) for name, written in schema["properties"].items()}
    sections = [
        _section(f"`{name}`", key["description"], walk(key, values[name], schema, f"{name}."))
        for name, key in keys.items()
        if is_group(key)
    ]
    sections = [
        section + "\n" + recipe_table() if section.startswith("### `training`") else section for section in sections
    ]
    rest = {"properties": {name: key for name, key in keys.items() if not is_group(key)}}
    others = _section("Everything else", "Names, labels and credentials.", walk(rest, values, schema))
    return "\n".join([*sections, others])


def readme() -> str:
    """Return the chart's README with its reference up to date; raise StepError when it has no place for it."""
    before, begin, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise StepError(f"{README} has no place for the reference", hint=f"put back the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{reference()}\n{END}{after}"


def generated() -> dict[Path, str]:
    """Return what every generated file must contain."""
    return {SCHEMA_TARGET: schema_json(), KEYS: keys_json(), RECIPES: recipes_json(), README: readme()}


def main(arguments: list[str] | None = None) -> int:
    """Write the generated files; with --check write nothing, name those out of date, and return 1."""
    parser = argparse.ArgumentParser(prog="python -m ci.chart_docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is out of date")
    options = parser.parse_args(arguments)
    stale = {path: text for path, text in generated().items() if _read(path) != text}
    for path, text in stale.items():
        if options.check:
            print(f"{path.relative_to(ROOT)} is out of date: run ci/nox -s docs", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    return 1 if options.check and stale else 0


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _section(title: str, description: str, values: Iterable[Value]) -> str:
    head = [f"### {title}", "", " ".join(description.split()), ""]
    table = ["| Key | Type | Default | What it does |", "|---|---|---|---|", *map(_row, values)]
    return "\n".join([*head, *table, ""])


def _row(value: Value) -> str:
    default = json.dumps(value.default, ensure_ascii=False)
    # A table's cell must not take the text for markup.
    text = value.description.replace("|", "\\|").replace("<", "&lt;")
    return f"| `{value.key}` | {value.kind} | `{default}` | {text} |"


if __name__ == "__main__":
    raise SystemExit(main())
