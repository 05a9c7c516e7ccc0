"""Classify, Regress and MultiInference: signatures that take serialized tf.Examples.

Checks and texts are those of servables/tensorflow/classifier.cc, regressor.cc, multi_inference.cc and util.cc.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

from serving_codec.status import Code, ServingError, invalid_argument
from serving_codec.tensors import READ_EXAMPLE_BYTES, as_objects, check_copies, check_read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from model_server.protos import examples_pb2
    from model_server.saved_model import Runner

    Run = Callable[[dict[str, NDArray[Any]], Sequence[str]], list[NDArray[Any]]]

DEFAULT_SIGNATURE = "serving_default"
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
INPUTS, CLASSES, SCORES, OUTPUTS = "inputs", "classes", "scores", "outputs"


def serialized(message: examples_pb2.Input) -> NDArray[Any]:
    """Return the examples (example,) of an Input as they were sent; a context goes in front of each.

    Raise INVALID_ARGUMENT when there are none.
    """
    context, examples = b"", cast("Sequence[bytes]", ())
    match message.WhichOneof("kind"):
        case "example_list":
            examples = message.example_list.examples
        case "example_list_with_context":
            context = message.example_list_with_context.context
            examples = message.example_list_with_context.examples
    if not examples:
        raise invalid_argument("Input is empty.")
    check_read(len(examples), READ_EXAMPLE_BYTES, message.ByteSize(), "examples")
    check_copies(len(context), len(examples), message.ByteSize() if context else 0)
    return as_objects([context + example for example in examples] if context else examples)


def classify(
    model: Runner, signature_name: str, examples: NDArray[Any], run: Run, *, check_method: bool = False
) -> Any:
    """Return the ClassificationResult of examples (example,); raise ServingError in upstream's words."""
    signature = _signature(model, signature_name)
    fetches = _classification_fetches(signature, check_method=check_method)
    values = run({_input_name(signature, "classification"): examples}, list(fetches.values()))
    return _classifications(dict(zip(fetches, values, strict=True)), len(examples))


def regress(model: Runner, signature_name: str, examples: NDArray[Any], run: Run, *, check_method: bool = False) -> Any:
    """Return the RegressionResult of examples (example,); raise ServingError in upstream's words."""
    signature = _signature(model, signature_name)
    fetch = _regression_fetch(signature, check_method=check_method)
    (values,) = run({_input_name(signature, "regression"): examples}, [fetch])
    return _regressions(values, len(examples))


