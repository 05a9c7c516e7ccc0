"""Models of the kinds people have, each small enough to be made in a test run; none is made by our trainer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from model_description import saved_model
from model_description.description import Description, Example, InputDescription, OutputDescription

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

v1 = tf.compat.v1
layers = keras.layers
HALF, BFLOAT16, FLOAT = tf.half, tf.bfloat16, tf.float32


def _function(*specs: tf.TensorSpec) -> Callable[[Any], Any]:
    return tf.function(input_signature=specs)  # type: ignore[no-any-return]


def _save(folder: Path, serve: Any, description: Description | None = None) -> None:
    module = tf.Module()
    module.serve = serve
    tf.saved_model.save(module, str(folder), {"serving_default": serve})
    if description is not None:
        saved_model.describe(folder, description)


def _keras(folder: Path, *parts: Any, description: Description | None = None) -> None:
    keras.Sequential(list(parts)).export(str(folder), verbose=False)
    if description is not None:
        saved_model.describe(folder, description)


def _sum_weights(units: int, activation: str | None = None) -> Any:
    return layers.Dense(units, activation, kernel_initializer="ones")


def sigmoid(folder: Path) -> None:
    """Export one sigmoid unit over the sum of 4 numbers, described as two classes."""
    description = Description(
        task="classification",
        labels=("no", "yes"),
        example=Example({"features": [3, 0, 0, 0]}, {"output_0": [0.952574]}),
    )
    _keras(folder, keras.Input((4,), name="features"), _sum_weights(1, "sigmoid"), description=description)


def logits(folder: Path) -> None:
    """Export three scores that are no probabilities; it says nothing of itself."""

    @_function(tf.TensorSpec([None, 3], FLOAT, name="x"))
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": x * 10.0}

    _save(folder, serve)


def described_logits(folder: Path) -> None:
    """Export the same, and the model says what they are."""
    logits(folder)
    told = Description(task="classification", labels=("a", "b", "c"), outputs={"scores": OutputDescription("logits")})
    saved_model.describe(folder, told)


def softmax(folder: Path) -> None:
    """Export a softmax over 3 numbers that says nothing of itself."""

    @_function(tf.TensorSpec([None, 3], FLOAT, name="x"))
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": tf.nn.softmax(x)}

    _save(folder, serve)


def multilabel(folder: Path) -> None:
    """Export three sigmoids."""

    @_function(tf.TensorSpec([None, 3], FLOAT, name="x"))
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": tf.sigmoid(x)}

    _save(folder, serve, Description(task="multilabel", labels=("cat", "dog", "indoors")))


def price(folder: Path) -> None:
    """Export the sum of 4 numbers as (row, 1)."""
    _keras(folder, keras.Input((4,), name="features"), _sum_weights(1), description=Description(task="regression"))


def price_vector(folder: Path) -> None:
    """Export the sum of 4 numbers as (row,), which says nothing of itself."""
    _keras(folder, keras.Input((4,), name="features"), _sum_weights(1), layers.Reshape(()))


def embedding(folder: Path) -> None:
    """Export eight numbers for four."""
    _keras(folder, keras.Input((4,), name="features"), _sum_weights(8))


def segmentation(folder: Path) -> None:
    """Export a map of 3 classes for a picture of 2 by 2."""
    _keras(
        folder,
        keras.Input((2, 2, 1), name="picture"),
        layers.Conv2D(3, 1, activation="softmax", kernel_initializer="zeros"),
    )


def two_inputs(folder: Path) -> None:
    """Export probabilities from a vector and a number."""
    a, b = keras.Input((4,), name="a"), keras.Input((1,), name="b")
    joined = layers.Concatenate()([a, b])
    scores = layers.Dense(2, "softmax", kernel_initializer="zeros", bias_initializer="zeros")(joined)
    keras.Model({"a": a, "b": b}, scores).export(str(folder), verbose=False)
    saved_model.describe(folder, Description(task="classification", labels=("left", "right")))


def two_outputs(folder: Path) -> None:
    """Export the sum of a row, and its numbers doubled."""

    @_function(tf.TensorSpec([None, 2], FLOAT, name="x"))
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"sum": tf.reduce_sum(x, axis=1), "double": x * 2.0}

    _save(folder, serve)


def text(folder: Path) -> None:
    """Export two classes of a text of words in a vocabulary."""
    vectorise = layers.TextVectorization(vocabulary=["good", "bad", "film"], output_sequence_length=4)
    given = keras.Input((1,), dtype="string", name="text")
    words = layers.Embedding(10, 3, embeddings_initializer="zeros")(vectorise(given))
    scores = layers.Dense(2, "softmax")(layers.GlobalAveragePooling1D()(words))
    keras.Model(given, scores).export(str(folder), verbose=False)


def image_bytes(folder: Path) -> None:
    """Export the size of an encoded PNG, which comes as bytes."""

    @_function(tf.TensorSpec([None], tf.string, name="image_bytes"))
    def serve(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        def size(content: tf.Tensor) -> tf.Tensor:
            return tf.shape(tf.io.decode_png(content))

        return {
            "size": tf.map_fn(size, image_bytes, fn_output_signature=tf.TensorSpec([3], tf.int32)),
            "same_bytes": image_bytes,
        }

    _save(folder, serve)


def variable_length(folder: Path) -> None:
    """Export the sum of a sequence of any length."""

    @_function(tf.TensorSpec([None, None], FLOAT, name="sequence"))
    def serve(sequence: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"sum": tf.reduce_sum(sequence, axis=1)}

    _save(folder, serve, Description(task="regression"))


def int64_ids(folder: Path) -> None:
    """Export an id as it is, and its last digit."""

    @_function(tf.TensorSpec([None, 1], tf.int64, name="id"))
    def serve(id: tf.Tensor) -> dict[str, tf.Tensor]:  # noqa: A002 - what such models call it
        return {"same": id, "last_digit": tf.math.floormod(id[:, 0], 10)}

    _save(folder, serve)


def _doubled(folder: Path, dtype: tf.DType) -> None:
    @_function(tf.TensorSpec([None, 2], dtype, name="x"))
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"double": x + x}

    _save(folder, serve)


def half(folder: Path) -> None:
    """Export half floats, doubled."""
    _doubled(folder, HALF)


def bfloat16(folder: Path) -> None:
    """Export bfloat16 numbers, doubled."""
    _doubled(folder, BFLOAT16)


def uint64(folder: Path) -> None:
    """Export unsigned 64-bit numbers, as they are."""

    @_function(tf.TensorSpec([None, 2], tf.uint64, name="x"))
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"same": tf.identity(x)}

    _save(folder, serve)


def booleans(folder: Path) -> None:
    """Export true where both of a row are."""

    @_function(tf.TensorSpec([None, 2], tf.bool, name="x"))
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"both": tf.reduce_all(x, axis=1)}

    _save(folder, serve)


def fixed_batch(folder: Path) -> None:
    """Export one row at a time, though its graph takes several in silence and mixes them."""

    @_function(tf.TensorSpec([1, 4], FLOAT, name="x"))
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        pairs = tf.reduce_sum(tf.reshape(x, [-1, 2]), axis=1)
        return {"scores": tf.nn.softmax(tf.reshape(pairs, [1, -1]))}

    _save(folder, serve)


def batch_of_three(folder: Path) -> None:
    """Export three rows at a time, no more and no less: each one's sum."""

    @_function(tf.TensorSpec([3, 2], FLOAT, name="x"))
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"sum": tf.reduce_sum(x, axis=1)}

    _save(folder, serve)


