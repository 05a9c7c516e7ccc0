"""The trainer from flags to a published model."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from trainer import __main__ as command
from trainer import config, manifest
from trainer.store import ModelStore

if TYPE_CHECKING:
    from pathlib import Path


def published(arguments: list[str]) -> Path:
    """Return the directory of the only version published."""
    store = ModelStore(*_place(arguments))
    version = store.published_version()
    assert version is not None
    return store.home / str(version)


def _place(arguments: list[str]) -> tuple[Path, str, str]:
    options = config.parse(arguments, {})
    return options.model_store, options.model_name, options.model_key


def test_model_is_trained_and_published(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[1:4]] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert lines[-1] == "published mnist/0123456789ab/1"
    facts = json.loads((published(arguments) / "manifest.json").read_text())
    assert facts["files"] == manifest.files(published(arguments))
    assert facts["digest"] == manifest.digest(facts["files"])
    assert facts["metrics"]["test_accuracy"] > 0.9


def test_signature_takes_raw_pixels_and_gives_probabilities(arguments: list[str]) -> None:
    command.main(arguments)
    loaded = tf.saved_model.load(str(published(arguments)))
    signature = loaded.signatures["serving_default"]
    assert signature.structured_input_signature[1] == {"pixels": tf.TensorSpec((None, 28, 28), tf.float32, "pixels")}
    pixels = np.zeros((2, 28, 28), np.float32)
    pixels[:, 6:9] = 255
    probabilities = signature(pixels=tf.constant(pixels))["probabilities"].numpy()
    assert probabilities.shape == (2, 10)
    assert probabilities.argmax(axis=1).tolist() == [3, 3]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_warm_up_records_are_what_tensorflow_serving_reads(arguments: list[str]) -> None:
    command.main(arguments)
    path = published(arguments) / "assets.extra" / "tf_serving_warmup_requests"
    records = [prediction_log_pb2.PredictionLog.FromString(item.numpy()) for item in tf.data.TFRecordDataset(str(path))]
    sizes = [record.predict_log.request.inputs["pixels"].tensor_shape.dim[0].size for record in records]
    assert sizes == [1, 2, 8, 32, 128]
    assert {record.predict_log.request.model_spec.signature_name for record in records} == {"serving_default"}


def test_equal_inputs_give_equal_metrics(arguments: list[str]) -> None:
    seen = []
    for key in ("aaaaaaaa", "bbbbbbbb"):
        given = [*arguments, f"--model-key={key}"]
        assert command.main(given) == 0
        seen.append(json.loads((published(given) / "manifest.json").read_text())["metrics"])
    assert seen[0] == seen[1]


def test_published_key_is_not_trained_again(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    command.main(arguments)
    capsys.readouterr()
    assert command.main([*arguments, "--data-dir=/nowhere"]) == 0
    assert capsys.readouterr().out == "already published: mnist/0123456789ab/1\n"


def test_published_key_is_told_without_importing_tensorflow(arguments: list[str]) -> None:
    command.main(arguments)
    code = (
        "import sys; from trainer.__main__ import main; code = main(sys.argv[1:]);"
        "sys.exit(code or ('tensorflow' in sys.modules))"
    )
    path = ":".join(sys.path)
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, env={"PYTHONPATH": path})


def test_another_key_gets_the_next_version(arguments: list[str]) -> None:
    command.main(arguments)
    command.main([*arguments, "--model-key=ffffffffffff"])
    assert published([*arguments, "--model-key=ffffffffffff"]).name == "2"


def test_model_below_the_gate_is_not_published(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "reason").touch()
    assert command.main([*arguments, "--epochs=1", "--learning-rate=1e-9", "--min-accuracy=0.99"]) == 3
    assert "is below the minimum 0.9900: nothing was published" in capsys.readouterr().err
    assert "nothing was published" in (tmp_path / "reason").read_text()
    assert not list((tmp_path / "store").glob("*/*/[0-9]*"))


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--epochs=0", "argument --epochs: expected a whole number from 1 to 10000, got '0'"),
        ("--epochs=many", "argument --epochs"),
        ("--dropout=1", "argument --dropout: expected a number from 0 and below 1, got '1'"),
        ("--learning-rate=nan", "argument --learning-rate: expected a number above 0"),
        ("--dataset=cifar", "argument --dataset: expected fashion-mnist or mnist, got 'cifar'"),
        ("--model-name=../x", "argument --model-name"),
        ("--model-key=xyz", "argument --model-key"),
        ("--epoch=3", "unrecognized arguments"),
    ],
)
def test_bad_flag_is_named(arguments: list[str], flag: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([*arguments, flag]) == 2
    assert told in capsys.readouterr().err


def test_bad_environment_is_named(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BATCH_SIZE", "-3")
    assert command.main(arguments) == 2
    assert "argument --batch-size: expected a whole number from 1 to 60000, got '-3'" in capsys.readouterr().err


def test_missing_data_is_named(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([*arguments, "--data-dir=/nowhere"]) == 2
    assert "/nowhere/mnist/train-images-idx3-ubyte cannot be read: No such file" in capsys.readouterr().err


def test_damaged_data_is_named(arguments: list[str], data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = data_dir / "mnist" / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    assert command.main(arguments) == 2
    assert f"data file {path} is damaged: expected SHA-256" in capsys.readouterr().err


def test_full_store_leaves_nothing_half_published(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file may grow over 20 kB: what a full volume does to the model's variables.
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        assert command.main(arguments) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "cannot be written to" in capsys.readouterr().err
    left = [path.name for path in (tmp_path / "store" / "mnist" / "0123456789ab").iterdir()]
    assert not [name for name in left if not name.endswith(".lock")]


def test_unusable_store_is_told_before_training(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "store" / "mnist").write_text("a file where the model's directory belongs")
    assert command.main(arguments) == 2
    assert f"the model store {tmp_path / 'store'} cannot be written to" in capsys.readouterr().err
