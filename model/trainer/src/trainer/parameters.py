"""Parameters of a recipe, each declared once: type, default, bounds, choices and what it does."""

from __future__ import annotations

import difflib
import json
import math
import re
import sys
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

# What a parameter may be. A list is given as JSON, or with commas between.
TYPES: dict[Any, str] = {
    int: "integer",
    float: "number",
    str: "string",
    bool: "boolean",
    list[int]: "array of integer",
    list[float]: "array of number",
    list[str]: "array of string",
}
_BY_ANNOTATION = {getattr(kind, "__name__", "") if isinstance(kind, type) else str(kind): kind for kind in TYPES} | {
    str(kind): kind for kind in TYPES if not isinstance(kind, type)
}
_LIST = "array of "
# Variables of every process: a parameter of such a name would be read from them.
RESERVED = frozenset({"PATH", "HOME", "USER", "SHELL", "LANG", "PWD", "TERM", "HOSTNAME", "TMPDIR"})
LONGEST_SHOWN = 80


@dataclass(frozen=True)
class Parameter:
    """One declared parameter; bounds hold for each element of a list."""

    name: str
    type: str
    default: Any
    help: str
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[Any, ...] = ()

    @property
    def flag(self) -> str:
        """Return its flag."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """Return its environment variable."""
        return self.name.upper()

    @property
    def expected(self) -> str:
        """Return what its value must be, as the rest of a sentence: "a whole number from 1 to 10"."""
        if self.type.startswith(_LIST):
            return f"a list of {_PLURAL[self.type.removeprefix(_LIST)]}{self._bounds()}"
        return f"{_SINGULAR[self.type]}{self._bounds()}"

    def from_text(self, text: str) -> Any:
        """Return the value that text stands for; raise ValueError with what was expected."""
        if self.type == "string":
            return self.from_json(text)
        return self.from_json(_list_in(text) if self.type.startswith(_LIST) else _scalar_in(text, self.type))

    def from_json(self, value: Any) -> Any:
        """Return a JSON value as this parameter's type; raise ValueError with what was expected."""
        if self.type.startswith(_LIST):
            if not isinstance(value, list):
                raise ValueError(self.expected)
            return [self._scalar(element, self.type.removeprefix(_LIST)) for element in value]
        return self._scalar(value, self.type)

    def schema(self) -> dict[str, Any]:
        """Return it as JSON schema has it, with its type in words (`array of ...` for lists) and its help."""
        told = {
            "type": self.type,
            "default": self.default,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "exclusiveMinimum": self.above,
            "exclusiveMaximum": self.below,
            "enum": list(self.choices) or None,
            "help": self.help,
        }
        return {name: value for name, value in told.items() if value is not None}

    def _scalar(self, value: Any, kind: str) -> Any:
        converted = _CONVERT[kind](value)
        if converted is None or not self._is_within(converted):
            raise ValueError(self.expected)
        return converted

    def _is_within(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        if isinstance(value, str | bool):
            return True
        # Written so that NaN fails.
        return (
            (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def _bounds(self) -> str:
        if self.choices:
            return ", one of " + ", ".join(str(choice) for choice in self.choices)
        low = f"from {self.minimum:g}" if self.minimum is not None else ""
        low = f"above {self.above:g}" if self.above is not None else low
        high = f"to {self.maximum:g}" if self.maximum is not None else ""
        high = f"below {self.below:g}" if self.below is not None else high
        joint = " and " if low and high.startswith("below") else " "
        return f" {low}{joint if low and high else ''}{high}" if low or high else ""


@dataclass(frozen=True)
class Declaration:
    """What `parameter(...)` leaves in a class until its name and type are known."""

    default: Any
    facts: Mapping[str, Any]


def parameter(
    default: Any,
    *,
    help: str = "",  # noqa: A002 - argparse's and click's word
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: Sequence[Any] = (),
) -> Any:
    """Declare a parameter of a recipe.

    In the class it reads `units: int = parameter(32, minimum=1, help="units of the hidden layer")`.

    Its type is the annotation: int, float, str, bool, or a list of one of the first three. `minimum` and `maximum`
    belong to what is allowed, `above` and `below` do not. On an instance the attribute is the value.
    """
    facts = {"help": help, "minimum": minimum, "maximum": maximum, "above": above, "below": below}
    return Declaration(default, {**facts, "choices": tuple(choices)})


def declared(recipe: type) -> dict[str, Parameter]:
    """Return the parameters of a class by name, those of its bases first; raise InputError for a bad declaration."""
    found: dict[str, Parameter] = {}
    for owner in reversed(recipe.__mro__):
        for name, value in vars(owner).items():
            if isinstance(value, Declaration):
                found[name] = _parameter(owner, name, value)
            elif name in found and not callable(value):
                raise InputError(
                    f"{owner.__name__}.{name} = {value!r} hides a parameter: write {name} = parameter({value!r}, ...)"
                )
    return found


def resolve(parameters: Mapping[str, Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a JSON object by the parameters' own names; raise InputError for unknown or wrong ones.

    A name may be in camelCase, as Helm values have it.
    """
    values = {}
    for key, value in given.items():
        name = snake_case(key)
        if name not in parameters:
            raise InputError(unknown(key, parameters))
        try:
            values[name] = _from_either(parameters[name], value)
        except ValueError as error:
            raise InputError(f"parameter {key}: expected {error}, got {shown(value)}") from None
    return values


def unknown(name: str, parameters: Iterable[str]) -> str:
    """Return the sentence for a parameter that the recipe does not have."""
    known = list(parameters)
    near = difflib.get_close_matches(snake_case(name.removeprefix("--").replace("-", "_")), known, 1)
    meant = f": did you mean {near[0]}?" if near else ""
    return (
        f"there is no parameter {name}{meant} This recipe has {', '.join(known)}"
        if meant
        else (f"there is no parameter {name}: this recipe has {', '.join(known)}")
    )


def snake_case(name: str) -> str:
    """Return a name of Helm values as Python has it.

    >>> snake_case("hiddenUnits"), snake_case("hidden_units")
    ('hidden_units', 'hidden_units')
    """
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def shown(value: Any) -> str:
    """Return a value as a message shows it."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def _from_either(declared_as: Parameter, value: Any) -> Any:
    # `helm --set` gives decimals and lists as text.
    return declared_as.from_text(value) if isinstance(value, str) else declared_as.from_json(value)


def _parameter(owner: type, name: str, declaration: Declaration) -> Parameter:
    where = f"{owner.__name__}.{name}"
    if name.upper() in RESERVED:
        raise InputError(f"{where} cannot be a parameter: the environment variable {name.upper()} means something else")
    made = Parameter(name=name, type=_type(owner, name, declaration.default), default=None, **declaration.facts)
    try:
        default = made.from_json(declaration.default)
    except ValueError as error:
        raise InputError(f"the default of {where}: expected {error}, got {shown(declaration.default)}") from None
    return Parameter(**{**vars(made), "default": default})


def _type(owner: type, name: str, default: Any) -> str:
    annotation = vars(owner).get("__annotations__", {}).get(name, type(default))
    if isinstance(annotation, str):
        try:
            annotation = eval(annotation, vars(sys.modules[owner.__module__]))  # noqa: S307 - the recipe's own code
        except (NameError, AttributeError, SyntaxError, KeyError, TypeError):
            annotation = _BY_ANNOTATION.get(annotation, annotation)
    if typing.get_origin(annotation) is list:
        annotation = list[typing.get_args(annotation)[0]]  # type: ignore[misc]
    if annotation not in TYPES:
        known = ", ".join(_BY_ANNOTATION)
        raise InputError(f"{owner.__name__}.{name} is annotated {annotation}: expected one of {known}")
    return TYPES[annotation]


def _list_in(text: str) -> Any:
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except ValueError:
            return None
    words = [word.strip() for word in text.split(",")] if text.strip() else []
    return [_plain(word) for word in words]


def _plain(word: str) -> Any:
    try:
        value = json.loads(word)
    except ValueError:
        return word
    return value if isinstance(value, int | float) else word


def _scalar_in(text: str, kind: str) -> Any:
    word = text.strip()
    if kind == "boolean":
        return {"true": True, "false": False}.get(word.lower(), word)
    # int() and float() also take underscores and other scripts' digits.
    if re.fullmatch("[+-]?[0-9]{1,40}", word):
        return int(word)
    return float(word) if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", word) else word


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if math.isfinite(value) and value == int(value) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and "\0" not in value else None


def _truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "integer": _whole,
    "number": _number,
    "string": _word,
    "boolean": _truth,
}
_SINGULAR = {"integer": "a whole number", "number": "a number", "string": "a text", "boolean": "true or false"}
_PLURAL = {"integer": "whole numbers", "number": "numbers", "string": "texts"}
