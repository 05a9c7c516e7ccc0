"""Small SavedModels of every kind people have: TF2, TF1 with Examples, Keras 3 and LiteRT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf
from flatbuffers import flexbuffers
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

v1 = tf.compat.v1
# What the signature "slow" of `line` is fed to run that long on any machine, unless something ends it.
MINUTES = 10_000.0


def line(folder: Path, slope: float, name: str = "x") -> Path:
    """Export a TF2 model y = slope * x + 2 for x (row,) float32, and signatures of two inputs, of a long run, ranks."""

    class Line(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.slope = tf.Variable(slope)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name=name)])  # type: ignore[untyped-decorator]
        def line(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": self.slope * x + 2.0}

        @tf.function(  # type: ignore[untyped-decorator]
            input_signature=[tf.TensorSpec([None], tf.float32, name="a"), tf.TensorSpec([None], tf.string, name="s")]
        )
        def pair(self, a: tf.Tensor, s: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"double": a * 2.0, "echo_bytes": s}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def slow(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            steps = tf.cast(200_000 * x[0], tf.int64)
            total = tf.while_loop(
                lambda i, _: i < steps, lambda i, t: (i + 1, t + 1.0), (tf.constant(0, tf.int64), 0.0)
            )[1]
            return {"y": x + total}

        @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def sum(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"total": tf.reduce_sum(x)}

        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def rows(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"total": tf.reduce_sum(x, axis=1), "width": tf.fill([tf.shape(x)[0]], tf.shape(x)[1])}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.half, name="x")])  # type: ignore[untyped-decorator]
        def half(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": x}

    model = Line()
    names = ("pair", "slow", "sum", "rows", "half")
    signatures = {"serving_default": model.line} | {name: getattr(model, name) for name in names}
    tf.saved_model.save(model, str(folder), signatures)
    return folder


def bounded(folder: Path) -> Path:
    """Export a TF2 model y = x / 2 + 2 for x (row,) float32 without a loop: its time is bounded by its size."""

    class Bounded(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def line(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": 0.5 * x + 2.0}

    model = Bounded()
    tf.saved_model.save(model, str(folder), {"serving_default": model.line})
    return folder


def examples(folder: Path) -> Path:
    """Export a TF1 model whose signatures take serialized Examples with a float feature x (one value).

    classify: labels "low", "high" with scores y and 1 - y; scores_only; regress: y = x / 2 + 2; predict takes x itself.
    """
    with v1.Graph().as_default(), v1.Session() as session:
        serialized = v1.placeholder(tf.string, [None], "tf_example")
        parsed = v1.io.parse_example(serialized, {"x": v1.io.FixedLenFeature([1], tf.float32)})
        x = v1.identity(parsed["x"], name="x")
        slope = v1.Variable(0.5, name="slope")
        y = v1.add(v1.multiply(x, slope), 2.0, name="y")
        scores = v1.concat([y, 1.0 - y], axis=1, name="scores")
        count = v1.shape(x)[0]
        classes = v1.tile(v1.constant([["low", "high"]]), [count, 1])
        session.run(v1.global_variables_initializer())
        info = v1.saved_model.utils.build_tensor_info

        def signature(method: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> Any:
            return v1.saved_model.signature_def_utils.build_signature_def(
                {alias: info(tensor) for alias, tensor in inputs.items()},
                {alias: info(tensor) for alias, tensor in outputs.items()},
                f"tensorflow/serving/{method}",
            )

        given = {"inputs": serialized}
        signatures = {
            "serving_default": signature("predict", {"x": x}, {"y": y}),
            "classify": signature("classify", given, {"classes": classes, "scores": scores}),
            "scores_only": signature("classify", given, {"scores": scores}),
            "regress": signature("regress", given, {"outputs": y}),
            "wide": signature("regress", given, {"outputs": scores}),
            "nothing": signature("classify", given, {"other": y}),
        }
        builder = v1.saved_model.builder.SavedModelBuilder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=signatures)
        builder.save()
    return folder


def tf2_examples(folder: Path) -> Path:
    """Export a TF2 model of `examples`' signatures classify and regress; each has an input tensor of its own."""

    class Examples(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])  # type: ignore[untyped-decorator]
        def classify(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            y = self.line(inputs)
            classes = tf.tile(tf.constant([["low", "high"]]), [tf.shape(y)[0], 1])
            return {"classes": classes, "scores": tf.concat([y, 1.0 - y], axis=1)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])  # type: ignore[untyped-decorator]
        def regress(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"outputs": self.line(inputs)}

        def line(self, serialized: tf.Tensor) -> tf.Tensor:
            return 2.0 + tf.io.parse_example(serialized, {"x": tf.io.FixedLenFeature([1], tf.float32)})["x"] / 2.0

    model = Examples()
    tf.saved_model.save(model, str(folder), {"classify": model.classify, "regress": model.regress})
    return folder


