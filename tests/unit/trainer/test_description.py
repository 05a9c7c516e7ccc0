"""SavedModels made by TensorFlow, described without it: they say it of themselves and are otherwise what they were."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from model_description import saved_model
from model_description.description import Description, InputDescription, parse
from model_description.errors import SavedModelError
from model_description.protos import serving_pb2
from trainer.serving import check

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

DESCRIPTION = Description(
    task="classification",
    labels=("é", "\0", "no", "yes"),
    inputs={"x": InputDescription(minimum=0, maximum=1)},
    key="0123456789ab",
)
ROWS = np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], np.float32)


def write_keras(folder: Path) -> None:
    """Export a Keras model."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(4, name="y")])
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serving_default", lambda x: {"y": model(x)}, input_signature=[tf.TensorSpec((None, 3), tf.float32, name="x")]
    )
    archive.write_out(str(folder), verbose=False)


def write_module(folder: Path) -> None:
    """Save a tf.Module with a variable and a table in an asset."""
    module = tf.Module()
    words = folder.parent / "words.txt"
    words.write_text("a\nb\n")
    module.table = tf.lookup.StaticVocabularyTable(
        tf.lookup.TextFileInitializer(
            str(words), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
        ),
        num_oov_buckets=1,
    )
    module.weights = tf.Variable(tf.reshape(tf.range(12.0), (3, 4)))

    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x @ module.weights + tf.cast(module.table.lookup(tf.constant("b")), tf.float32)}

    signature = tf.function(serve, input_signature=[tf.TensorSpec((None, 3), tf.float32, name="x")])
    tf.saved_model.save(module, str(folder), {"serving_default": signature})


def write_tensorflow_1(folder: Path) -> None:
    """Save a graph as TensorFlow 1 does."""
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        x = tf.compat.v1.placeholder(tf.float32, (None, 3), name="x")
        weights = tf.compat.v1.get_variable("weights", initializer=np.arange(12, dtype=np.float32).reshape(3, 4))
        y = tf.matmul(x, weights, name="y")
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.saved_model.simple_save(session, str(folder), {"x": x}, {"y": y})


WRITERS = pytest.mark.parametrize(
    "write", [write_keras, write_module, write_tensorflow_1], ids=["keras", "module", "tensorflow-1"]
)


def serve(folder: Path, signature: str, name: str, values: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return what a signature answers in a session, as TensorFlow Serving runs it."""
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        loaded = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(folder))
        definition = loaded.signature_def[signature]
        fetches = {alias: tensor.name for alias, tensor in definition.outputs.items()}
        return dict(session.run(fetches, {definition.inputs[name].name: values}))


@WRITERS
def test_described_model_answers_with_its_description(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "model")
    saved_model.describe(tmp_path / "model", DESCRIPTION)
    for length in (0, 1, 3):
        request = np.array([b"anything"] * length, object)
        answer = serve(tmp_path / "model", "model_description", "request", request)["description"]
        assert answer.shape == (length,)
        assert [parse(bytes(content)) for content in answer.tolist()] == [DESCRIPTION] * length
    assert saved_model.read_description(tmp_path / "model") == DESCRIPTION


@WRITERS
def test_described_model_answers_what_it_answered(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "model")
    before = serve(tmp_path / "model", "serving_default", "x", ROWS)["y"]
    saved_model.describe(tmp_path / "model", DESCRIPTION)
    np.testing.assert_array_equal(serve(tmp_path / "model", "serving_default", "x", ROWS)["y"], before)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    answer = loaded.signatures["serving_default"](x=tf.constant(ROWS))["y"].numpy()
    np.testing.assert_allclose(answer, before, rtol=1e-6)


@WRITERS
def test_nothing_else_changes(write: Callable[[Path], None], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write(folder)
    others = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "saved_model.pb"}
    before = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    signatures = saved_model.read_signatures(folder)
    saved_model.describe(folder, DESCRIPTION)
    after = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    graph = after.meta_graphs[0]
    del graph.signature_def["model_description"]
    del graph.graph_def.node[-4:]
    assert after == before
    assert {path: path.read_bytes() for path in others} == others
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == sorted([*others, folder / "saved_model.pb"])
    assert saved_model.read_signatures(folder) == signatures


@WRITERS
def test_describing_twice_is_describing_once(write: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "model" / "saved_model.pb"
    write(path.parent)
    saved_model.describe(path.parent, DESCRIPTION)
    once = path.read_bytes()
    saved_model.describe(path.parent, Description(task="raw"))
    saved_model.describe(path.parent, DESCRIPTION)
    assert path.read_bytes() == once


@WRITERS
def test_signatures_are_read_as_tensorflow_has_them(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "model")
    saved_model.describe(tmp_path / "model", DESCRIPTION)
    signatures = saved_model.read_signatures(tmp_path / "model")
    assert set(signatures) == {"serving_default"}
    assert str(signatures["serving_default"].inputs["x"]) == "float32 (?, 3)"
    assert str(signatures["serving_default"].outputs["y"]) == "float32 (?, 4)"


@WRITERS
def test_servers_look_at_any_of_them(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "model")
    row = serve(tmp_path / "model", "serving_default", "x", ROWS[:1])["y"][0].tolist()
    content = json.loads(DESCRIPTION.render()) | {"example": {"inputs": {"x": ROWS[0].tolist()}, "outputs": {"y": row}}}
    description = parse(json.dumps(content).encode())
    saved_model.describe(tmp_path / "model", description)
    check(tmp_path / "model", description)


def test_large_description_is_answered_whole(tmp_path: Path) -> None:
    write_tensorflow_1(tmp_path / "model")
    description = Description(labels=tuple(f"label {index}" for index in range(100_000)))
    saved_model.describe(tmp_path / "model", description)
    answer = serve(tmp_path / "model", "model_description", "request", np.array([b""], object))["description"]
    assert parse(bytes(answer[0])) == description


def test_signature_of_somebody_else_is_not_taken_for_a_description(tmp_path: Path) -> None:
    write_tensorflow_1(tmp_path / "model")
    path = tmp_path / "model" / "saved_model.pb"
    content = serving_pb2.SavedModel.FromString(path.read_bytes())
    definitions = content.meta_graphs[0].signature_def
    definitions["model_description"].CopyFrom(definitions["serving_default"])
    path.write_bytes(content.SerializeToString())
    with pytest.raises(SavedModelError, match="of somebody else"):
        saved_model.read_description(tmp_path / "model")
