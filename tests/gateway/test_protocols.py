"""TensorFlow Serving's REST and the Open Inference Protocol V2, for every kind of model, as clients speak them."""

from __future__ import annotations

import base64
import gzip
import io
import json
import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import requests
from PIL import Image

from tests.contract.conftest import Server
from tests.gateway import zoo
from tests.gateway.processes import Api

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    OpenApi = Callable[..., Api]

LARGE = 2**63 - 1
LARGEST = 2**64 - 1
SIGMOID_3 = 1 / (1 + math.exp(-3))
WHITE_SHEET = [[255.0] * 28] * 28

# model, rows, the predictions
ROWS: dict[str, tuple[list[Any], list[Any]]] = {
    "sigmoid": ([[3, 0, 0, 0], [-3, 0, 0, 0]], [[pytest.approx(SIGMOID_3)], [pytest.approx(1 - SIGMOID_3)]]),
    "logits": ([[1, 2, 3]], [[10.0, 20.0, 30.0]]),
    "softmax": ([[0, 0, 0]], [[pytest.approx(1 / 3)] * 3]),
    "multilabel": ([[0, 0, 0]], [[0.5, 0.5, 0.5]]),
    "price": ([[1, 2, 3, 4.5]], [[10.5]]),
    "price_vector": ([[1, 2, 3, 4.5], [0, 0, 0, 1]], [10.5, 1.0]),
    "embedding": ([[1, 2, 3, 4]], [[10.0] * 8]),
    "segmentation": ([[[[1], [2]], [[3], [4]]]], [[[[pytest.approx(1 / 3)] * 3] * 2] * 2]),
    "two_inputs": ([{"a": [1, 2, 3, 4], "b": [5]}], [[0.5, 0.5]]),
    "two_outputs": ([[1, 2], [3, 4]], [{"double": [2.0, 4.0], "sum": 3.0}, {"double": [6.0, 8.0], "sum": 7.0}]),
    "text": ([["good film"], ["bad"]], [[0.5, 0.5]] * 2),
    "variable_length": ([[1, 2, 3], [4, 5, 6]], [6.0, 15.0]),
    "int64_ids": (
        [[LARGE], [-LARGE - 1]],
        [{"same": [LARGE], "last_digit": 7}, {"same": [-LARGE - 1], "last_digit": 2}],
    ),
    "half": ([[0.5, 1], [3, 4]], [[1.0, 2.0], [6.0, 8.0]]),
    "bfloat16": ([[0.5, 1], [3, 4]], [[1.0, 2.0], [6.0, 8.0]]),
    "uint64": ([[LARGEST, 0]], [[LARGEST, 0]]),
    "booleans": ([[True, True], [True, False]], [True, False]),
    "fixed_batch": ([[5, 5, 0, 0]], [[pytest.approx(1.0, abs=1e-4), pytest.approx(0.0, abs=1e-4)]]),
    "batch_of_three": ([[1, 2], [3, 4], [5, 6]], [3.0, 7.0, 11.0]),
    "not_a_number": ([4.0, 9.0], [2.0, 3.0]),
    "picture": ([WHITE_SHEET], [[0.0, 1.0]]),
    "refuses_zeros": ([[1, 2]], [3.0]),
    "lite": ([[1, 2]], [[3.0, 6.0]]),
}
HALVES = ("half", "bfloat16")
# model, the tensors of a request by name (datatype, shape, flat data), and those of the answer
V2: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sigmoid": (
        {"features": ("FP32", [1, 4], [0, 0, 0, 0])},
        {"output_0": ("FP32", [1, 1], [0.5])},
    ),
    "logits": ({"x": ("FP32", [1, 3], [1, 2, 3])}, {"scores": ("FP32", [1, 3], [10.0, 20.0, 30.0])}),
    "softmax": ({"x": ("FP32", [1, 3], [0, 0, 0])}, {"probabilities": ("FP32", [1, 3], [pytest.approx(1 / 3)] * 3)}),
    "multilabel": ({"x": ("FP32", [1, 3], [0, 0, 0])}, {"probabilities": ("FP32", [1, 3], [0.5] * 3)}),
    "price": ({"features": ("FP32", [2, 4], [1, 2, 3, 4, 0, 0, 0, 1])}, {"output_0": ("FP32", [2, 1], [10.0, 1.0])}),
    "price_vector": ({"features": ("FP32", [1, 4], [1, 2, 3, 4])}, {"output_0": ("FP32", [1], [10.0])}),
    "two_inputs": (
        {"a": ("FP32", [1, 4], [1, 2, 3, 4]), "b": ("FP32", [1, 1], [5])},
        {"output_0": ("FP32", [1, 2], [0.5, 0.5])},
    ),
    "two_outputs": (
        {"x": ("FP32", [1, 2], [1, 2])},
        {"double": ("FP32", [1, 2], [2.0, 4.0]), "sum": ("FP32", [1], [3.0])},
    ),
    "text": ({"text": ("BYTES", [1, 1], ["good film"])}, {"output_0": ("FP32", [1, 2], [0.5, 0.5])}),
    "variable_length": ({"sequence": ("FP32", [1, 3], [1, 2, 3])}, {"sum": ("FP32", [1], [6.0])}),
    "int64_ids": (
        {"id": ("INT64", [2, 1], [LARGE, -LARGE - 1])},
        {"last_digit": ("INT64", [2], [7, 2]), "same": ("INT64", [2, 1], [LARGE, -LARGE - 1])},
    ),
    "half": ({"x": ("FP16", [1, 2], [0.5, 3])}, {"double": ("FP16", [1, 2], [1.0, 6.0])}),
    "bfloat16": ({"x": ("BF16", [1, 2], [0.5, 3])}, {"double": ("BF16", [1, 2], [1.0, 6.0])}),
    "uint64": ({"x": ("UINT64", [1, 2], [LARGEST, 0])}, {"same": ("UINT64", [1, 2], [LARGEST, 0])}),
    "booleans": ({"x": ("BOOL", [2, 2], [True, True, True, False])}, {"both": ("BOOL", [2], [True, False])}),
    "batch_of_three": ({"x": ("FP32", [3, 2], [1, 2, 3, 4, 5, 6])}, {"sum": ("FP32", [3], [3.0, 7.0, 11.0])}),
    "unknown_rank": ({"x": ("FP32", [2, 1, 2], [1, 2, 3, 4])}, {"sum": ("FP32", [], [10.0])}),
    "scalar": ({"x": ("FP32", [], [4])}, {"double": ("FP32", [], [8.0])}),
    "not_a_number": ({"x": ("FP32", [2], [4, -1])}, {"root": ("FP32", [2], [2.0, None])}),
    "lite": ({"x": ("FP32", [1, 2], [1, 2])}, {"y": ("FP32", [1, 2], [3.0, 6.0])}),
}


