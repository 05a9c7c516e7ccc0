"""Other people's training: a recipe file, and a program in an image that holds nothing of this project."""

from __future__ import annotations

import difflib
import io
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ci import paths, readiness
from ci.images import datasets
from tests.e2e import clients, jobs, own_model, quick

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.e2e.digits import Digits
    from tests.e2e.release import Release

CLAIM = "data"
TRAIN = Path(__file__).parents[1] / "programs" / "train.py"
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


def readme_blocks() -> tuple[str, str]:
    """Return the recipe and the commands of the README's section on training one's own model."""
    text = (paths.ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("## Train your own model\n")[2].partition("\n## ")[0]
    blocks = dict(re.findall(r"^```(\w*)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))
    return blocks["python"], blocks[""]


def test_recipe_of_the_readme_goes_from_a_file_to_a_prediction_as_written(release: Release, tmp_path: Path) -> None:
    recipe, commands = readme_blocks()
    assert len([line for line in recipe.splitlines() if line.strip()]) < 30
    (tmp_path / "fraud.py").write_text(recipe, encoding="utf-8")
    for name in ("charts", "model"):
        (tmp_path / name).symlink_to(paths.ROOT / name)
    home = tmp_path / "home" / ".cache" / "tensorflow-model"
    home.mkdir(parents=True)
    (home / "pushed-values.json").write_text(release.access.values.read_text(encoding="utf-8"), encoding="utf-8")
    place = f"cd {tmp_path}; export HOME={tmp_path}/home HELM_NAMESPACE={release.namespace}"
    # Where a person would have said it once: kubectl config set-context --current --namespace.
    context = f"cp $KUBECONFIG {tmp_path}/kubeconfig; export KUBECONFIG={tmp_path}/kubeconfig"
    namespace = f"kubectl config set-context --current --namespace={release.namespace} >/dev/null"
    answer = release.shell(f"{place}; {context}; {namespace}\ntrap 'kill $!' EXIT\n{commands}", timeout_seconds=600)
    assert re.search(r'\{"prediction":"fraud","probability":"(1\.0000|0\.\d{4})"\}$', answer.strip()), answer
    release.helm("uninstall", "fraud", "--wait", "--timeout=120s")


STREAM = """\
from pathlib import Path
import keras
import tensorflow as tf
from trainer import Data, Recipe

SIDE = 1 << 18

class Stream(Recipe):
    \"\"\"Learn from files that are larger than the memory of the pod.\"\"\"

    def data(self, folder):
        def rows(count):
            files = [str(path) for path in sorted(Path(folder).glob("*.bin"))[:count]]
            read = tf.data.FixedLengthRecordDataset(files, 4 * SIDE)
            return read.map(lambda raw: (tf.reshape(tf.io.decode_raw(raw, tf.float32), (SIDE,)), 1.0)).batch(8)
        return Data(train=rows(None), test=rows(1))

    def model(self, data):
        pooled = keras.layers.Reshape((SIDE, 1))
        layers = [keras.Input((SIDE,), name="x"), pooled, keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(1)]
        model = keras.Sequential(layers)
        model.compile("sgd", "mse")
        return model

    def example(self, data):
        return next(iter(data.test))[0][:1].numpy()
"""
# More than the limit by half; the rest of the limit is TensorFlow's own.
LIMIT_MEBIBYTES, DATA_MEBIBYTES = 1024, 1536


def test_data_larger_than_the_memory_limit_trains(release: Release) -> None:
    streamed = release.beside("streamed")
    own_model.claim(streamed, "large")
    own_model.writer(streamed, "large", "large-writer")
    script = (
        "import os\nfor number in range(6):\n"
        " with open(f'/store/{number}.bin', 'wb') as file:\n"
        f"  [file.write(bytes(1 << 20)) for _ in range({DATA_MEBIBYTES} // 6)]\n"
        "os.sync()"
    )
    streamed.kubectl("exec", "large-writer", "--", "python3", "-c", script)
    given = quick.values()
    given["training"] = {
        "module": "stream",
        "code": {"stream.py": STREAM},
        "params": {"epochs": 1},
        "data": {"existingClaim": "large"},
        "gates": [],
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": f"{LIMIT_MEBIBYTES}Mi"}},
        "backoffLimit": 0,
    }
    streamed.upgrade(given, wait=False)
    streamed.wait_for_job()
    assert "epoch 1/1: loss" in jobs.log(streamed)
    streamed.kubectl("delete", "pod", "large-writer", "--grace-period=1")
    streamed.helm("uninstall", "streamed", "--wait", "--timeout=120s")
    streamed.kubectl("delete", "pvc", "large", "--wait=false")


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
                "image": json.loads(readiness.foreign_image_file().read_text(encoding="utf-8")),
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
