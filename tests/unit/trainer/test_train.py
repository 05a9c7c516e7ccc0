"""The trainer from flags to a published model."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from model_description import saved_model
from model_store import DirectoryStore, Wanted
from trainer import __main__ as command
from trainer import config, export, network

if TYPE_CHECKING:
    from model_description.description import Description
    from model_store import Fetched


def fetched(arguments: list[str], target: Path, key: str = "0123456789ab") -> Fetched:
    """Return a verified copy of the only version published under a key."""
    flags = dict(argument.removeprefix("--").split("=", 1) for argument in arguments)
    store = DirectoryStore(Path(flags["model-store"]))
    found = store.find(Wanted("mnist", key))
    assert found is not None
    return store.fetch(found, target, verify=True)


def described(folder: Path) -> Description:
    """Return what a SavedModel says of itself."""
    description = saved_model.read_description(folder)
    assert description is not None
    return description


def test_model_is_trained_and_published(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[1:4]] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert lines[-1] == "published mnist/0123456789ab/1"
    copy = fetched(arguments, tmp_path / "copy")
    assert copy.is_verified
    assert copy.manifest is not None
    assert (copy.manifest.model, copy.manifest.key, copy.manifest.version) == ("mnist", "0123456789ab", 1)
    assert {"python", "keras", "numpy"} <= set(copy.manifest.packages)


def test_model_describes_itself(arguments: list[str], tmp_path: Path) -> None:
    command.main(arguments)
    copy = fetched(arguments, tmp_path / "copy")
    told = described(copy.folder)
    assert (told.task, told.signature) == ("classification", "serving_default")
    assert told.labels == tuple("0123456789")
    assert (told.inputs["pixels"].meaning, told.inputs["pixels"].minimum, told.inputs["pixels"].maximum) == (
        "image",
        0,
        255,
    )
    assert told.outputs["probabilities"].scores == "probabilities"
    assert told.metrics["test_accuracy"] > 0.9
    assert told.metrics["test_loss"] > 0
    assert told.parameters["epochs"] == 3
    assert told.data["name"] == "mnist"
    assert len(told.data["sha256"]) == 64
    assert told.key == "0123456789ab"
    assert told.weights_sha256 == saved_model.weights_sha256(copy.folder)
    assert copy.manifest is not None
    assert told.created == copy.manifest.created


def test_example_is_what_the_model_answers(arguments: list[str], tmp_path: Path) -> None:
    command.main(arguments)
    copy = fetched(arguments, tmp_path / "copy")
    example = described(copy.folder).example
    assert example is not None
    signature = tf.saved_model.load(str(copy.folder)).signatures["serving_default"]
    answer = signature(pixels=tf.constant([example.inputs["pixels"]], tf.float32))["probabilities"].numpy()
    np.testing.assert_allclose(answer[0], example.outputs["probabilities"], rtol=1e-4, atol=1e-5)


def test_signature_takes_raw_pixels_and_gives_probabilities(arguments: list[str], tmp_path: Path) -> None:
    command.main(arguments)
    loaded = tf.saved_model.load(str(fetched(arguments, tmp_path / "copy").folder))
    signature = loaded.signatures["serving_default"]
    assert signature.structured_input_signature[1] == {"pixels": tf.TensorSpec((None, 28, 28), tf.float32, "pixels")}
    pixels = np.zeros((2, 28, 28), np.float32)
    pixels[:, 6:9] = 255
    probabilities = signature(pixels=tf.constant(pixels))["probabilities"].numpy()
    assert probabilities.shape == (2, 10)
    assert probabilities.argmax(axis=1).tolist() == [3, 3]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_warm_up_records_are_what_tensorflow_serving_reads(arguments: list[str], tmp_path: Path) -> None:
    command.main(arguments)
    path = fetched(arguments, tmp_path / "copy").folder / "assets.extra" / "tf_serving_warmup_requests"
    records = [prediction_log_pb2.PredictionLog.FromString(item.numpy()) for item in tf.data.TFRecordDataset(str(path))]
    sizes = [record.predict_log.request.inputs["pixels"].tensor_shape.dim[0].size for record in records]
    assert sizes == [1, 2, 8, 32, 128]
    assert {record.predict_log.request.model_spec.signature_name for record in records} == {"serving_default"}
    one = tf.make_ndarray(records[0].predict_log.request.inputs["pixels"])
    assert (one.dtype, one.shape, one.max()) == (np.float32, (1, 28, 28), 255)


def test_equal_inputs_give_equal_metrics(arguments: list[str], tmp_path: Path) -> None:
    seen = []
    for key in ("aaaaaaaa", "bbbbbbbb"):
        assert command.main([*arguments, f"--model-key={key}"]) == 0
        seen.append(described(fetched(arguments, tmp_path / key, key).folder).metrics)
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
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, env={**os.environ, "PYTHONPATH": path})


def test_another_key_gets_the_next_version(arguments: list[str], tmp_path: Path) -> None:
    command.main(arguments)
    command.main([*arguments, "--model-key=ffffffffffff"])
    assert fetched(arguments, tmp_path / "copy", "ffffffffffff").version == 2


def test_killed_publisher_leaves_nothing_where_another_one_published(arguments: list[str], tmp_path: Path) -> None:
    command.main(arguments)
    home = tmp_path / "store" / "mnist" / "0123456789ab"
    (home / ".publishing-dead.lock").touch()
    (home / ".publishing-dead" / "variables").mkdir(parents=True)
    assert command.main(arguments) == 0
    assert not list(home.glob(".publishing-*"))


def test_model_below_the_gate_is_not_published(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "reason").touch()
    assert command.main([*arguments, "--epochs=1", "--learning-rate=1e-9", "--min-accuracy=0.99"]) == 3
    assert "is below the minimum 0.9900: nothing was published" in capsys.readouterr().err
    assert "nothing was published" in (tmp_path / "reason").read_text()
    assert not list((tmp_path / "store").glob("*/*/[0-9]*"))


export_as_it_is = export._write_saved_model


def _other_weights(model: object, folder: Path) -> None:
    del model
    parameters = config.Parameters(1, 1, hidden_units=16, dropout=0, learning_rate=1, seed=7)
    export_as_it_is(network.build(parameters, (28, 28), 10), folder)


def _no_weights(model: object, folder: Path) -> None:
    export_as_it_is(model, folder)
    for path in (folder / "variables").iterdir():
        path.unlink()


def _no_serving_signature(model: object, folder: Path) -> None:
    del model
    tf.saved_model.save(tf.Module(), str(folder))


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (_other_weights, "the exported model answers its example with probabilities ["),
        (_no_weights, "the exported model cannot answer its example: "),
        (_no_serving_signature, "the model cannot be served: the model has no signature 'serving_default'"),
    ],
)
def test_model_that_a_server_could_not_serve_is_not_published(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    write: object,
    told: str,
) -> None:
    (tmp_path / "reason").touch()
    monkeypatch.setattr(export, "_write_saved_model", write)
    assert command.main(arguments) == 3
    assert told in capsys.readouterr().err
    assert told in (tmp_path / "reason").read_text()
    assert DirectoryStore(tmp_path / "store").find(Wanted("mnist")) is None


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--epochs=0", "'--epochs' (env var: 'EPOCHS'): expected a whole number from 1 to 10000, got '0'"),
        ("--epochs=many", "expected a whole number from 1 to 10000, got 'many'"),
        ("--epochs=\u0663", "expected a whole number from 1 to 10000, got '\u0663'"),
        ("--epochs=", "expected a whole number from 1 to 10000, got ''"),
        ("--dropout=1", "expected a number from 0 and below 1, got '1'"),
        ("--learning-rate=nan", "expected a number above 0 to 10, got 'nan'"),
        ("--dataset=cifar", "expected fashion-mnist or mnist, got 'cifar'"),
        ("--model-name=../x", "'--model-name'"),
        ("--model-key=xyz", "expected 8 to 64 hexadecimal digits, got 'xyz'"),
        ("--epoch=3", "No such option '--epoch'"),
        ("stray", "unexpected extra argument"),
    ],
)
def test_bad_flag_is_named(
    arguments: list[str], flag: str, told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "reason").touch()
    assert command.main([*arguments, flag]) == 2
    assert told in capsys.readouterr().err
    assert told in (tmp_path / "reason").read_text()


@pytest.mark.parametrize("value", ["-3", ""])
def test_bad_environment_is_named(
    arguments: list[str], value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BATCH_SIZE", value)
    assert command.main(arguments) == 2
    told = capsys.readouterr().err
    assert "--batch-size" in told
    assert f"expected a whole number from 1 to 60000, got {value!r}" in told


def test_flag_wins_over_environment(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEED", "7")
    assert config.parse(arguments).parameters.seed == 7
    assert config.parse([*arguments, "--seed=8"]).parameters.seed == 8


def test_help_names_each_flag_its_variable_and_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["--help"])
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "--batch-size NUMBER images in a step [env var: BATCH_SIZE; default: 32]" in told


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
