"""Find the recipe in a module: one of the built-in ones, a file of the user's, or a module that is installed."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
import traceback
from typing import TYPE_CHECKING

from trainer import recipes
from trainer.errors import InputError
from trainer.parameters import declared
from trainer.recipe import Recipe

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


def built_in() -> list[str]:
    """Return the names of the recipes that come with the trainer."""
    return sorted(module.name for module in pkgutil.iter_modules(recipes.__path__) if module.name not in recipes.SHARED)


def load(name: str, code: Path | None = None) -> type[Recipe]:
    """Return the one recipe of a module; files in `code` are modules as well.

    Raise InputError when there is no such module, when it cannot be imported, or when it does not hold one recipe.
    """
    if code is not None and str(code) not in sys.path:
        _check_names(code)
        sys.path.insert(0, str(code))
    recipe = _only_recipe(_module(name), name)
    declared(recipe)
    return recipe


def _module(name: str) -> ModuleType:
    if name in built_in():
        return importlib.import_module(f"{recipes.__name__}.{name}")
    try:
        is_there = importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        is_there = False
    if not is_there:
        raise InputError(
            f"there is no module {name!r}: name a built-in recipe ({', '.join(built_in())}), a file of training.code "
            "without its .py, or a module of the image"
        )
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise InputError(f"module {name!r} cannot be imported: {where(error)}") from error


def where(error: BaseException) -> str:
    """Return an exception with the last line of the user's own that it came through."""
    told = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    return f"{told} ({own[-1].filename}, line {own[-1].lineno})" if own else told


def _is_users(path: str) -> bool:
    return not path.startswith("<") and "site-packages" not in path and not path.startswith(sys.base_prefix)


def _only_recipe(module: ModuleType, name: str) -> type[Recipe]:
    found = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Recipe) and value.__module__ == module.__name__
    ]
    # A base class of the module's own is not the one that is meant.
    last = [one for one in found if not any(other is not one and issubclass(other, one) for other in found)]
    if len(last) != 1:
        told = ", ".join(one.__name__ for one in last) or "none"
        raise InputError(f"module {name!r} must hold one recipe, a class derived from trainer.Recipe: it has {told}")
    return last[0]


def _check_names(code: Path) -> None:
    for path in code.glob("*.py"):
        if path.stem in built_in() or path.stem == "trainer":
            raise InputError(f"{path.name} has the name of a module of the trainer: call the file otherwise")
