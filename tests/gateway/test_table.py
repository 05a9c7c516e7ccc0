"""docs/models.md: what each kind of model is answered by each protocol, as it is answered here.

`ci/nox -s gateway -- tests/gateway/test_table.py --write-models` writes it anew.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.gateway import zoo
from tests.gateway.test_models import ANSWERS, REFUSALS

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from tests.gateway.processes import Api

DOCUMENT = Path(__file__).parents[2] / "docs" / "models.md"
SHOWN = 110
V2_TYPES = {
    "float32": "FP32",
    "float64": "FP64",
    "float16": "FP16",
    "bfloat16": "BF16",
    "int64": "INT64",
    "uint64": "UINT64",
    "bool": "BOOL",
    "string": "BYTES",
}
HEAD = """\
# What each kind of model is answered

Small models of the kinds people have (`tests/gateway/zoo.py`, none made by our trainer) behind the real server and the
real api, one input each by every protocol. `tests/gateway/test_models.py` holds `/predict` to these answers, alone and
four in one request; `tests/gateway/test_table.py` holds this page to what all three protocols answer and writes it
(`ci/nox -s gateway -- tests/gateway/test_table.py --write-models`). Long values are cut.

`/predict` answers by the task: the one the model describes, or `model.task` in values; a model that says nothing of
itself, and of which values say nothing, is raw. Where the first axis of a signature is open on every input and output
(column *joined*), rows of concurrent requests travel together; else each is asked alone.

"""


def test_page_tells_what_is_answered(api_of: Callable[..., Api], request: pytest.FixtureRequest) -> None:
    page = HEAD + "\n".join(_lines(api_of)) + "\n"
    if request.config.getoption("--write-models"):
        DOCUMENT.write_text(page, encoding="utf-8")
    # The last digits are the processor's.
    assert rounded(DOCUMENT.read_text(encoding="utf-8")) == rounded(page)


def rounded(text: str) -> str:
    """Return a text with 5 digits of each number that has more."""
    return re.sub(r"\d\.\d{5,}(e-\d+)?", lambda number: f"{float(number[0]):.5g}", text)


def _lines(api_of: Callable[..., Api]) -> list[str]:
    lines = [
        "| model | joined | input | `/predict` | `/v1/models/...:predict`, `instances` | `/v2/models/.../infer` |",
        "|---|---|---|---|---|---|",
    ]
    seen = set()
    for model, flags, value, _ in ANSWERS:
        if (model, flags) in seen:
            continue
        seen.add((model, flags))
        lines.append(_line(api_of(model, *flags), model, flags, value))
    lines += ["", "## What is refused", "", "| model | input | answer |", "|---|---|---|"]
    for model, flags, value, status, _ in REFUSALS:
        reply = api_of(model, *flags).post("/predict", {"input": value})
        assert reply.status_code == status
        told = reply.json()["error"]
        lines.append(f"| {_named(model, flags)} | {_cell(value)} | {status}: {_escaped(told)} |")
    return lines


def _line(api: Api, model: str, flags: tuple[str, ...], value: Any) -> str:
    facts = api.get("/v1/model").json()
    tensors = [*facts["inputs"].values(), *facts["outputs"].values()]
    is_joined = all(tensor["shape"] and tensor["shape"][0] is None for tensor in tensors)
    told = (zoo.MODELS[model].__doc__ or "").strip().rstrip(".").removeprefix("Export ")
    return (
        f"| {_named(model, flags)}: {told} | {'yes' if is_joined else 'no'} | {_cell(value)} | "
        f"{_cell(api.predict(value))} | {_serving(api, model, value, facts)} | {_v2(api, model, value, facts)} |"
    )


def _serving(api: Api, model: str, value: Any, facts: dict[str, Any]) -> str:
    """Return what TensorFlow Serving's REST answers, in rows where the signature has them."""
    shapes = [tensor["shape"] for tensor in facts["inputs"].values()]
    if all(shapes) and len({shape[0] for shape in shapes}) == 1:
        count = shapes[0][0] or 1
        reply = api.post(f"/v1/models/{model}:predict", {"instances": [_nested(value, facts)] * count})
    else:
        reply = api.post(f"/v1/models/{model}:predict", {"inputs": value})
    return f"{_cell(reply.json())}" if reply.ok else f"{reply.status_code}: {_cell(reply.json()['error'])}"


def _v2(api: Api, model: str, value: Any, facts: dict[str, Any]) -> str:
    """Return what the Open Inference Protocol answers, without what every answer has."""
    values = (
        value
        if isinstance(value, dict) and set(value) == set(facts["inputs"])
        else {next(iter(facts["inputs"])): value}
    )
    tensors = []
    for name, told in facts["inputs"].items():
        nested = _nested(values[name], {"inputs": {name: told}})
        shape = _shape(nested)
        rows = (told["shape"][0] or 1) if told["shape"] else 0
        data = [nested] * rows if rows else nested
        whole = [rows, *shape] if rows else shape
        tensors.append({"name": name, "shape": whole, "datatype": V2_TYPES[told["dtype"]], "data": _flat(data)})
    reply = api.post(f"/v2/models/{model}/infer", {"inputs": tensors})
    if not reply.ok:
        return f"{reply.status_code}: {_cell(reply.json()['error'])}"
    return _cell(
        [{key: output[key] for key in ("name", "datatype", "shape", "data")} for output in reply.json()["outputs"]]
    )


def _nested(value: Any, facts: dict[str, Any]) -> Any:
    """Return a value in its row's shape: the other protocols know no flat or bare ones."""
    inputs = facts["inputs"]
    if len(inputs) > 1:
        return {name: _nested(value[name], {"inputs": {name: told}}) for name, told in inputs.items()}
    (name, told), *_ = inputs.items()
    value = value[name] if isinstance(value, dict) and set(value) == {name} else value
    shape = told["shape"][1:] if told["shape"] else []
    flat = _flat(value)
    for size in reversed(shape[1:] if None not in shape and len(_shape(value)) < len(shape) else []):
        flat = [flat[start : start + size] for start in range(0, len(flat), size)]
    is_bare = not isinstance(value, list) and len(shape) == 1
    return flat if len(_shape(value)) < len(shape) and (is_bare or len(shape) > 1) else value


def _shape(value: Any) -> list[int]:
    return [len(value), *_shape(value[0])] if isinstance(value, list) else []


def _flat(value: Any) -> list[Any]:
    return [item for part in value for item in _flat(part)] if isinstance(value, list) else [value]


def _named(model: str, flags: tuple[str, ...]) -> str:
    told = " ".join(flag.removeprefix("--").replace("model-", "model.") for flag in flags)
    return f"`{model}`" + (f" with `{told}`" if told else "")


def _cell(value: Any) -> str:
    text = json.dumps(value) if not isinstance(value, str) else value
    return f"`{_escaped(text[:SHOWN])}{'...' if len(text) > SHOWN else ''}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