def stateful_rnn(folder: Path) -> None:
    """Export a recurrent cell that keeps its state between calls, for one sequence at a time."""

    class Cell(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.state = tf.Variable(tf.zeros((1, 2)))

        @_function(tf.TensorSpec([1, 3, 2], FLOAT, name="sequence"))
        def serve(self, sequence: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"state": self.state.assign_add(tf.reduce_sum(sequence, axis=1))}

    cell = Cell()
    tf.saved_model.save(cell, str(folder), {"serving_default": cell.serve})


def estimator(folder: Path) -> None:
    """Export in TF1 what an Estimator's: texts in, every class by name and its score out; it says nothing of itself."""
    with v1.Graph().as_default(), v1.Session() as session:
        given = v1.placeholder(tf.string, [None], "content")
        is_python = tf.cast(tf.strings.regex_full_match(given, "(?s).*def .*"), FLOAT)
        scores = tf.stack([0.1 + 0.8 * is_python, 0.9 - 0.8 * is_python], axis=1)
        classes = tf.tile(tf.constant([["Python", "other"]]), [tf.shape(given)[0], 1])
        build = v1.saved_model.utils.build_tensor_info
        signature = v1.saved_model.signature_def_utils.build_signature_def(
            {"inputs": build(given)},
            {"classes": build(classes), "scores": build(scores)},
            "tensorflow/serving/classify",
        )
        builder = v1.saved_model.builder.SavedModelBuilder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()


def unknown_rank(folder: Path) -> None:
    """Export the sum of whatever comes, of any rank."""

    @_function(tf.TensorSpec(None, FLOAT, name="x"))
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"sum": tf.reduce_sum(x)}

    _save(folder, serve)