def _path(model: str, rest: str = ":predict") -> str:
    return f"/v1/models/{model}{rest}"


def _upstream(server: Server, model: str, body: str, rest: str = ":predict") -> requests.Response:
    return requests.post(f"http://127.0.0.1:{server.rest_port}{_path(model, rest)}", data=body, timeout=20)


def _ask(api: Api, server: Server, body: str, rest: str = ":predict") -> tuple[requests.Response, requests.Response]:
    """Return what the gateway answers, and what the server itself does."""
    return api.post(_path(api.model, rest), body), _upstream(server, api.model, body, rest)


# ---- TensorFlow Serving's REST


@pytest.mark.parametrize("model", ROWS)
def test_rows_are_answered_in_rows(api_of: OpenApi, model: str) -> None:
    rows, predictions = ROWS[model]
    reply = api_of(model).post(_path(model), {"instances": rows})
    assert reply.ok, reply.text
    assert reply.json() == {"predictions": predictions}
    assert reply.headers["x-model-version"] == "1"


@pytest.mark.parametrize("model", [name for name in ROWS if name not in HALVES])
def test_answers_are_those_of_the_server_byte_for_byte(api_of: OpenApi, zoo_server: Server, model: str) -> None:
    rows, _ = ROWS[model]
    names = rows[0] if isinstance(rows[0], dict) else None
    columns = {name: [row[name] for row in rows] for name in names} if names else rows
    for body in ({"instances": rows}, {"inputs": columns}):
        ours, upstream = _ask(api_of(model), zoo_server, json.dumps(body))
        assert (ours.status_code, ours.content) == (upstream.status_code, upstream.content)
        assert ours.ok
        assert ours.headers["content-type"] == upstream.headers["content-type"]


@pytest.mark.parametrize("model", ["unknown_rank", "scalar"])
def test_models_without_rows_are_answered_in_columns(api_of: OpenApi, zoo_server: Server, model: str) -> None:
    ours, upstream = _ask(api_of(model), zoo_server, '{"inputs": 4}')
    assert (ours.status_code, ours.content) == (200, upstream.content)


