"""Parameters: declared once, read from text and from JSON alike, refused by name."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer import Recipe, parameter
from trainer.errors import InputError
from trainer.parameters import Parameter, declared, resolve


class Every(Recipe):
    """Have a parameter of every kind."""

    units: int = parameter(8, minimum=1, maximum=64, help="units")
    rate: float = parameter(0.5, above=0, below=1, help="rate")
    kind: str = parameter("a", choices=("a", "b"), help="kind")
    name: str = parameter("x", help="name")
    is_wide: bool = parameter(default=False, help="width")
    layers: list[int] = parameter([1, 2], minimum=1, help="layers")
    rates: list[float] = parameter([0.5], help="rates")
    words: list[str] = parameter(["a"], help="words")


EVERY = declared(Every)


def test_base_parameters_come_first_and_each_knows_its_type() -> None:
    assert {name: one.type for name, one in EVERY.items()} == {
        "epochs": "integer",
        "batch_size": "integer",
        "seed": "integer",
        "units": "integer",
        "rate": "number",
        "kind": "string",
        "name": "string",
        "is_wide": "boolean",
        "layers": "array of integer",
        "rates": "array of number",
        "words": "array of string",
    }


def test_values_are_attributes_and_the_rest_have_defaults() -> None:
    recipe = Every(units=3)
    assert (recipe.units, recipe.rate, recipe.layers, recipe.epochs) == (3, 0.5, [1, 2], 5)
    assert recipe.values()["units"] == 3


def test_redeclared_parameter_keeps_its_place_and_has_its_own_default() -> None:
    class Long(Recipe):
        """Train long."""

        epochs: int = parameter(100, minimum=1)

    assert (next(iter(declared(Long))), Long().epochs) == ("epochs", 100)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("units", "7", 7),
        ("units", " 7 ", 7),
        ("units", "7.0", 7),
        ("rate", "1e-4", 1e-4),
        ("rate", "0.25", 0.25),
        ("kind", "b", "b"),
        ("name", "007", "007"),
        ("name", "", ""),
        ("is_wide", "true", True),
        ("is_wide", "False", False),
        ("layers", "[64, 32]", [64, 32]),
        ("layers", "64,32", [64, 32]),
        ("layers", "64", [64]),
        ("layers", "", []),
        ("rates", "0.1, 2", [0.1, 2.0]),
        ("words", '["a,b", "c"]', ["a,b", "c"]),
        ("words", "a, b", ["a", "b"]),
    ],
)
def test_text_is_read_as_its_type(name: str, text: str, value: Any) -> None:
    read = EVERY[name].from_text(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("units", "0", "a whole number from 1 to 64"),
        ("units", "65", "a whole number from 1 to 64"),
        ("units", "1.5", "a whole number from 1 to 64"),
        ("units", "many", "a whole number"),
        ("units", "1_0", "a whole number"),
        ("rate", "0", "a number above 0 and below 1"),
        ("rate", "1", "a number above 0 and below 1"),
        ("rate", "nan", "a number above 0 and below 1"),
        ("kind", "c", "a text, one of a, b"),
        ("is_wide", "1", "true or false"),
        ("layers", "[1, 0]", "a list of whole numbers from 1"),
        ("layers", "[1", "a list of whole numbers from 1"),
        ("layers", "1,x", "a list of whole numbers from 1"),
    ],
)
def test_wrong_text_tells_what_was_expected(name: str, text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        EVERY[name].from_text(text)


@given(st.integers() | st.floats() | st.text() | st.booleans() | st.none() | st.lists(st.integers() | st.text()))
def test_any_json_is_a_value_within_bounds_or_refused(value: Any) -> None:
    for one in EVERY.values():
        try:
            read = one.from_json(value)
        except ValueError:
            continue
        if one.type == "integer":
            assert isinstance(read, int)
        if one.name == "rate":
            assert 0 < read < 1


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_number_is_the_same_from_text_and_from_json(value: float) -> None:
    free = Parameter("free", "number", 0.0, "")
    assert free.from_text(repr(value)) == free.from_json(value) == value


def test_names_of_values_are_read_in_camel_case_and_in_snake_case() -> None:
    assert resolve(EVERY, {"isWide": True, "batch_size": 8}) == {"is_wide": True, "batch_size": 8}


def test_decimal_that_came_as_text_is_a_number() -> None:
    assert resolve(EVERY, {"rate": "0.25", "layers": "3,4"}) == {"rate": 0.25, "layers": [3, 4]}


@pytest.mark.parametrize(
    ("given_values", "told"),
    [
        ({"unit": 3}, "there is no parameter unit: did you mean units?"),
        ({"zzz": 3}, "there is no parameter zzz: this recipe has epochs, batch_size, seed, units"),
        ({"units": 0}, "parameter units: expected a whole number from 1 to 64, got 0"),
        ({"units": math.nan}, "parameter units: expected a whole number from 1 to 64, got NaN"),
        ({"isWide": 1}, "parameter isWide: expected true or false, got 1"),
        ({"layers": {"a": 1}}, "parameter layers: expected a list of whole numbers from 1, got"),
    ],
)
def test_wrong_parameter_is_named_with_what_was_expected(given_values: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told.replace("?", r"\?")):
        resolve(EVERY, given_values)


def test_bad_declarations_are_refused() -> None:
    class Default(Recipe):
        """Have a default out of bounds."""

        units: int = parameter(0, minimum=1)

    class Kind(Recipe):
        """Have a type nobody can give."""

        table: dict = parameter({})  # type: ignore[type-arg]

    class Name(Recipe):
        """Be read from a variable that means something else."""

        path: str = parameter("x")

    class Hidden(Recipe):
        """Take the declaration away."""

        epochs = 7

    for recipe, told in (
        (Default, "the default of Default.units: expected a whole number from 1, got 0"),
        (Kind, "Kind.table is annotated"),
        (Name, "PATH means something else"),
        (Hidden, "hides a parameter"),
    ):
        with pytest.raises(InputError, match=told):
            declared(recipe)


def test_unknown_value_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="unit"):
        Every(unit=3)
