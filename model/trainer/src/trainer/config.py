"""The trainer's configuration: flags, or environment variables of the same names."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from trainer.datasets import DATASETS
from trainer.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
KEY = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True)
class Parameters:
    """What shapes the model; equal parameters and data give equal metrics."""

    epochs: int
    batch_size: int
    hidden_units: int
    dropout: float
    learning_rate: float
    seed: int


@dataclass(frozen=True)
class Config:
    """One run: what to train, on which data, how good it must be, and where it is published."""

    model_name: str
    model_key: str
    model_store: Path
    dataset: str
    data_dir: Path
    parameters: Parameters
    min_accuracy: float
    termination_log: Path


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(message)


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Config:
    """Return the configuration; raise InputError that names the flag, what was expected and what was given."""
    options = _parser(environment).parse_args(arguments)
    return Config(
        model_name=options.model_name,
        model_key=options.model_key,
        model_store=options.model_store,
        dataset=options.dataset,
        data_dir=options.data_dir,
        parameters=Parameters(
            epochs=options.epochs,
            batch_size=options.batch_size,
            hidden_units=options.hidden_units,
            dropout=options.dropout,
            learning_rate=options.learning_rate,
            seed=options.seed,
        ),
        min_accuracy=options.min_accuracy,
        termination_log=options.termination_log,
    )


def _parser(environment: Mapping[str, str]) -> _Parser:
    parser = _Parser(
        prog="trainer",
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )

    def flag(name: str, default: str, kind: Callable[[str], object], summary: str) -> None:
        variable = name.removeprefix("--").replace("-", "_").upper()
        # argparse converts and checks a default that is text as it does a flag's value.
        given = environment.get(variable, default)
        parser.add_argument(name, default=given, type=_named(name, kind), help=f"{summary} [{variable}]")

    flag(
        "--model-name",
        "mnist",
        _matching(NAME, "letters, digits, '_', '-' or '.', the first a letter or digit"),
        "name of the model",
    )
    flag(
        "--model-key",
        "00000000",
        _matching(KEY, "8 to 64 hexadecimal digits"),
        "digest of the training inputs",
    )
    flag("--model-store", "/model-store", Path, "directory the model is published in")
    flag("--dataset", "mnist", _one_of(sorted(DATASETS)), "data set to train on")
    flag("--data-dir", "/data", Path, "directory with a folder of IDX files for each data set")
    flag("--epochs", "5", _whole(1, 10_000), "passes over the training images")
    flag("--batch-size", "32", _whole(1, 60_000), "images in a step")
    flag("--hidden-units", "512", _whole(1, 65_536), "units of the hidden layer")
    flag("--dropout", "0.2", _number(0, 1, below=True), "share of hidden units left out in training")
    flag("--learning-rate", "0.001", _number(0, 10, above=True), "step size of the Adam optimizer")
    flag("--seed", "42", _whole(0, 2**31 - 1), "seed of every random choice")
    flag("--min-accuracy", "0", _number(0, 1), "test accuracy below which nothing is published")
    flag(
        "--termination-log",
        "/dev/termination-log",
        Path,
        "file Kubernetes reads the reason of a failure from",
    )
    return parser


def _named(name: str, kind: Callable[[str], object]) -> Callable[[str], object]:
    def convert(text: str) -> object:
        try:
            return kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"expected {error}, got {text[:80]!r}") from error

    convert.__name__ = name
    return convert


def _whole(low: int, high: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        if re.fullmatch(r"[+-]?\d+", text.strip()) and low <= int(text) <= high:
            return int(text)
        raise ValueError(f"a whole number from {low} to {high}")

    return convert


def _number(low: float, high: float, *, above: bool = False, below: bool = False) -> Callable[[str], float]:
    """Accept `low` to `high`, without `low` when `above` it, without `high` when `below` it."""

    def convert(text: str) -> float:
        wanted = f"a number {'above' if above else 'from'} {low:g} {'and below' if below else 'to'} {high:g}"
        try:
            value = float(text)
        except ValueError as error:
            raise ValueError(wanted) from error
        # Written so that NaN fails.
        if (low < value if above else low <= value) and (value < high if below else value <= high):
            return value
        raise ValueError(wanted)

    return convert


def _matching(pattern: re.Pattern[str], wanted: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if pattern.fullmatch(text):
            return text
        raise ValueError(wanted)

    return convert


def _one_of(names: Sequence[str]) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text in names:
            return text
        raise ValueError(" or ".join(names))

    return convert