@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("sigmoid", ""),
        ("sigmoid", "{"),
        ("sigmoid", "[]"),
        ("sigmoid", "{}"),
        ("sigmoid", '{"instances": []}'),
        ("sigmoid", '{"instances": 3}'),
        ("sigmoid", '{"instances": [[1, 2], [1]]}'),
        ("sigmoid", '{"instances": [["a", 2, 3, 4]]}'),
        ("sigmoid", '{"instances": [[1, 2, 3, 4]], "inputs": [[1, 2, 3, 4]]}'),
        ("sigmoid", '{"instances": [[1, 2, 3, 4]], "signature_name": "other"}'),
        ("sigmoid", '{"instances": [[1, 2, 3, 4]], "signature_name": 3}'),
        ("two_inputs", '{"instances": [{"a": [1, 2, 3, 4]}]}'),
        ("two_inputs", '{"instances": [[1, 2, 3, 4]]}'),
        ("uint64", '{"instances": [[18446744073709551616, 0]]}'),
        ("int64_ids", '{"instances": [[1.5]]}'),
        ("booleans", '{"instances": [[1, 0]]}'),
        ("unknown_rank", '{"instances": [1, 2]}'),
        ("refuses_zeros", '{"inputs": {"other": [1]}}'),
    ],
)
def test_refusals_are_those_of_the_server_byte_for_byte(
    api_of: OpenApi, zoo_server: Server, model: str, body: str
) -> None:
    ours, upstream = _ask(api_of(model), zoo_server, body)
    assert (ours.status_code, ours.text) == (upstream.status_code, upstream.text)
    assert ours.status_code == 400


def test_refusal_of_the_graph_is_told_in_its_words(api_of: OpenApi, zoo_server: Server) -> None:
    ours, upstream = _ask(api_of("refuses_zeros"), zoo_server, '{"instances": [[0, 0]]}')
    assert (ours.status_code, upstream.status_code) == (400, 400)
    # gRPC cuts what is longer than a header may be.
    assert upstream.json()["error"].startswith(ours.json()["error"].removesuffix("...TRUNCATED"))


def test_first_of_equal_keys_counts_and_nan_is_a_number(api_of: OpenApi, zoo_server: Server) -> None:
    for body in ('{"instances": [4.0], "instances": [9.0]}', '{"instances": [NaN, Infinity, -1]}'):
        ours, upstream = _ask(api_of("not_a_number"), zoo_server, body)
        assert (ours.status_code, ours.content) == (200, upstream.content)


def test_compressed_body_is_read(api_of: OpenApi) -> None:
    body = gzip.compress(b'{"instances": [[1, 2, 3]]}')
    reply = api_of("logits").post(_path("logits"), body, headers={"content-encoding": "gzip"})
    assert reply.json() == {"predictions": [[10.0, 20.0, 30.0]]}


def test_body_and_answer_may_be_large(api_of: OpenApi, zoo_server: Server) -> None:
    body = json.dumps({"instances": [[i, i + 0.5] for i in range(20_000)]})
    ours, upstream = _ask(api_of("two_outputs"), zoo_server, body)
    assert (ours.status_code, ours.content) == (200, upstream.content)


def test_encoded_pictures_go_in_and_come_out_as_base64(api_of: OpenApi, zoo_server: Server) -> None:
    picture = io.BytesIO()
    Image.new("L", (3, 2)).save(picture, "PNG")
    encoded = {"b64": base64.b64encode(picture.getvalue()).decode()}
    ours, upstream = _ask(api_of("image_bytes"), zoo_server, json.dumps({"instances": [encoded]}))
    assert (ours.status_code, ours.content) == (200, upstream.content)
    assert ours.json() == {"predictions": [{"same_bytes": encoded, "size": [2, 3, 1]}]}


@pytest.mark.parametrize("rest", ["", "/versions/1", "/versions/7"])
def test_status_is_the_servers(api_of: OpenApi, zoo_server: Server, rest: str) -> None:
    ours = api_of("sigmoid").get(_path("sigmoid", rest))
    upstream = requests.get(f"http://127.0.0.1:{zoo_server.rest_port}{_path('sigmoid', rest)}", timeout=20)
    assert (ours.status_code, ours.content) == (upstream.status_code, upstream.content)


@pytest.mark.parametrize("model", ["sigmoid", "softmax", "two_inputs", "estimator", "unknown_rank", "picture", "lite"])
def test_metadata_is_the_servers_without_the_description(api_of: OpenApi, zoo_server: Server, model: str) -> None:
    ours = api_of(model).get(_path(model, "/metadata"))
    upstream = requests.get(f"http://127.0.0.1:{zoo_server.rest_port}{_path(model, '/metadata')}", timeout=20).json()
    upstream["metadata"]["signature_def"]["signature_def"].pop("model_description", None)
    assert ours.json() == upstream
    assert "serving_default" in upstream["metadata"]["signature_def"]["signature_def"]
    assert ours.headers["x-model-version"] == "1"


