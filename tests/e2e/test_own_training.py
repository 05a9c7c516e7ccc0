"""Other people's training: a recipe file, and a program in an image that holds nothing of this project."""

from __future__ import annotations

import difflib
import io
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ci import datasets, demo, paths
from tests.e2e import clients, own_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.e2e.digits import Digits
    from tests.e2e.release import Release

CLAIM = "data"
TRAIN = Path(__file__).parent / "programs" / "train.py"
# What a plain train.py needs to be trained, gated, published and served: its last line says where results go.
BEFORE = "print(json.dumps(model.evaluate(x_test, y_test, return_dict=True)))"
AFTER = (
    'json.dump({"metrics": model.evaluate(x_test, y_test, return_dict=True)}, open(os.environ["RESULT_FILE"], "w"));'
    ' model.export(os.environ["MODEL_DIR"])'
)


def idx(name: str, header_bytes: int) -> NDArray[np.uint8]:
    """Return the bytes of one of MNIST's files after its header."""
    return np.fromfile(paths.cache() / "datasets" / "mnist" / name, np.uint8, offset=header_bytes)


def mnist_npz() -> bytes:
    """Return MNIST as Keras publishes it: one .npz of four arrays."""
    datasets.fetch(paths.cache() / "datasets")
    packed = io.BytesIO()
    np.savez_compressed(
        packed,
        x_train=idx("train-images-idx3-ubyte", 16).reshape(-1, 28, 28),
        y_train=idx("train-labels-idx1-ubyte", 8),
        x_test=idx("t10k-images-idx3-ubyte", 16).reshape(-1, 28, 28),
        y_test=idx("t10k-labels-idx1-ubyte", 8),
    )
    return packed.getvalue()


def put(release: Release, name: str, content: bytes) -> None:
    """Write a file into the claim."""
    script = f"import sys; open('{own_model.MOUNT}/{name}', 'wb').write(sys.stdin.buffer.read())"
    command = [*release.kubectl_command, "exec", "--stdin", own_model.WRITER, "--", "python3", "-c", script]
    subprocess.run(command, input=content, check=True, capture_output=True)


def test_plain_train_py_in_a_foreign_image_needs_one_changed_line(release: Release, digits: Digits) -> None:
    before = TRAIN.read_text(encoding="utf-8")
    after = before.replace(BEFORE, AFTER)
    changed = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line.startswith("+ ")]
    assert len(changed) == 1
    own_model.claim(release, CLAIM)
    own_model.writer(release, CLAIM)
    put(release, "mnist.npz", mnist_npz())
    fixed: dict[str, Any] = {"autoscaling": {"enabled": False}}
    release.upgrade(
        {
            "training": {
                "image": json.loads(demo.foreign_image_file().read_text(encoding="utf-8")),
                "command": ["python3", "/code/train.py"],
                "code": {"train.py": after},
                "params": {"epochs": 1},
                "data": {"existingClaim": CLAIM},
                "gates": [{"metric": "accuracy", "min": 0.9}],
            },
            "server": fixed,
            "api": fixed,
        }
    )
    facts = clients.served_model(release)
    assert facts["metrics"]["accuracy"] > 0.9
    twenty = digits.first(20)
    scores = np.array(clients.outputs(release, (twenty.images / 255).tolist(), "output_0"))
    assert (scores.argmax(axis=1) == twenty.labels).mean() > 0.8
