"""The trainer's configuration: flags, or environment variables of the same names."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainer.datasets import DATASETS
from trainer.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
KEY = re.compile(r"[0-9a-f]{8,64}")
TERMINATION_LOG = "/dev/termination-log"


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


class _Kind(click.ParamType[Any]):
    """A type of value: `convert` raises ValueError with what was expected."""

    def __init__(self, name: str, convert: Callable[[str], Any]) -> None:
        self.name = name
        self._convert = convert

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._convert(str(value))
        except ValueError as error:
            self.fail(f"expected {error}, got {str(value)[:80]!r}", param, ctx)


class _Option(click.Option):
    """An option whose variable counts as soon as it is set, also to nothing: that is a mistake to be told."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        del ctx
        return os.environ.get(str(self.envvar))


def _whole(low: int, high: int) -> click.ParamType[Any]:
    def convert(text: str) -> int:
        if re.fullmatch("[+-]?[0-9]{1,20}", text.strip()) and low <= int(text) <= high:
            return int(text)
        raise ValueError(f"a whole number from {low} to {high}")

    return _Kind("number", convert)


def _number(low: float, high: float, *, above: bool = False, below: bool = False) -> click.ParamType[Any]:
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

    return _Kind("number", convert)


def _matching(pattern: re.Pattern[str], wanted: str) -> click.ParamType[Any]:
    def convert(text: str) -> str:
        if pattern.fullmatch(text):
            return text
        raise ValueError(wanted)

    return _Kind("text", convert)


def _one_of(names: Sequence[str]) -> click.ParamType[Any]:
    def convert(text: str) -> str:
        if text in names:
            return text
        raise ValueError(" or ".join(names))

    return _Kind("name", convert)


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError("a path")
    return Path(text)


def _flag(name: str, default: str, kind: click.ParamType[Any], summary: str) -> Callable[[Any], Any]:
    return click.option(
        name,
        cls=_Option,
        default=default,
        type=kind,
        help=summary,
        show_default=True,
        envvar=name.removeprefix("--").replace("-", "_").upper(),
        show_envvar=True,
    )


PATH = _Kind("path", _path)
NAMES = _matching(NAME, "letters, digits, '_', '-' or '.', at most 128, the first a letter or digit")
_termination_log = _flag(
    "--termination-log", TERMINATION_LOG, PATH, "file Kubernetes reads the reason of a failure from"
)


@click.command(help="Train one model, evaluate it, hold it to a minimum accuracy and publish it.")
@_flag("--model-name", "mnist", NAMES, "name of the model")
@_flag("--model-key", "00000000", _matching(KEY, "8 to 64 hexadecimal digits"), "digest of the training inputs")
@_flag("--model-store", "/model-store", PATH, "directory the model is published in")
@_flag("--dataset", "mnist", _one_of(sorted(DATASETS)), "data set to train on")
@_flag("--data-dir", "/data", PATH, "directory with a folder of IDX files for each data set")
@_flag("--epochs", "5", _whole(1, 10_000), "passes over the training images")
@_flag("--batch-size", "32", _whole(1, 60_000), "images in a step")
@_flag("--hidden-units", "512", _whole(1, 65_536), "units of the hidden layer")
@_flag("--dropout", "0.2", _number(0, 1, below=True), "share of hidden units left out in training")
@_flag("--learning-rate", "0.001", _number(0, 10, above=True), "step size of the Adam optimizer")
@_flag("--seed", "42", _whole(0, 2**31 - 1), "seed of every random choice")
@_flag("--min-accuracy", "0", _number(0, 1), "test accuracy below which nothing is published")
@_termination_log
def _command(**values: Any) -> Config:
    shaping = {name: values.pop(name) for name in Parameters.__dataclass_fields__}
    return Config(parameters=Parameters(**shaping), **values)


@click.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True}, add_help_option=False)
@_termination_log
def _termination_log_command(termination_log: Path) -> Path:
    return termination_log


def parse(arguments: Sequence[str]) -> Config:
    """Return the configuration of flags and environment, where a flag wins.

    Exit with 0 after printing --help; raise InputError that names the flag, what was expected and what was given.
    """
    try:
        result = _command.main(list(arguments), prog_name="trainer", standalone_mode=False)
    except click.ClickException as error:
        raise InputError(error.format_message()) from None
    if not isinstance(result, Config):
        raise SystemExit(result)
    return result


def termination_log(arguments: Sequence[str]) -> Path:
    """Return where the reason of a failure goes, whatever else is wrong with the arguments."""
    try:
        return Path(_termination_log_command.main(list(arguments), prog_name="trainer", standalone_mode=False))
    except click.ClickException:
        return Path(TERMINATION_LOG)