@pytest.mark.parametrize("rest", [":predict", "/versions/1:predict", "/versions/0001:predict"])
def test_version_is_chosen_by_the_path(api_of: OpenApi, rest: str) -> None:
    reply = api_of("logits").post(_path("logits", rest), {"instances": [[1, 2, 3]]})
    assert (reply.status_code, reply.headers["x-model-version"]) == (200, "1")


@pytest.mark.parametrize(
    "rest",
    [
        "/versions/7:predict",
        "/labels/nobodys:predict",
        "/versions/9223372036854775808:predict",
        "/versions/x:predict",
        ":PREDICT",
        ":predict?x=1",
        ":other",
    ],
)
def test_paths_to_nothing_are_refused_as_the_server_does(api_of: OpenApi, zoo_server: Server, rest: str) -> None:
    ours, upstream = _ask(api_of("logits"), zoo_server, '{"instances": [[1, 2, 3]]}', rest)
    assert (ours.status_code, ours.text) == (upstream.status_code, upstream.text)
    assert ours.status_code in {400, 404}
    assert "retry-after" not in ours.headers


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("POST", "/v1/models/stranger:predict", "Servable not found for request: Latest(stranger)"),
        ("POST", "/v1/models/stranger:classify", "Servable not found for request: Latest(stranger)"),
        ("POST", "/v1/models/stranger/versions/3:predict", "Servable not found for request: Specific(stranger, 3)"),
        ("GET", "/v1/models/stranger/metadata", "Servable not found for request: Latest(stranger)"),
        ("GET", "/v1/models/stranger", "Could not find any versions of model stranger"),
    ],
)
def test_other_models_are_not_found(api_of: OpenApi, method: str, path: str, words: str) -> None:
    api = api_of("logits")
    reply = api.session.request(method, api.url(path), data="{}", timeout=20)
    assert (reply.status_code, reply.json()) == (404, {"error": words})


def test_classify_is_the_servers(api_of: OpenApi, zoo_server: Server) -> None:
    body = json.dumps({"examples": [{"content": "def f():"}, {"content": "film"}]})
    for model in ("estimator", "sigmoid"):
        ours, upstream = _ask(api_of(model), zoo_server, body, ":classify")
        assert (ours.status_code, ours.text) == (upstream.status_code, upstream.text)


def test_regress_is_refused_in_the_servers_words(api_of: OpenApi, zoo_server: Server) -> None:
    for body in ('{"examples": [{"x": 1.0}]}', '{"examples": []}', "{}"):
        ours, upstream = _ask(api_of("sigmoid"), zoo_server, body, ":regress")
        assert (ours.status_code, ours.text) == (upstream.status_code, upstream.text)
        assert ours.status_code == 400


def test_versions_and_labels_are_asked_each_with_its_own_signature(tmp_path: Path) -> None:
    zoo.logits(tmp_path / "model" / "1")
    zoo.int64_ids(tmp_path / "model" / "2")
    (tmp_path / "models.txt").write_text(
        f"""model_config_list {{ config {{
            name: "two" base_path: "{tmp_path / "model"}" model_platform: "tensorflow"
            model_version_policy {{ all {{}} }}
            version_labels {{ key: "stable" value: 1 }} version_labels {{ key: "canary" value: 2 }}
        }} }}""",
        encoding="utf-8",
    )
    flags = (f"--model_config_file={tmp_path / 'models.txt'}", "--allow_version_labels_for_unavailable_models=true")
    logits, ids = '{"instances": [[1, 2, 3]]}', '{"instances": [[17]]}'
    with (
        Server(f"{sys.executable} -m model_server", None, *flags, name="two") as server,
        Api(server.grpc_port, "two") as api,
    ):
        server.wait_for_versions(1, 2)
        for rest, body, version in (
            (":predict", ids, "2"),
            ("/versions/1:predict", logits, "1"),
            ("/versions/2:predict", ids, "2"),
            ("/labels/stable:predict", logits, "1"),
            ("/labels/canary:predict", ids, "2"),
            ("/labels/stable:predict", '{"instances": [["a"]]}', None),
            ("/labels/nobodys:predict", ids, None),
        ):
            ours, upstream = _ask(api, server, body, rest)
            assert (ours.status_code, ours.text, ours.ok) == (upstream.status_code, upstream.text, version is not None)
            assert version is None or ours.headers["x-model-version"] == version
        assert api.get("/v1/models/two/labels/stable/metadata").json()["model_spec"]["version"] == "1"
        assert len(api.get("/v1/models/two").json()["model_version_status"]) == 2
        assert api.get("/v2/models/two").json()["versions"] == ["2", "1"]