def scalar(folder: Path) -> None:
    """Export one number in, its double out; there are no rows."""

    @_function(tf.TensorSpec([], FLOAT, name="x"))
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"double": x * 2.0}

    _save(folder, serve)


def not_a_number(folder: Path) -> None:
    """Export the square root of a number, which is NaN below zero."""

    @_function(tf.TensorSpec([None], FLOAT, name="x"))
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"root": tf.sqrt(x)}

    _save(folder, serve)


def picture(folder: Path) -> None:
    """Export the mean of a grey picture of 28 by 28 pixels 0..255, and two classes by it."""

    @_function(tf.TensorSpec([None, 28, 28], FLOAT, name="pixels"))
    def serve(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        mean = tf.reduce_mean(pixels, axis=[1, 2]) / 255.0
        return {"probabilities": tf.stack([1.0 - mean, mean], axis=1)}

    told = Description(
        task="classification", labels=("dark", "light"), inputs={"pixels": InputDescription("image", 0.0, 255.0)}
    )
    _save(folder, serve, told)


def refuses_zeros(folder: Path) -> None:
    """Export a model with an assertion: a row of zeros is refused."""

    @_function(tf.TensorSpec([None, 2], FLOAT, name="x"))
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.control_dependencies([tf.debugging.assert_positive(x)]):
            return {"sum": tf.reduce_sum(x, axis=1)}

    _save(folder, serve)


def lite(folder: Path) -> None:
    """Export a LiteRT model: three times a number."""

    @_function(tf.TensorSpec([1, 2], FLOAT, name="x"))
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x * 3.0}

    module = tf.Module()
    module.serve = serve
    folder.mkdir(parents=True)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([serve.get_concrete_function()], module)
    (folder / "model.tflite").write_bytes(converter.convert())


def unusable(folder: Path) -> None:
    """Export a model of another signature alone."""
    module = tf.Module()

    @_function(tf.TensorSpec([None], FLOAT, name="x"))
    def other(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x}

    module.other = other
    tf.saved_model.save(module, str(folder), {"other": other})


MODELS: dict[str, Callable[[Path], None]] = {
    make.__name__: make
    for make in (
        sigmoid,
        logits,
        described_logits,
        softmax,
        multilabel,
        price,
        price_vector,
        embedding,
        segmentation,
        two_inputs,
        two_outputs,
        text,
        image_bytes,
        variable_length,
        int64_ids,
        half,
        bfloat16,
        uint64,
        booleans,
        fixed_batch,
        batch_of_three,
        stateful_rnn,
        estimator,
        unknown_rank,
        scalar,
        not_a_number,
        picture,
        refuses_zeros,
        lite,
        unusable,
    )
}


def make_all(root: Path) -> None:
    """Write version 1 of every model into `<root>/<name>/1`."""
    for name, make in MODELS.items():
        make(root / name / "1")
        keras.backend.clear_session()
