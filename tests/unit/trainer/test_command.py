"""`python -m trainer`: from flags to what the publisher takes, and what a person reads when something is wrong."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from model_description import saved_model
from tests.processes import wait_for
from trainer import __main__ as command
from trainer import config
from trainer.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def result(tmp_path: Path) -> dict[str, Any]:
    """Return the result file's content."""
    content: dict[str, Any] = json.loads((tmp_path / "output" / "result.json").read_text(encoding="utf-8"))
    return content


def start(arguments: list[str], **variables: str) -> subprocess.Popen[str]:
    """Start a trainer of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "trainer", *arguments],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_default_recipe_is_trained_and_told(
    mnist: Path, places: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del mnist
    assert command.main([*places, "--epochs=3", "--hidden-units=16"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "recipe: mnist epochs=3 batch_size=32 seed=42 hidden_units=16 dropout=0.2 learning_rate=0.001"
    assert lines[2] == "data: mnist, 512 training examples, 128 test examples"
    assert [line.partition(":")[0] for line in lines[3:6]] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    told = result(tmp_path)
    assert set(told["metrics"]) == {"accuracy", "loss"}
    assert (told["task"], told["labels"][7], told["data"]["name"]) == ("classification", "7", "mnist")
    assert told["inputs"] == {"pixels": {"meaning": "image", "minimum": 0, "maximum": 255.0}}
    assert told["outputs"] == {"probabilities": {"scores": "probabilities"}}
    assert told["parameters"]["hidden_units"] == 16
    assert told["gates"] == [{"metric": "accuracy", "min": 0.8}]
    assert len(told["data"]["sha256"]) == 64


def test_example_is_what_the_saved_model_answers(places: list[str], code: Path, tmp_path: Path) -> None:
    assert command.main([*places, "--module=sums", f"--code-dir={code}", "--epochs=1"]) == 0
    example = result(tmp_path)["example"]
    served = tf.saved_model.load(str(tmp_path / "output" / "model")).signatures["serving_default"]
    answer = served(numbers=tf.constant([example["inputs"]["numbers"]], tf.float32))
    np.testing.assert_allclose(answer["score"][0], example["outputs"]["score"], rtol=1e-6)


def test_warmup_requests_fit_the_signature(places: list[str], code: Path, tmp_path: Path) -> None:
    command.main([*places, "--module=sums", f"--code-dir={code}", "--epochs=1"])
    path = tmp_path / "output" / "model" / "assets.extra" / "tf_serving_warmup_requests"
    sizes = []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        assert (request.model_spec.signature_name, list(request.inputs)) == ("serving_default", ["numbers"])
        values = tf.make_ndarray(request.inputs["numbers"])
        assert values.shape[1:] == (3,)
        sizes.append(len(values))
    assert sizes == [1, 2, 8, 32, 128]


def test_signature_has_the_models_own_names(places: list[str], code: Path, tmp_path: Path) -> None:
    command.main([*places, "--module=sums", f"--code-dir={code}", "--epochs=1"])
    signature = saved_model.read_signatures(tmp_path / "output" / "model")["serving_default"]
    assert (list(signature.inputs), list(signature.outputs), signature.joins_rows) == (["numbers"], ["score"], True)


def test_logs_tell_epochs_parameters_and_what_was_reached(places: list[str], code: Path, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    command.main([*places, "--module=sums", f"--code-dir={code}", "--epochs=2", f"--log-dir={logs}"])
    found = {
        value.tag
        for path in logs.glob("**/events*")
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
        for value in tf.compat.v1.Event.FromString(record).summary.value
    }
    assert {"epoch_loss", "epoch_accuracy", "accuracy", "loss", "_hparams_/session_start_info"} <= found


def test_flag_wins_over_variable_over_file_over_default(
    code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "training.json"
    told.write_text(json.dumps({"parameters": {"units": 3, "epochs": 3, "batchSize": 3}}), encoding="utf-8")
    arguments = ["--module=sums", f"--code-dir={code}", f"--training-config={told}", "--units=5"]
    monkeypatch.setenv("UNITS", "4")
    monkeypatch.setenv("EPOCHS", "4")
    values = config.parse(arguments).recipe.values()
    assert [values[name] for name in ("units", "epochs", "batch_size", "seed")] == [5, 4, 3, 42]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--units=0"], "--units' (env var: 'UNITS'): expected a whole number from 1 to 64, got \"0\""),
        (["--unit=3"], "there is no parameter --unit: did you mean units?"),
        (["--kind=sigmoid"], "expected a text, one of relu, tanh"),
        (["--module=nothing"], "there is no module 'nothing': name a built-in recipe (fashion_mnist, mnist)"),
        (["--module=broken"], "module 'broken' cannot be imported: ZeroDivisionError: division by zero ("),
        (["--module=two"], "module 'two' must hold one recipe, a class derived from trainer.Recipe: it has A, B"),
        (["--module=json"], "it has none"),
        (["--checkpoint-steps=-1"], "expected a whole number, 0 or more"),
    ],
)
def test_what_is_wrong_is_named_and_ends_with_2(
    code: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (code / "broken.py").write_text("1 / 0\n", encoding="utf-8")
    (code / "two.py").write_text(
        "from trainer import Recipe\nclass A(Recipe): ...\nclass B(Recipe): ...\n", encoding="utf-8"
    )
    assert command.main([f"--code-dir={code}", "--module=sums", *arguments]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("step", ["data", "model"])
def test_recipe_that_lacks_a_step_ends_with_2(code: Path, tmp_path: Path, step: str) -> None:
    given = "" if step == "data" else "    def data(self, folder):\n        return None\n"
    (code / f"lacks_{step}.py").write_text(
        f"from trainer import Recipe\nclass Lacks(Recipe):\n    x = 1\n{given}", encoding="utf-8"
    )
    recipe = config.parse([f"--code-dir={code}", f"--module=lacks_{step}"]).recipe
    with pytest.raises(InputError, match=rf"Lacks has no {step}\(\): expected one that returns"):
        recipe.data(tmp_path) if step == "data" else recipe.model(recipe.data(None))


def test_unknown_key_of_the_file_is_named(code: Path, tmp_path: Path) -> None:
    told = tmp_path / "training.json"
    told.write_text(json.dumps({"parameters": {"hiddenUnits": 3}}), encoding="utf-8")
    with pytest.raises(InputError, match="there is no parameter hiddenUnits"):
        config.parse([f"--code-dir={code}", "--module=sums", f"--training-config={told}"])


def test_file_with_the_name_of_a_built_in_recipe_is_refused(code: Path) -> None:
    (code / "mnist.py").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"mnist\.py has the name of a module of the trainer"):
        config.parse([f"--code-dir={code}", "--module=sums"])


def test_help_shows_the_recipes_own_parameters(code: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        config.parse([f"--code-dir={code}", "--module=sums", "--help"])
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Tell whether numbers add up to more than nothing." in told
    assert "--units INTEGER units of the hidden layer [a whole number from 1 to 64]" in told
    assert "--hidden-units" not in told
    with pytest.raises(SystemExit):
        config.parse(["--help"])
    assert "--hidden-units" in capsys.readouterr().out


def test_fault_of_the_recipe_ends_with_its_own_line(
    code: Path, places: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        (code / "sums.py")
        .read_text(encoding="utf-8")
        .replace("        x = np", "        raise KeyError('x')\n        x = np")
    )
    (code / "faulty.py").write_text(text, encoding="utf-8")
    assert command.main([*places, f"--code-dir={code}", "--module=faulty"]) == 1
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.splitlines()[-1].startswith("trainer: the recipe failed: KeyError: 'x' (")
    assert "faulty.py, line" in error.splitlines()[-1]


def test_missing_data_is_named(mnist: Path, places: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    (mnist / "mnist" / "t10k-labels-idx1-ubyte").unlink()
    assert command.main(places) == 2
    assert "t10k-labels-idx1-ubyte cannot be read: No such file" in capsys.readouterr().err


@pytest.mark.lengthy
def test_killed_run_leaves_no_result_and_the_next_goes_on(code: Path, places: list[str], tmp_path: Path) -> None:
    checkpoints = tmp_path / "run" / "checkpoints"
    arguments = [*places, "--module=sums", f"--code-dir={code}", "--epochs=2000", f"--checkpoint-dir={checkpoints}"]
    with start(arguments) as process:
        wait_for((checkpoints / "checkpoint").exists, "a checkpoint", 60)
        process.kill()
    assert not (tmp_path / "output" / "result.json").exists()
    with start([*arguments, "--epochs=2000"]) as process:
        assert process.stdout is not None
        lines = [next(process.stdout) for _ in range(4)]
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    assert any(line.startswith("resumed after epoch") for line in lines), lines
    assert process.returncode == 128 + signal.SIGTERM
    assert not list((tmp_path / "output").glob("*"))


def test_log_has_no_noise(code: Path, places: list[str]) -> None:
    with start([*places, "--module=sums", f"--code-dir={code}", "--epochs=1"]) as process:
        out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert [line.partition(":")[0] for line in out.splitlines()] == [
        "recipe",
        "devices",
        "data",
        "epoch 1/1",
        "test",
        f"exported to {places[0].partition('=')[2]}",
    ]
    assert not error, error


STREAM = """\
import keras
import tensorflow as tf
from trainer import Data, Recipe


class Stream(Recipe):
    \"\"\"Learn from more than fits into memory.\"\"\"

    def data(self, folder):
        def rows(count):
            # 1 MiB an example.
            numbers = tf.data.Dataset.range(count)
            return numbers.map(lambda one: (tf.fill((1 << 18,), tf.cast(one, tf.float32)), 1.0)).batch(8)
        return Data(train=rows(3000), test=rows(8))

    def model(self, data):
        pooled = keras.layers.Lambda(lambda x: keras.ops.mean(x, axis=1, keepdims=True))
        layers = [keras.Input((1 << 18,), name="x"), pooled, keras.layers.Dense(1, name="y")]
        model = keras.Sequential(layers)
        model.compile("sgd", "mse")
        return model

    def example(self, data):
        return next(iter(data.test))[0][:1]
"""


@pytest.mark.lengthy
def test_data_larger_than_memory_is_streamed(code: Path, places: list[str]) -> None:
    (code / "stream.py").write_text(STREAM, encoding="utf-8")
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    with start([*places, "--module=stream", f"--code-dir={code}", "--epochs=1"]) as process:
        _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    peak_mebibytes = max(before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024
    # 3,000 MiB were read.
    assert peak_mebibytes < 1500, peak_mebibytes
