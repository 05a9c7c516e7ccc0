"""Small SavedModels of every kind people have: TF2, TF1 with Examples, Keras 3 and LiteRT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
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


def keras(folder: Path) -> Path:
    """Export a Keras 3 model of 4 numbers and 3 classes."""
    model = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(3, activation="softmax")])
    model.export(str(folder), verbose=False)
    return folder


def lite(folder: Path) -> Path:
    """Write model.tflite, y = 3 * x for x (row,), and no SavedModel."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def triple(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x * 3.0}

    module = tf.Module()
    module.triple = triple
    concrete = triple.get_concrete_function()
    folder.mkdir(parents=True)
    content = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert()
    (folder / "model.tflite").write_bytes(content)
    return folder


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
