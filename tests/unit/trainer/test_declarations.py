"""What the built-in recipes declare can be read where there is no TensorFlow and no numpy."""

from __future__ import annotations

import json
import subprocess
import sys

from trainer import declarations

BLOCKED = """\
import sys
for name in ("tensorflow", "keras", "numpy", "click", "tensorboard"):
    sys.modules[name] = None
import json
from trainer import declarations
print(json.dumps(declarations.built_in()))
"""


def test_declarations_are_read_without_tensorflow() -> None:
    done = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads(json.dumps(declarations.built_in()))


def test_default_recipe_declares_what_it_always_had() -> None:
    found = declarations.built_in()
    assert set(found) == {"mnist", "fashion_mnist"}
    defaults = {name: one["default"] for name, one in found["mnist"]["parameters"].items()}
    assert defaults == {
        "epochs": 5,
        "batch_size": 32,
        "seed": 42,
        "hidden_units": 512,
        "dropout": 0.2,
        "learning_rate": 0.001,
    }
    assert found["mnist"]["gates"] == [{"metric": "accuracy", "min": 0.8}]
    assert found["mnist"]["parameters"]["dropout"]["exclusiveMaximum"] == 1