def keras_without_variables(folder: Path) -> Path:
    """Save a Keras 3 model the way that loses its variables: tf.saved_model.save instead of model.export."""
    model = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(3)])
    tf.saved_model.save(model, str(folder))
    return folder


def keras(folder: Path) -> Path:
    """Export a Keras 3 model of 4 numbers and 3 classes."""
    model = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(3, activation="softmax")])
    model.export(str(folder), verbose=False)
    return folder


def lite(folder: Path, definition: Any = None, *, keep_signatures: bool = True) -> Path:
    """Write model.tflite, y = 3 * x for x (row,), and no SavedModel.

    Its tensors are tflite_input and tflite_output. `definition` is a SignatureDef for its metadata; without
    `keep_signatures` those the converter wrote are taken out.
    """

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def triple(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x * 3.0}

    module = tf.Module()
    module.triple = triple
    concrete = triple.get_concrete_function()
    folder.mkdir(parents=True)
    content = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert()
    model = flatbuffer_utils.convert_bytearray_to_object(content)
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].name, graph.tensors[graph.outputs[0]].name = b"tflite_input", b"tflite_output"
    if not keep_signatures:
        model.signatureDefs = None
    if definition is not None:
        _add_metadata(model, definition)
    (folder / "model.tflite").write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    return folder


def _add_metadata(model: Any, definition: Any) -> None:
    """Write a SignatureDef into a LiteRT model as tensorflow/lite/tools/signature does."""
    builder = flexbuffers.Builder()
    with builder.Map():
        builder.Key("serving_default")
        # Text, to this builder; all of these bytes are ASCII.
        builder.String(definition.SerializeToString().decode("ascii"))
    buffer, metadata = schema.BufferT(), schema.MetadataT()
    buffer.data = list(builder.Finish())
    metadata.name, metadata.buffer = "signature_defs_metadata", len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), metadata]


def example(**features: float | bytes) -> Any:
    """Return a tf.Example with one value for each feature."""
    made = tf.train.Example()
    for name, value in features.items():
        feature = made.features.feature[name]
        if isinstance(value, bytes):
            feature.bytes_list.value.append(value)
        else:
            feature.float_list.value.append(value)
    return made


def answering(folder: Path) -> Path:
    """Export a TF2 model that answers as much as a value says, n (1,) int64: each signature another kind of output.

    many: numbers (1, n); whole: int64 (1, n); none: (n, 0); texts: (1, n); text: one of n bytes; classes: of Examples,
    whose first is n bytes, n of them.
    """
    count, examples = tf.TensorSpec([None], tf.int64, "n"), tf.TensorSpec([None], tf.string, "inputs")

    def signature(function: Callable[[tf.Tensor], dict[str, tf.Tensor]], spec: tf.TensorSpec = count) -> Any:
        return tf.function(function, input_signature=[spec])

    def classes(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        size = tf.strings.length(inputs[0])
        rows = tf.shape(inputs)[0]
        return {
            "classes": tf.tile(tf.strings.as_string(tf.range(size))[None], [rows, 1]),
            "scores": tf.tile((tf.cast(tf.range(size), tf.float32) / 3)[None], [rows, 1]),
        }

    signatures = {
        "serving_default": signature(lambda n: {"y": tf.cast(n, tf.float32) / 2}),
        "many": signature(lambda n: {"y": tf.range(tf.cast(n[0], tf.float32))[None] / 3}),
        "whole": signature(lambda n: {"y": tf.range(n[0])[None]}),
        "none": signature(lambda n: {"y": tf.zeros([n[0], 0])}),
        "texts": signature(lambda n: {"y": tf.strings.as_string(tf.range(n[0]))[None]}),
        "text": signature(lambda n: {"y": tf.strings.reduce_join(tf.fill([n[0]], "é\n"))[None]}),
        "classes": signature(classes, examples),
        "other_classes": signature(classes, examples),
    }
    tf.saved_model.save(tf.Module(), str(folder), signatures)
    return folder


def signatures(folder: Path, count: int, tensors: int) -> Path:
    """Export a TF1 model of so many signatures, each with so many inputs and as many outputs."""
    with v1.Graph().as_default(), v1.Session() as session:
        given = [v1.placeholder(tf.float32, [None, 3], f"input_{number}") for number in range(tensors)]
        info = v1.saved_model.build_tensor_info
        inputs = {f"x{number}": info(tensor) for number, tensor in enumerate(given)}
        outputs = {f"y{number}": info(v1.identity(tensor)) for number, tensor in enumerate(given)}
        one = v1.saved_model.build_signature_def(inputs, outputs, "tensorflow/serving/predict")
        names = ["serving_default", *(f"signature_{number}" for number in range(1, count))]
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], dict.fromkeys(names, one))
        builder.save()
    return folder
