"""Whatever comes in, the server answers in time, with a status upstream would give, and goes on serving.

`--fuzz-examples` is how many of each kind are sent; the counts by status are printed at the end.
"""

from __future__ import annotations

import collections
import http.client
import json
from typing import TYPE_CHECKING

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2

from tests.contract.conftest import FUZZ_COUNTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.contract.conftest import Server

ANSWER = {"predictions": [2.5]}
PREDICT = "/tensorflow.serving.PredictionService/Predict"
TOKENS = [
    b'{"instances": ', b'{"inputs": ', b'"signature_name": ', b'"sum"', b'"pair"', b'"half"', b"[", b"]", b"[[", b"]]",
    b"{", b"}", b",", b":", b'"x"', b'"b64"', b'"AAE="', b"1", b"-2.5e3", b"1e999", b"9" * 40, b"NaN", b"-Infinity",
    b"true", b"null", b'"\xff\xfe"', b'"\\ud800"', b"\x00", b" ", b"\xef\xbb\xbf", b"[" * 10_000, b"1," * 5_000,
]  # fmt: skip
PARTS = [
    "v1", "V1", "models", "line", "nobody", "versions", "labels", "1", "3", "-1", "9" * 25, "metadata", ":predict",
    "%2F", "%zz", "%00", "..", "?x=1", "#", ":classify", ":", "", "monitoring", "é", "a" * 5_000,
]  # fmt: skip
METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]

numbers = st.one_of(st.floats(width=32, allow_nan=False), st.integers(-(10**6), 10**6))
bodies = st.one_of(
    # Sound ones, or nearly: rows and columns of numbers.
    st.builds(
        lambda form, rows: f'{{"{form}": {json.dumps(rows)}}}'.encode(),
        st.sampled_from(["instances", "inputs"]),
        st.lists(numbers, min_size=1, max_size=4) | st.lists(st.lists(numbers, max_size=2), max_size=2) | numbers,
    ),
    st.lists(st.sampled_from(TOKENS), max_size=12).map(b"".join),
    st.tuples(
        st.sampled_from([b'{"instances": [', b'{"inputs": ']),
        st.lists(st.sampled_from(TOKENS), max_size=6).map(b"".join),
    ).map(lambda parts: parts[0] + parts[1] + b"]}"),
    st.binary(max_size=200),
)
paths = st.lists(st.sampled_from(PARTS), min_size=1, max_size=7).map(lambda parts: "/" + "/".join(parts))
sound_tensors = st.lists(st.floats(width=32), max_size=4).map(
    lambda floats: tensor_pb2.TensorProto(dtype=1, float_val=floats, tensor_shape={"dim": [{"size": len(floats)}]})
)
wild_tensors = st.builds(
    lambda dtype, content, floats, sizes: tensor_pb2.TensorProto(
        dtype=dtype,
        tensor_content=content,
        float_val=floats,
        string_val=[content],
        tensor_shape={"dim": [{"size": size} for size in sizes]},
    ),
    st.integers(0, 25),
    st.one_of(st.just(b""), st.binary(max_size=16)),
    st.lists(st.floats(width=32), max_size=4),
    st.lists(st.one_of(st.integers(0, 4), st.sampled_from([-1, 2**20, 2**40, 2**62])), max_size=4),
)


@pytest.fixture(autouse=True)
def serving(server: Server) -> Iterator[None]:
    """Ask, afterwards, for what the server answered before."""
    yield
    assert server.process.poll() is None
    assert server.post({"instances": [1.0]}).json() == ANSWER


@pytest.fixture
def fuzzed(request: pytest.FixtureRequest) -> settings:
    """Return settings that run a function on as many examples as asked for."""
    examples: int = request.config.getoption("--fuzz-examples")
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=examples, database=None, suppress_health_check=checks)


def _counts(kind: str) -> collections.Counter[str]:
    return FUZZ_COUNTS.setdefault(kind, collections.Counter())


def test_any_body_is_answered(server: Server, fuzzed: settings) -> None:
    @fuzzed
    @given(bodies, st.sampled_from([None, "gzip"]))
    def send(body: bytes, encoding: str | None) -> None:
        headers = {"Content-Encoding": encoding} if encoding else {}
        status = server.post(body, headers=headers).status_code
        _counts("REST bodies")[str(status)] += 1
        # 501: a dtype JSON cannot say, in column form.
        assert status in {200, 400, 501}

    send()


def test_any_path_is_answered(server: Server, fuzzed: settings) -> None:
    @fuzzed
    @given(st.sampled_from(METHODS), paths)
    def send(method: str, path: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=10)
        connection.putrequest(method, "/", skip_host=False)
        connection._buffer[0] = f"{method} {path} HTTP/1.1".encode()  # type: ignore[attr-defined]
        connection.putheader("Content-Length", "0")
        connection.endheaders()
        status = connection.getresponse().status
        connection.close()
        _counts("REST paths")[str(status)] += 1
        assert status in {200, 400, 404, 414}

    send()


def test_any_tensor_is_answered(server: Server, fuzzed: settings) -> None:
    @fuzzed
    @given(
        sound_tensors | wild_tensors,
        st.sampled_from(["", "", "sum", "pair", "rows", "half"]),
        st.sampled_from(["x", "x", "a", ""]),
    )
    def send(tensor: tensor_pb2.TensorProto, signature: str, alias: str) -> None:
        request = predict_pb2.PredictRequest(inputs={alias: tensor})
        request.model_spec.name, request.model_spec.signature_name = "line", signature
        code = _code(lambda: server.prediction.Predict(request, timeout=10))
        _counts("gRPC tensors")[code] += 1
        assert code in {"OK", "INVALID_ARGUMENT", "FAILED_PRECONDITION"}

    send()


def test_any_message_is_answered(server: Server, fuzzed: settings) -> None:
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = server.channel.unary_unary(PREDICT)

    @fuzzed
    @given(st.binary(max_size=100))
    def send(message: bytes) -> None:
        code = _code(lambda: call(message, timeout=10))
        _counts("gRPC messages")[code] += 1
        # INTERNAL: gRPC's own word for bytes that are no message.
        assert code in {"INTERNAL", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"}

    send()


def _code(call: Callable[[], object]) -> str:
    try:
        call()
    except grpc.RpcError as error:
        name: str = error.code().name
        return name
    return "OK"
