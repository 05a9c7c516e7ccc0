"""What strangers may send to the gRPC port, and what everybody else notices."""

from __future__ import annotations

import contextlib
import struct
import time
from typing import TYPE_CHECKING, Any

import grpc
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, inference_pb2, predict_pb2

from tests.bystander import Watch
from tests.contract import frames
from tests.contract.frames import Connection, call, frame, prefixed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.contract.conftest import Server

MIB = 1 << 20
TIMEOUT_SECONDS = 60
SERVICE = "/tensorflow.serving.PredictionService/"
# Frames at once: what fits into a socket's buffer.
AT_ONCE = 500


def watch(server: Server) -> Watch:
    """Return what watches others who ask a server on a channel that is kept."""
    return Watch(server.process.pid, _asking(server.grpc_port))


@contextlib.contextmanager
def _asking(port: int) -> Iterator[Callable[[], str]]:
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        asked: Any = channel.unary_unary(f"{SERVICE}Predict")

        def ask() -> str:
            try:
                asked(good(), timeout=TIMEOUT_SECONDS)
            except grpc.RpcError as error:
                return f"{error.code().name}: {error.details()}"
            return ""

        yield ask


def predict(signature: str = "", **inputs: Any) -> predict_pb2.PredictRequest:
    """Return a Predict of the line; inputs are TensorProto fields."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "line", signature
    for name, fields in inputs.items():
        shape = fields.pop("shape")
        for key, value in fields.items():
            if isinstance(value, list):
                getattr(request.inputs[name], key).extend(value)
            else:
                setattr(request.inputs[name], key, value)
        for size in shape:
            request.inputs[name].tensor_shape.dim.add(size=size)
    return request


def floats(count: int) -> dict[str, Any]:
    """Return the fields of a vector of ones."""
    return {"dtype": types_pb2.DT_FLOAT, "float_val": [1.0] * count, "shape": [count]}


def good() -> bytes:
    """Return a Predict that is answered."""
    message: bytes = predict(x=floats(3)).SerializeToString()
    return message


def asked(server: Server, method: str, message: bytes) -> str:
    """Return the code a message is answered with."""
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    options.append(("grpc.use_local_subchannel_pool", 1))
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", options=options) as channel:
        try:
            ask: Any = channel.unary_unary(SERVICE + method)
            ask(message, timeout=TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            name: str = error.code().name
            return name
        return "OK"


def batches(contents: Iterator[bytes]) -> Iterator[bytes]:
    """Yield frames joined, so many at once."""
    joined: list[bytes] = []
    for content in contents:
        joined.append(content)
        if len(joined) == AT_ONCE:
            yield b"".join(joined)
            joined.clear()
    yield b"".join(joined)


@contextlib.contextmanager
def connections(server: Server, count: int, settings: bytes = b"") -> Iterator[list[Connection]]:
    """Hold so many connections."""
    held: list[Connection] = []
    try:
        for _ in range(count):
            # One by one: those that are open are closed where the next fails.
            held.append(Connection(server.grpc_port, settings))  # noqa: PERF401
        yield held
    finally:
        for connection in held:
            connection.socket.close()


# ---- attacks on the connection


def calls_opened_and_reset(server: Server) -> None:
    """Open 20,000 calls and reset each at once (CVE-2023-44487)."""
    with Connection(server.grpc_port) as connection:
        connection.send_all(
            batches(call(i) + frame(frames.RST_STREAM, 0, i, frames.CANCEL) for i in range(1, 40_000, 2))
        )


def calls_sent_and_reset(server: Server) -> None:
    """Send 5,000 whole calls and reset each at once."""
    with Connection(server.grpc_port) as connection:
        message = good()
        connection.send_all(
            batches(call(i, message) + frame(frames.RST_STREAM, 0, i, frames.CANCEL) for i in range(1, 10_000, 2))
        )


def pings(server: Server) -> None:
    """Send 200,000 pings and read none of the answers."""
    with Connection(server.grpc_port) as connection:
        connection.send_all(batches(frame(frames.PING, 0, 0, bytes(8)) for _ in range(200_000)))


def settings(server: Server) -> None:
    """Send 200,000 settings, each of which is to be acknowledged."""
    with Connection(server.grpc_port) as connection:
        connection.send_all(batches(frame(frames.SETTINGS, 0, 0) for _ in range(200_000)))


def continued_headers(server: Server) -> None:
    """Send headers that go on for 20 MiB."""
    with Connection(server.grpc_port) as connection:
        part = frames.field(b"x", b"y" * 100) * 150
        connection.send(frame(frames.HEADERS, 0, 1, frames.fields()))
        connection.send_all(frame(frames.CONTINUATION, 0, 1, part) for _ in range(20 * MIB // len(part)))


def headers_by_index(server: Server) -> None:
    """Send 100 calls whose headers are 4 KiB kept once and named 16,000 times (RFC 7541, 7.1.3)."""
    with Connection(server.grpc_port) as connection:
        for stream in range(1, 200, 2):
            kept = b"\x40" + frames.field(b"x", b"y" * 3900)[1:]
            block = frames.fields() + kept + b"\xbe" * 11_000
            if not connection.send(frame(frames.HEADERS, frames.END_HEADERS, stream, block)):
                return


def data_of_nothing(server: Server) -> None:
    """Send 300,000 pieces of nothing of a message that never comes."""
    with Connection(server.grpc_port) as connection:
        connection.send(call(1))
        connection.send_all(batches(frame(frames.DATA, 0, 1) for _ in range(300_000)))


def window_updates(server: Server) -> None:
    """Allow the server to send one byte more, 300,000 times."""
    with Connection(server.grpc_port) as connection:
        connection.send_all(batches(frame(frames.WINDOW_UPDATE, 0, 0, b"\0\0\0\1") for _ in range(300_000)))


def unknown_frames(server: Server) -> None:
    """Send 20 MiB of frames of a kind that there is not, and of priorities."""
    with Connection(server.grpc_port) as connection:
        connection.send_all(frame(0xFA, 0, 0, bytes(16_000)) for _ in range(20 * MIB // 16_000))
        connection.send_all(batches(frame(frames.PRIORITY, 0, 2 * i + 1, bytes(5)) for i in range(100_000)))


def silent_connections(server: Server) -> None:
    """Hold 1,000 connections that say nothing more."""
    with connections(server, 1000):
        time.sleep(2)


def messages_that_do_not_come(server: Server) -> None:
    """Open 1,000 calls on ten connections that tell of messages of a MiB and send 1 KiB."""
    with connections(server, 10) as held:
        for connection in held:
            part = prefixed(bytes(1000), MIB)
            connection.send(b"".join(call(i) + frame(frames.DATA, 0, i, part) for i in range(1, 200, 2)))
        time.sleep(3)


def answers_nobody_takes(server: Server) -> None:
    """Ask 200 times for 256 KiB and allow the server to send nothing."""
    message = predict(x=floats(64 << 10)).SerializeToString()
    nothing = struct.pack(">HI", frames.INITIAL_WINDOW_SIZE, 0)
    with connections(server, 10, nothing) as held:
        for connection in held:
            connection.send(b"".join(call(i, message) for i in range(1, 40, 2)))
        time.sleep(3)


def byte_a_moment(server: Server) -> None:
    """Send messages a byte in every 50 ms, on 50 connections."""
    with connections(server, 50) as held:
        message = prefixed(good())
        for connection in held:
            connection.send(call(1))
        for byte in message[:60]:
            for connection in held:
                connection.send(frame(frames.DATA, 0, 1, bytes([byte])))
            time.sleep(0.05)


def connections_dropped(server: Server) -> None:
    """Send a call on 1,000 connections and drop each."""
    for _ in range(1000):
        connection = Connection(server.grpc_port)
        connection.send(call(1, good()))
        connection.drop()


# ---- attacks by a message


def tiny_strings(server: Server) -> None:
    """Send 4 MiB of strings of a byte, a million of them, for an input that takes strings, and one that does not."""
    count = 4 * MIB // 3
    strings = {"dtype": types_pb2.DT_STRING, "string_val": [b"a"] * count, "shape": [count]}
    asked(server, "Predict", predict("pair", a=floats(1), s=dict(strings)).SerializeToString())
    asked(server, "Predict", predict(x=dict(strings)).SerializeToString())


def empty_strings(server: Server) -> None:
    """Send 16 MiB of strings of nothing, eight million of them."""
    count = 8 * MIB
    strings = {"dtype": types_pb2.DT_STRING, "string_val": [b""] * count, "shape": [count]}
    asked(server, "Predict", predict("pair", a=floats(1), s=strings).SerializeToString())


def many_inputs(server: Server) -> None:
    """Send 300,000 inputs."""
    request = predict()
    for i in range(300_000):
        request.inputs[f"{i}"].dtype = 1
    asked(server, "Predict", request.SerializeToString())


def many_outputs(server: Server) -> None:
    """Ask for a million outputs."""
    request = predict(x=floats(1))
    request.output_filter.extend(["y"] * MIB)
    asked(server, "Predict", request.SerializeToString())


def many_dimensions(server: Server) -> None:
    """Send a tensor of a million dimensions."""
    tensor = {"dtype": types_pb2.DT_FLOAT, "float_val": [1.0], "shape": [1] * MIB}
    asked(server, "Predict", predict(x=tensor).SerializeToString())


def many_tasks(server: Server) -> None:
    """Ask for 300,000 inferences of the same examples."""
    request = inference_pb2.MultiInferenceRequest()
    for _ in range(300_000):
        task = request.tasks.add(method_name="tensorflow/serving/regress")
        task.model_spec.name, task.model_spec.signature_name = "line", "regress"
    for _ in range(10_000):
        request.input.example_list.examples.add()
    asked(server, "MultiInference", request.SerializeToString())


def many_fields_of_metadata(server: Server) -> None:
    """Ask for a million fields of metadata."""
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"] * MIB)
    request.model_spec.name = "line"
    asked(server, "GetModelMetadata", request.SerializeToString())


def many_examples(server: Server) -> None:
    """Send two million examples of nothing."""
    request = inference_pb2.MultiInferenceRequest()
    request.tasks.add(method_name="tensorflow/serving/regress").model_spec.name = "line"
    for _ in range(2 * MIB):
        request.input.example_list.examples.add()
    asked(server, "MultiInference", request.SerializeToString())


def unknown_fields(server: Server) -> None:
    """Send 8 MiB of fields that the message does not have, and groups in groups."""
    asked(server, "Predict", good() + b"\xf8\x07\x01" * (8 * MIB // 3))
    asked(server, "Predict", good() + b"\xfb\x07" * MIB)


ATTACKS: list[Callable[[Server], None]] = [
    calls_opened_and_reset,
    calls_sent_and_reset,
    pings,
    settings,
    continued_headers,
    headers_by_index,
    data_of_nothing,
    window_updates,
    unknown_frames,
    silent_connections,
    messages_that_do_not_come,
    answers_nobody_takes,
    byte_a_moment,
    connections_dropped,
    tiny_strings,
    empty_strings,
    many_inputs,
    many_outputs,
    many_dimensions,
    many_tasks,
    many_fields_of_metadata,
    many_examples,
    unknown_fields,
]
