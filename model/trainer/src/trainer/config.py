"""The trainer's command line: its own flags, and those of the recipe's parameters."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainer import loading
from trainer.errors import InputError
from trainer.parameters import declared, resolve, shown, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trainer.parameters import Parameter
    from trainer.recipe import Recipe

DEFAULT_MODULE = "mnist"
MAXIMUM_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True)
class Config:
    """One run: the recipe with its parameters' values, what it learns from, and where its results go."""

    recipe: Recipe
    module: str
    data_dir: Path | None
    data_sha256: str
    model_dir: Path
    result_file: Path
    checkpoint_dir: Path | None
    checkpoint_steps: int
    log_dir: Path | None


class _Kind(click.ParamType[Any]):
    """A type of value: `convert` raises ValueError with what was expected."""

    def __init__(self, name: str, convert: Callable[[str], Any]) -> None:
        self.name = name
        self._convert = convert

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._convert(value)
        except ValueError as error:
            self.fail(f"expected {error}, got {shown(value)}", param, ctx)


class _Option(click.Option):
    """An option whose variable counts as soon as it is set, also to nothing: that is a mistake to be told."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        del ctx
        return os.environ.get(str(self.envvar))


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError("a path")
    return Path(text)


def _path_or_none(text: str) -> Path | None:
    return _path(text) if text else None


def _steps(text: str) -> int:
    if not text.strip().isdecimal() or len(text) > 12:  # noqa: PLR2004 - more steps than anybody trains
        raise ValueError("a whole number, 0 or more")
    return int(text)


def _text(text: str) -> str:
    return text


PATH = _Kind("path", _path)
PATH_OR_NONE = _Kind("path", _path_or_none)
TEXT = _Kind("text", _text)
# Name, default, type, variable where it is not the flag's own name, help.
_OWN: tuple[tuple[str, str, click.ParamType[Any], str], ...] = (
    ("--module", DEFAULT_MODULE, TEXT, "recipe: a built-in one, or a module that holds one"),
    ("--code-dir", "", PATH_OR_NONE, "folder of the user's own modules"),
    ("--training-config", "", PATH_OR_NONE, 'JSON file whose "parameters" are used where no flag or variable is'),
    ("--data-dir", "", PATH_OR_NONE, "folder the recipe's data is in"),
    ("--data-sha256", "", TEXT, "digest of that data, where it is known"),
    ("--model-dir", "output/model", PATH, "folder the SavedModel is written to"),
    ("--result-file", "output/result.json", PATH, "file the metrics, the description and the example are written to"),
    ("--checkpoint-dir", "", PATH_OR_NONE, "folder of checkpoints; a run that finds some goes on from the last"),
    ("--checkpoint-steps", "0", _Kind("number", _steps), "steps between checkpoints; 0 is one after each epoch"),
    ("--log-dir", "", PATH_OR_NONE, "folder of logs for TensorBoard"),
)


def parse(arguments: Sequence[str]) -> Config:
    """Return the configuration: a flag wins over its environment variable, that over --training-config, over defaults.

    Exit with 0 after printing --help; raise InputError that names flag or parameter, what was expected and what is
    there.
    """
    first = _run(_first_look(), arguments)
    module, code = first["module"], first["code_dir"]
    recipe = loading.load(module, code)
    parameters = declared(recipe)
    given = _from_file(first["training_config"], parameters)
    values = _run(_command(recipe, parameters), arguments, given)
    chosen = {name: values.pop(name) for name in parameters}
    for name in ("code_dir", "training_config"):
        values.pop(name)
    return Config(recipe=recipe(**chosen), **values)


def _first_look() -> click.Command:
    """Return a command that only finds out which recipe is meant."""
    options: list[click.Parameter] = [
        _option(*one) for one in _OWN if one[0] in {"--module", "--code-dir", "--training-config"}
    ]
    settings = {"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": True}
    return click.Command(
        "trainer", params=options, add_help_option=False, context_settings=settings, callback=lambda **values: values
    )


def _command(recipe: type[Recipe], parameters: Mapping[str, Parameter]) -> click.Command:
    about = (recipe.__doc__ or recipe.__name__).strip().splitlines()[0]
    others = ", ".join(loading.built_in())
    own = [
        _Option(
            [one.flag],
            default=one.default,
            type=_Kind(one.type, one.from_text),
            help=f"{one.help or one.name} [{one.expected}]",
            show_default=True,
            envvar=one.variable,
            show_envvar=True,
        )
        for one in parameters.values()
    ]
    return click.Command(
        "trainer",
        params=[*own, *(_option(*one) for one in _OWN)],
        help=f"{about}\n\nTrain, evaluate and export. Built-in recipes: {others}; --module names another.",
        callback=lambda **values: values,
    )


def _option(name: str, default: str, kind: click.ParamType[Any], summary: str) -> click.Option:
    return _Option(
        [name],
        default=default,
        type=kind,
        help=summary,
        show_default=bool(default),
        envvar=name.removeprefix("--").replace("-", "_").upper(),
        show_envvar=True,
    )


def _run(command: click.Command, arguments: Sequence[str], given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    names = [option.name for option in command.params if option.name]
    try:
        result = command.main(
            list(arguments), prog_name="trainer", standalone_mode=False, default_map=dict(given or {})
        )
    except click.NoSuchOption as error:
        raise InputError(unknown(error.option_name, names)) from None
    except click.ClickException as error:
        raise InputError(error.format_message()) from None
    if not isinstance(result, dict):
        raise SystemExit(result)
    return result


def _from_file(path: Path | None, parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(MAXIMUM_CONFIG_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"--training-config {path} cannot be read: {error}") from error
    given = content.get("parameters", {}) if isinstance(content, dict) else None
    if not isinstance(given, dict):
        raise InputError(f'--training-config {path}: expected an object with "parameters", an object')
    return resolve(parameters, given)
