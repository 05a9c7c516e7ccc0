"""What /predict takes and answers for a model, as JSON Schema (2020-12, the dialect of OpenAPI 3.1).

As strict as the gateway, but for two things that JSON Schema has no words for: lists along open axes are all of one
length, and a whole number beyond 2**53 is written in digits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from model_api import inputs
from model_description import dtypes
from serving_codec import tensors

if TYPE_CHECKING:
    from model_api.config import Config
    from model_api.inputs import Shape
    from model_api.knowledge import Known
    from model_description.signature import Signature, TensorSpec

    Schema = dict[str, Any]

# The least number that is rounded to infinity: half a step beyond the largest one (IEEE 754, ties to even).
_INFINITE = {"float16": 65520.0, "bfloat16": float(2**128 - 2**119), "float32": float(2**128 - 2**103)}
_DIGIT = r"[A-Za-z0-9+/]\s*"
# RFC 4648 with padding; white space is left out when it is read.
_BASE64 = rf"^\s*(({_DIGIT}){{4}})*(({_DIGIT}){{2}}=\s*=\s*|({_DIGIT}){{3}}=\s*)?$"
PROBABILITY: Schema = {"type": "string", "pattern": r"^[01]\.[0-9]{4}$"}
BYTES: Schema = {
    "description": "Bytes in base64",
    "type": "object",
    "properties": {"b64": {"type": "string", "contentEncoding": "base64", "pattern": _BASE64}},
    "required": ["b64"],
    "additionalProperties": False,
}


def of(known: Known, config: Config) -> dict[str, Schema]:
    """Return the components of a usable version by name: Request, Reply, and what those refer to."""
    signature = known.served
    several = {"type": "array", "items": ref("Input"), "minItems": 1, "maxItems": config.max_inputs_per_request}
    answers = {"type": "array", "items": ref("Answer"), "minItems": 1}
    return {
        "Request": {
            "type": "object",
            "properties": {"input": ref("Input"), "inputs": several},
            "oneOf": [{"required": ["input"]}, {"required": ["inputs"]}],
        },
        "Input": _input(known),
        "Reply": {"anyOf": [ref("Answer"), ref("Answers")]},
        "Answer": _answer(known),
        "Answers": closed({"predictions": answers}),
        "Label": _label(known),
        "Text": {"anyOf": [{"type": "string"}, ref("Bytes")]},
        "Bytes": BYTES,
        **_any_rank(signature),
    }


def ref(component: str) -> Schema:
    """Return a reference to a component."""
    return {"$ref": f"#/components/schemas/{component}"}


def closed(properties: dict[str, Any], optional: frozenset[str] = frozenset()) -> Schema:
    """Return the schema of an object with these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(set(properties) - optional),
        "additionalProperties": False,
    }


# ---- tensors


def scalar(dtype: str) -> Schema:
    """Return what one value of a dtype is sent as."""
    if dtype == "string":
        return ref("Text")
    if dtype == "bool":
        return {"type": "boolean"}
    if dtype in dtypes.FLOATS:
        if dtype not in _INFINITE:
            return {"type": "number", "minimum": -_largest(), "maximum": _largest()}
        return {"type": "number", "exclusiveMinimum": -_INFINITE[dtype], "exclusiveMaximum": _INFINITE[dtype]}
    limits = np.iinfo(tensors.NUMPY[dtype])
    return {"type": "integer", "minimum": int(limits.min), "maximum": int(limits.max)}


def _answered(dtype: str) -> Schema:
    """Return what one value of a dtype is answered as: null is a number that JSON does not have."""
    return {"type": ["number", "null"]} if dtype in dtypes.FLOATS else scalar(dtype)


def _largest() -> float:
    return float(np.finfo(np.float64).max)


def nested(value: Schema, shape: Shape) -> Schema:
    """Return lists of values, nested in a shape."""
    schema = value
    for axis, size in reversed(list(enumerate(shape))):
        # An empty list tells nothing of the axes below it.
        fewest = {"minItems": 1} if axis < len(shape) - 1 else {}
        schema = {"type": "array", "items": schema} | (fewest if size is None else {"minItems": size, "maxItems": size})
    return schema


