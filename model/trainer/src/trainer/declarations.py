"""What the built-in recipes declare, for those who check parameters before anything runs."""

from __future__ import annotations

import inspect
from typing import Any

from trainer import loading
from trainer.parameters import declared


def built_in() -> dict[str, dict[str, Any]]:
    """Return each built-in recipe's `help`, `parameters` (by name, as JSON schema has them) and `gates`."""
    found = {}
    for name in loading.built_in():
        recipe = loading.load(name)
        found[name] = {
            "help": (inspect.getdoc(recipe) or "").splitlines()[0],
            "parameters": {key: one.schema() for key, one in declared(recipe).items()},
            "gates": [dict(gate) for gate in recipe.gates],
        }
    return found