def multi_inference(
    model: Runner, tasks: Sequence[Any], examples: NDArray[Any], run: Run, *, check_method: bool = False
) -> list[Any]:
    """Return the InferenceResult of each InferenceTask, from one run of the graph; raise ServingError otherwise."""
    fetches: dict[str, dict[str, str]] = {}
    names = {}
    for task in tasks:
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if name in fetches:
            raise invalid_argument(f"Duplicate evaluation of signature: {name}")
        if name not in model.signatures:
            raise invalid_argument(f"Requested signature not found in model graph: {name}")
        signature = model.signatures[name]
        if task.method_name == CLASSIFY:
            names[name] = _input_name(signature, "classification")
            fetches[name] = _classification_fetches(signature, check_method=check_method)
        elif task.method_name == REGRESS:
            names[name] = _input_name(signature, "regression")
            fetches[name] = {OUTPUTS: _regression_fetch(signature, check_method=check_method)}
        else:
            raise ServingError(Code.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")
    # A TF2 export has an input tensor for each signature: all of them are fed the same examples.
    union = sorted({tensor for wanted in fetches.values() for tensor in wanted.values()})
    values = dict(zip(union, run(dict.fromkeys(names.values(), examples), union), strict=True))
    return [_inference(task, fetches, values, len(examples)) for task in tasks]


def _inference(task: Any, fetches: dict[str, dict[str, str]], values: dict[str, NDArray[Any]], rows: int) -> Any:
    result = inference_pb2.InferenceResult()
    found = {
        alias: values[tensor] for alias, tensor in fetches[task.model_spec.signature_name or DEFAULT_SIGNATURE].items()
    }
    if task.method_name == CLASSIFY:
        result.classification_result.CopyFrom(_classifications(found, rows))
    else:
        result.regression_result.CopyFrom(_regressions(found[OUTPUTS], rows))
    return result


def _signature(model: Runner, name: str) -> Any:
    name = name or DEFAULT_SIGNATURE
    if name not in model.signatures:
        raise invalid_argument(f"No signature was found with the name: {name}")
    return model.signatures[name]


def _input_name(signature: Any, what: str) -> str:
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if INPUTS not in signature.inputs:
        raise invalid_argument(f"No {what} inputs found in SignatureDef: {signature}")
    name: str = signature.inputs[INPUTS].name
    return name


def _check_method(signature: Any, what: str, expected: str) -> None:
    if signature.method_name != expected:
        raise invalid_argument(f"Expected {what} signature method_name to be {expected}. Was: {signature.method_name}")


def _classification_fetches(signature: Any, *, check_method: bool) -> dict[str, str]:
    if check_method:
        _check_method(signature, "classification", CLASSIFY)
    _input_name(signature, "classification")
    if len(signature.outputs) not in {1, 2}:
        raise invalid_argument(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    fetches = {alias: signature.outputs[alias].name for alias in (CLASSES, SCORES) if alias in signature.outputs}
    if not fetches:
        raise invalid_argument(
            'Expected classification signature outputs to contain at least one of "classes" or "scores". Signature '
            f"was: {signature}"
        )
    return fetches


def _regression_fetch(signature: Any, *, check_method: bool) -> str:
    if check_method:
        _check_method(signature, "regression", REGRESS)
    _input_name(signature, "regression")
    if len(signature.outputs) != 1:
        raise invalid_argument("Expected one output Tensor.")
    if OUTPUTS not in signature.outputs:
        raise invalid_argument(f"No regression outputs found in SignatureDef: {signature}")
    name: str = signature.outputs[OUTPUTS].name
    return name


def _classifications(found: dict[str, NDArray[Any]], rows: int) -> Any:
    """Return a ClassificationResult from `classes` (example, class) strings and `scores` (example, class) floats."""
    classes, scores = (_table(found.get(alias), alias, rows) for alias in (CLASSES, SCORES))
    if classes is not None and scores is not None and classes.shape[1] != scores.shape[1]:
        raise invalid_argument(
            f"Tensors class and score should match in dim_size(1). Got {classes.shape[1]} vs. {scores.shape[1]}"
        )
    result = classification_pb2.ClassificationResult()
    for row in range(rows):
        classification = result.classifications.add()
        labels = [""] * scores.shape[1] if classes is None and scores is not None else _labels(classes, row)
        marks = [0.0] * len(labels) if scores is None else scores[row].tolist()
        for label, score in zip(labels, marks, strict=True):
            classification.classes.add(label=label, score=score)
    return result


def _labels(classes: NDArray[Any] | None, row: int) -> list[str]:
    values: list[Any] = [] if classes is None else classes[row].tolist()
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]


def _table(values: NDArray[Any] | None, alias: str, rows: int) -> NDArray[Any] | None:
    if values is None:
        return None
    values = np.asarray(values)
    if values.ndim != 2:  # noqa: PLR2004 - example and class
        raise invalid_argument(f"Expected Tensor shape: [batch_size num_classes] but got {_shape(values)}")
    if alias == SCORES and values.dtype != np.float32:
        raise invalid_argument(f"Expected scores Tensor of DT_FLOAT. Got: {_dtype_name(values)}")
    if alias == CLASSES and values.dtype.kind not in "OSU":
        raise invalid_argument(f"Expected classes Tensor of DT_STRING. Got: {_dtype_name(values)}")
    if len(values) != rows:
        raise invalid_argument(f"Expected {alias} output batch size of {rows}. Got: {len(values)}")
    return values


def _regressions(values: NDArray[Any], rows: int) -> Any:
    """Return a RegressionResult from values (example,) or (example, 1) of float32."""
    values = np.asarray(values)
    if values.ndim not in {1, 2} or (values.ndim == 2 and values.shape[1] != 1):  # noqa: PLR2004
        raise invalid_argument(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {_shape(values)}"
        )
    if len(values) != rows:
        raise invalid_argument(f"Input batch size did not match output batch size: {rows} vs. {len(values)}")
    if values.dtype != np.float32:
        raise invalid_argument(f"Expected output Tensor of DT_FLOAT.  Got: {_dtype_name(values)}")
    result = regression_pb2.RegressionResult()
    for value in values.ravel().tolist():
        result.regressions.add(value=value)
    return result


def _shape(values: NDArray[Any]) -> str:
    return "[" + ",".join(map(str, values.shape)) + "]"


def _dtype_name(values: NDArray[Any]) -> str:
    names = {"float64": "DT_DOUBLE", "object": "DT_STRING"}
    name = names.get(values.dtype.name, f"DT_{values.dtype.name.upper()}")
    return name if name in types_pb2.DataType.keys() else values.dtype.name  # noqa: SIM118 - not a mapping