def taken(spec: TensorSpec, shape: Shape | None) -> Schema:
    """Return what is taken for an input's row: nested in its shape, or flat, or one value alone, where it is fixed."""
    value = scalar(spec.dtype)
    if shape is None:
        return ref(f"Any-{spec.dtype}")
    forms = [nested(value, shape)]
    if None not in shape:
        size = math.prod(size or 0 for size in shape)
        if len(shape) != 1:
            forms.append(nested(value, (size,)))
        if size == 1 and shape:
            forms.append(value)
    return forms[0] if len(forms) == 1 else {"anyOf": forms}


def _any_rank(signature: Signature) -> dict[str, Schema]:
    """Return the components for values of any rank: each refers to itself."""
    found: dict[str, Schema] = {}
    for specs, prefix, value_of in ((signature.inputs, "Any", scalar), (signature.outputs, "AnyOut", _answered)):
        for dtype in sorted({spec.dtype for spec in specs.values()}):
            name = f"{prefix}-{dtype}"
            found[name] = {"anyOf": [value_of(dtype), {"type": "array", "items": ref(name)}]}
    return found


# ---- the request


def _input(known: Known) -> Schema:
    """Return one X: the value of the only input, bare or by its name, or an object with a value for each input."""
    signature = known.served
    values = {name: _described(known, spec) for name, spec in signature.inputs.items()}
    if len(values) == 1:
        (bare,) = values.values()
        return {"anyOf": [bare, closed(values)]}
    return closed(values, signature.optional)


def _described(known: Known, spec: TensorSpec) -> Schema:
    shape = spec.row_shape if known.served.has_rows else spec.shape
    told = known.told.inputs.get(spec.name)
    words = [f"{inputs.expected(spec, shape)} ({spec.dtype})"]
    if told is not None:
        if told.minimum is not None and told.maximum is not None:
            words.append(f"trained on {told.minimum:g} to {told.maximum:g}")
        words += [told.help] if told.help else []
    return {"title": spec.name, "description": "; ".join(words)} | taken(spec, shape)


# ---- the answer


def _answer(known: Known) -> Schema:
    """Return the answer to one X, by the model's task."""
    match known.task:
        case "classification":
            one = {"label": ref("Label"), "probability": PROBABILITY}
            classes = {"type": "array", "items": closed(one), "minItems": 1, "description": "The likeliest, with ?top"}
            answer = {"prediction": ref("Label"), "probability": PROBABILITY, "classes": classes}
            return closed(answer, frozenset({"classes"}))
        case "multilabel":
            prediction = {"type": "array", "items": ref("Label"), "uniqueItems": True}
            return closed({"prediction": prediction, "probabilities": _probabilities(known)})
        case "regression":
            return closed({"prediction": _regression(known)})
        case _:
            outputs = {name: _output(known.served, spec) for name, spec in known.served.outputs.items()}
            return closed({"outputs": closed(outputs)})


def _label(known: Known) -> Schema:
    if known.labels:
        return {"type": "string", "enum": list(known.labels)}
    if any(spec.dtype == "string" for spec in known.served.outputs.values()):
        return {"type": "string", "description": "A class as the model names it"}
    return {"type": "string", "pattern": "^[0-9]+$", "description": "The number of a class"}


def _probabilities(known: Known) -> Schema:
    if known.labels:
        return closed({label: {"type": "number"} for label in known.labels})
    return {"type": "object", "additionalProperties": {"type": "number"}}


def _regression(known: Known) -> Schema:
    scores = known.scores
    shape = None if scores is None else _row(known.served, scores)
    number: Schema = {"type": "number"}
    if shape in {(), (1,)}:
        return number
    if shape is None or shape == (None,):
        return {"anyOf": [number, nested(number, (None,))]}
    return nested(number, shape)


def _output(signature: Signature, spec: TensorSpec) -> Schema:
    shape = _row(signature, spec)
    schema = ref(f"AnyOut-{spec.dtype}") if shape is None else nested(_answered(spec.dtype), shape)
    return {"title": spec.name} | schema


def _row(signature: Signature, spec: TensorSpec) -> Shape | None:
    """Return the shape of what is answered of an output for one X; None where only the answer tells."""
    if not signature.has_rows or spec.shape is None:
        return spec.shape
    if signature.joins_rows or spec.first_axis is None:
        return spec.row_shape
    # Where rows are asked about alone, an output without a row axis is the whole answer.
    sent = max(1, next(iter(signature.inputs.values())).first_axis or 1)
    if spec.first_axis == -1:
        return None
    return spec.row_shape if spec.first_axis == sent else spec.shape