# ---- Open Inference Protocol V2


@pytest.mark.parametrize("model", V2)
def test_tensors_of_every_kind_travel_as_json(api_of: OpenApi, model: str) -> None:
    given, expected = V2[model]
    inputs = [{"name": name, "datatype": t, "shape": s, "data": data} for name, (t, s, data) in given.items()]
    reply = api_of(model).post(f"/v2/models/{model}/infer", {"id": "of mine", "inputs": inputs})
    assert reply.ok, reply.text
    assert reply.json() == {
        "model_name": model,
        "model_version": "1",
        "id": "of mine",
        "outputs": [{"name": name, "datatype": t, "shape": s, "data": data} for name, (t, s, data) in expected.items()],
    }


@pytest.mark.parametrize("model", V2)
def test_metadata_names_what_is_sent_and_answered(api_of: OpenApi, model: str) -> None:
    given, expected = V2[model]
    content = api_of(model).get(f"/v2/models/{model}").json()
    assert {tensor["name"]: tensor["datatype"] for tensor in content["inputs"]} == {n: t[0] for n, t in given.items()}
    assert {tensor["name"]: tensor["datatype"] for tensor in content["outputs"]} == {
        n: t[0] for n, t in expected.items()
    }
    assert content["versions"] == ["1"]
    assert api_of(model).get(f"/v2/models/{model}/ready").json() == {"name": model, "ready": True}


def test_refusal_of_the_model_is_no_reason_to_try_again(api_of: OpenApi) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0, 0]}
    reply = api_of("refuses_zeros").post("/v2/models/refuses_zeros/infer", {"inputs": [tensor]})
    assert (reply.status_code, "the model refused" in reply.json()["error"]) == (400, True)
    assert "retry-after" not in reply.headers


def test_version_that_is_not_there_is_not_found_by_v2(api_of: OpenApi) -> None:
    api = api_of("logits")
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
    assert api.post("/v2/models/logits/versions/1/infer", {"inputs": [tensor]}).status_code == 200
    assert api.post("/v2/models/logits/versions/7/infer", {"inputs": [tensor]}).status_code == 404
    assert api.get("/v2/models/logits/versions/7/ready").status_code == 404
    assert api.get("/v2/models/stranger").status_code == 404


# ---- pictures


def _png(levels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(levels).save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize(("level", "label"), [(0, "dark"), (255, "light")])
def test_picture_is_answered_as_body_and_as_upload(api_of: OpenApi, level: int, label: str) -> None:
    # A frame of black is a drawing's paper, so the sheet is as large as the model's.
    levels = np.full((28, 28), level, np.uint8)
    levels[[0, -1]] = levels[:, [0, -1]] = 0
    picture, api = _png(levels), api_of("picture")
    as_body = api.post("/predict", picture, headers={"content-type": "image/png"})
    as_upload = api.session.post(api.url("/predict"), files={"file": ("digit.png", picture, "image/png")}, timeout=20)
    unnamed = api.post("/predict", picture, headers={"content-type": "application/octet-stream"})
    assert as_body.json()["prediction"] == label
    assert as_body.json() == as_upload.json() == unnamed.json()


@pytest.mark.parametrize(
    ("content_type", "content", "status"),
    [
        ("image/gif", b"GIF89a", 415),
        ("image/png", b"nothing of the kind", 415),
        ("image/png", b"\x89PNG\r\n\x1a\n cut", 422),
        ("image/png", b"", 422),
        ("multipart/form-data", b"--", 422),
    ],
)
def test_what_is_no_picture_is_refused(api_of: OpenApi, content_type: str, content: bytes, status: int) -> None:
    reply = api_of("picture").post("/predict", content, headers={"content-type": content_type})
    assert reply.status_code == status, reply.text


def test_model_of_numbers_takes_no_picture(api_of: OpenApi) -> None:
    picture = _png(np.zeros((2, 2), np.uint8))
    reply = api_of("logits").post("/predict", picture, headers={"content-type": "image/png"})
    assert (reply.status_code, "not described as an image" in reply.json()["error"]) == (415, True)
