"""Limits of the gRPC port: whatever clients open, send, claim or name, others are answered and memory is bounded."""

from __future__ import annotations

import collections
import functools
import gzip
import random
import struct
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import grpc
import pytest
import tensorflow as tf
from google.protobuf import text_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import classification_pb2, get_model_status_pb2, model_management_pb2, predict_pb2

from tests import http2
from tests.contract import models
from tests.contract.conftest import FUZZ_COUNTS, Server
from tests.contract.test_models import config, listed, reload
from tests.contract.test_monitoring import PAGE
from tests.contract.test_predict import request
from tests.processes import PEAK, forget_peak, grows_less_than, memory_mib, wait_for

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.timed

MIB = 1 << 20
PREDICT = "/tensorflow.serving.PredictionService/Predict"
CLASSIFY = "/tensorflow.serving.PredictionService/Classify"
CONNECTIONS = 5
# Among half-open calls; without them an answer takes 1 ms.
ANSWER_SECONDS = 0.5
SECONDS = 30


@pytest.fixture(scope="module")
def server(command: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a server with small limits, health and a metrics page."""
    folder = tmp_path_factory.mktemp("limits")
    models.line(folder / "line" / "1", 0.5)
    (folder / "monitoring.txt").write_text(f'prometheus_config: {{ enable: true, path: "{PAGE}" }}')
    flags = (
        "--enable_grpc_healthcheck_service",
        f"--monitoring_config_file={folder / 'monitoring.txt'}",
        f"--grpc_max_message_bytes={8 * MIB}",
        f"--grpc_message_budget_bytes={32 * MIB}",
        "--grpc_message_timeout_seconds=4",
    )
    with Server(command, folder / "line", *flags) as server:
        yield server


def threads(server: Server) -> int:
    """Return how many threads a server has."""
    return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))


def refusal(call: Callable[[], Any]) -> tuple[str, str]:
    """Return the code and words a call ends with."""
    with pytest.raises(grpc.RpcError) as refused:
        call()
    error: Any = refused.value
    return error.code().name, str(error.details())


def predict(server: Server, asked: Any) -> Callable[[], Any]:
    """Return a Predict to be called."""
    return functools.partial(server.prediction.Predict, asked, timeout=SECONDS)


def status(server: Server) -> Any:
    """Ask for the line's status."""
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = "line"
    return server.models.GetModelStatus(asked, timeout=SECONDS)


class HalfOpen:
    """Calls whose message never comes, on several connections, while the block runs."""

    def __init__(self, server: Server, count: int) -> None:
        self._is_over = threading.Event()
        self._channels = [
            grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", options=[("grpc.use_local_subchannel_pool", 1)])
            for _ in range(CONNECTIONS)
        ]
        methods: list[Any] = [channel.stream_unary(PREDICT) for channel in self._channels]
        self.calls = [methods[number % CONNECTIONS].future(self._nothing()) for number in range(count)]

    def _nothing(self) -> Iterator[bytes]:
        self._is_over.wait(60)
        yield from ()

    def __enter__(self) -> Self:
        """Return at once."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let them all go."""
        self._is_over.set()
        for channel in self._channels:
            channel.close()


@pytest.mark.lengthy
def test_a_thousand_calls_that_are_never_sent_cost_no_thread_and_keep_nobody(server: Server) -> None:
    before = threads(server)
    forget_peak(server.process.pid)
    memory = memory_mib(server.process.pid, PEAK)
    with HalfOpen(server, 1000):
        time.sleep(1)
        for ask in (is_answered, status):
            start = time.monotonic()
            assert ask(server)
            assert time.monotonic() - start < ANSWER_SECONDS
        assert threads(server) <= before + 20
        assert memory_mib(server.process.pid, PEAK) - memory < 150
    assert server.prediction.Predict(request(x=[1.0]), timeout=SECONDS).outputs["y"].float_val[:] == [2.5]


def test_a_call_whose_message_is_late_ends(server: Server) -> None:
    start = time.monotonic()
    with HalfOpen(server, 2) as half_open:
        assert {call.exception().code() for call in half_open.calls} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    assert 3 < time.monotonic() - start < 8


@pytest.mark.lengthy
def test_answers_that_nobody_takes_have_a_budget(command: str, base_path: Path) -> None:
    message = request(x=[1.0] * MIB).SerializeToString()
    calls = b"".join(
        http2.headers(PREDICT.encode(), stream) + http2.message(stream, message) for stream in range(1, 14, 2)
    )
    # Windows of nothing, and then a byte of the first answer every so often: it is never late.
    shut = http2.frame(http2.SETTINGS, 0, 0, struct.pack(">HI", 4, 0))
    byte = http2.frame(http2.WINDOW, 0, 1, struct.pack(">I", 1))
    with (
        Server(command, base_path, f"--grpc_message_budget_bytes={32 * MIB}") as server,
        http2.connected(server.grpc_port) as first,
        http2.connected(server.grpc_port) as second,
    ):
        for connection in (first, second):
            connection.sendall(shut + calls)

        def one_is_closed() -> bool:
            return any(map(has_hung_up, (first, second)))

        def has_hung_up(connection: socket.socket) -> bool:
            try:
                connection.sendall(byte)
            except ConnectionError:
                return True
            return False

        wait_for(one_is_closed, "one of them is let go", SECONDS)
        assert not all(map(has_hung_up, (first, second)))
        assert is_answered(server)


@pytest.mark.lengthy
def test_messages_that_arrive_slowly_make_room_for_others(command: str, base_path: Path) -> None:
    flags = (f"--grpc_max_message_bytes={8 * MIB}", f"--grpc_message_budget_bytes={32 * MIB}")
    with Server(command, base_path, *flags) as server, http2.connected(server.grpc_port) as connection:
        # Each but for its last byte: 28 of the 32 MiB that all may hold.
        for stream in (1, 3, 5, 7):
            connection.sendall(http2.headers(PREDICT.encode(), stream) + http2.message(stream, bytes(7 * MIB), left=1))
        large = request(x=[1.0] * (5 << 18)).SerializeToString()
        ask: Any = server.channel.unary_unary(PREDICT)

        def fits() -> bool:
            try:
                ask(large, timeout=SECONDS)
            except grpc.RpcError:
                return False
            return True

        wait_for(fits, "the oldest has made room", SECONDS)
        code, words = http2.status(connection, 1)
        assert (code, "grpc_message_budget_bytes" in words) == (8, True)


def test_calls_that_are_reset_leave_nothing(server: Server) -> None:
    for _ in range(5):
        with HalfOpen(server, 200) as half_open:
            for call in half_open.calls:
                call.cancel()
    assert server.prediction.Predict(request(x=[1.0]), timeout=SECONDS).outputs["y"].float_val[:] == [2.5]


@pytest.mark.lengthy
def test_calls_beyond_the_limit_are_refused_at_once(command: str, base_path: Path) -> None:
    with Server(command, base_path, "--grpc_max_concurrent_calls=20") as server:
        with HalfOpen(server, 20):
            time.sleep(1)
            start = time.monotonic()
            code, told = refusal(lambda: server.prediction.Predict(request(x=[1.0]), timeout=SECONDS))
            assert time.monotonic() - start < ANSWER_SECONDS
            assert (code, "grpc_max_concurrent_calls" in told) == ("RESOURCE_EXHAUSTED", True)
        wait_for(lambda: is_answered(server), "the calls have gone", SECONDS)


def is_answered(server: Server) -> bool:
    """Tell whether a Predict is answered."""
    try:
        server.prediction.Predict(request(x=[1.0]), timeout=SECONDS)
    except grpc.RpcError:
        return False
    return True


def test_a_message_beyond_the_limit_is_refused(server: Server) -> None:
    large = request(x=[1.0] * (3 * MIB))
    assert refusal(lambda: server.prediction.Predict(large, timeout=SECONDS))[0] == "RESOURCE_EXHAUSTED"


@pytest.mark.lengthy
def test_messages_that_wait_are_bounded_together(command: str, base_path: Path) -> None:
    flags = ("--grpc_max_threads=1", f"--grpc_message_budget_bytes={16 * MIB}")
    with Server(command, base_path, *flags) as server:
        # Large, so that it is what the others wait for.
        x = [models.MINUTES, *[0.0] * 20_000]
        running = server.prediction.Predict.future(request("slow", x=x), timeout=8)
        status(server)
        with grows_less_than(server.process.pid, 300):
            # Six megabytes each: two fit beside each other.
            large = request(x=[1.0] * 1_500_000).SerializeToString()
            predict: Any = server.channel.unary_unary(PREDICT)
            waiting = [predict.future(large, timeout=SECONDS) for _ in range(10)]
            codes = [call.exception().code().name if call.exception() else "OK" for call in waiting]
            assert sorted(codes) == ["OK"] * 2 + ["RESOURCE_EXHAUSTED"] * 8
            assert running.exception().code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_messages_are_answered(server: Server, compression: grpc.Compression) -> None:
    asked = request(x=[1.0] * 1000)
    for _ in range(3):
        reply = server.prediction.Predict(asked, timeout=SECONDS, compression=compression)
        assert reply.outputs["y"].float_val[:] == [2.5] * 1000


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_bomb_is_not_inflated(server: Server, compression: grpc.Compression) -> None:
    predict: Any = server.channel.unary_unary(PREDICT)
    predict(request(x=[1.0]).SerializeToString())
    with grows_less_than(server.process.pid, 60):
        bomb = bytes(200 * MIB)
        code, told = refusal(lambda: predict(bomb, timeout=SECONDS, compression=compression))
        assert (code, told) == ("RESOURCE_EXHAUSTED", f"Decompressed message larger than max ({8 * MIB})")


def test_a_bomb_that_lies_about_its_size_is_refused(server: Server) -> None:
    bomb = bytearray(gzip.compress(bytes(MIB)))
    bomb[-4:] = struct.pack("<I", 100)
    with http2.connected(server.grpc_port) as connection:
        head = http2.headers(PREDICT.encode(), 1, (b"grpc-encoding", b"gzip"))
        connection.sendall(head + http2.message(1, bytes(bomb), is_compressed=True))
        assert http2.status(connection, 1) == (8, "Decompressed message larger than max (100)")


def tensor(sizes: list[int], *values: float, signature: str = "") -> Any:
    """Return a PredictRequest of x with a shape and some of its values."""
    made = request(signature)
    made.inputs["x"].dtype = 1
    for size in sizes:
        made.inputs["x"].tensor_shape.dim.add(size=size)
    made.inputs["x"].float_val.extend(values)
    return made


@pytest.mark.parametrize(
    ("sizes", "signature", "told"),
    [
        ([400_000_000], "", "the last value is repeated up to 16777216 bytes only"),
        ([20_000, 20_000], "rows", "the last value is repeated up to 16777216 bytes only"),
        ([20_000, 20_000], "", "shape [20000, 20000] has fewer values than elements, and is not the signature's [-1]"),
        ([-1], "", "is not fully defined"),
        ([2**62, 2**62], "rows", "is larger than 2147483648 bytes"),
        ([2**40] * 60, "sum", "is larger than 2147483648 bytes"),
        ([1] * 100_000, "sum", "100000 dimensions, at most 64 are allowed"),
        ([2**62] * 100_000, "sum", "100000 dimensions, at most 64 are allowed"),
        ([0, 2**62], "rows", "is larger than 2147483648 bytes"),
    ],
)
def test_a_shape_that_claims_more_than_was_sent_is_refused_before_it_is_filled(
    server: Server, sizes: list[int], signature: str, told: str
) -> None:
    with grows_less_than(server.process.pid, 40):
        start = time.monotonic()
        code, words = refusal(
            lambda: server.prediction.Predict(tensor(sizes, 1.0, signature=signature), timeout=SECONDS)
        )
        assert (code, told in words) == ("INVALID_ARGUMENT", True), words
        assert time.monotonic() - start < 2


def test_a_short_tensor_is_filled_within_the_bound(server: Server) -> None:
    reply = server.prediction.Predict(tensor([4], 1.0, 2.0), timeout=SECONDS)
    assert reply.outputs["y"].float_val[:] == [2.5, 3.0, 3.0, 3.0]
    reply = server.prediction.Predict(tensor([1_000_000], 1.0, signature="sum"), timeout=SECONDS)
    assert reply.outputs["total"].float_val[:] == [1_000_000]


def test_a_string_that_is_repeated_is_bounded_with_its_length(server: Server) -> None:
    asked = request("pair", a=[1.0])
    asked.inputs["s"].CopyFrom(tf.make_tensor_proto([b"x" * 100_000]))
    asked.inputs["s"].tensor_shape.dim[0].size = 100_000
    with grows_less_than(server.process.pid, 40):
        code, told = refusal(lambda: server.prediction.Predict(asked, timeout=SECONDS))
        assert (code, "the last value is repeated up to" in told) == ("INVALID_ARGUMENT", True)


def test_a_context_in_front_of_many_examples_is_bounded(server: Server) -> None:
    asked = classification_pb2.ClassificationRequest()
    asked.model_spec.name = "line"
    given = asked.input.example_list_with_context
    given.context.CopyFrom(models.example(c=b"x" * (4 * MIB)))
    for _ in range(5_000):
        given.examples.add()
    with grows_less_than(server.process.pid, 60):
        code, told = refusal(lambda: server.prediction.Classify(asked, timeout=SECONDS))
        assert (code, "in front of each of 5000 examples" in told) == ("INVALID_ARGUMENT", True)


def test_names_of_models_nobody_has_configured_are_kept_as_one(server: Server) -> None:
    server.prediction.Predict(request(x=[1.0]), timeout=SECONDS)
    for number in range(10):
        name = f"{number}" + "x" * (4 * MIB)
        code, told = refusal(predict(server, request(name=name, x=[1.0])))
        assert (code, len(told) < 1100) == ("NOT_FOUND", True)
        refusal(predict(server, request("s" * (4 * MIB), x=[1.0])))
    page = server.get(PAGE).text
    assert len(page) < 100_000
    assert ':tensorflow:serving:request_count{model_name="(unknown)",status="NOT_FOUND"} 10' in page
    forget_peak(server.process.pid)
    assert memory_mib(server.process.pid, PEAK) < 900


@pytest.mark.parametrize("path", [b"/x/\xff\xfe", PREDICT.encode() + b"\xff", b"/", b"/a/b/c"])
def test_a_path_that_is_none_ends_its_call_alone(server: Server, path: bytes) -> None:
    with http2.connected(server.grpc_port) as connection:
        connection.sendall(http2.headers(path, 1))
        assert http2.status(connection, 1) == (12, "Method not found!")
        connection.sendall(http2.headers(PREDICT.encode(), 3) + http2.message(3, request(x=[1.0]).SerializeToString()))
        assert http2.status(connection, 3) == (0, "")


def test_headers_beyond_the_limit_are_refused(server: Server) -> None:
    large = (("x-large", "y" * 100_000),)
    code, _ = refusal(lambda: server.prediction.Predict(request(x=[1.0]), timeout=SECONDS, metadata=large))
    assert code in {"RESOURCE_EXHAUSTED", "UNAVAILABLE"}
    assert server.prediction.Predict(request(x=[1.0]), timeout=SECONDS).outputs["y"].float_val[:] == [2.5]


def test_both_families_are_listened_on(server: Server) -> None:
    for host in ("127.0.0.1", "[::1]"):
        with grpc.insecure_channel(f"{host}:{server.grpc_port}") as channel:
            grpc.channel_ready_future(channel).result(10)


def test_nothing_that_takes_long_keeps_the_quick_ones(server: Server) -> None:
    long = [server.prediction.Predict.future(request("slow", x=[models.MINUTES]), timeout=4) for _ in range(3)]
    large: Any = server.channel.unary_unary(PREDICT)
    parsing = [large.future(request(x=[1.0] * 1_500_000).SerializeToString(), timeout=SECONDS) for _ in range(3)]
    slowest = 0.0
    for _ in range(100):
        start = time.monotonic()
        status(server)
        slowest = max(slowest, time.monotonic() - start)
    for call in (*long, *parsing):
        call.exception()
    assert slowest < 0.3


# ---- reload


@pytest.fixture
def reloading(command: str, tmp_path: Path) -> Iterator[Server]:
    """Yield a server whose models may be reloaded from `models`; other models are beside that folder."""
    for folder in ("models/line", "models/other", "outside"):
        models.bounded(tmp_path / folder / "1")
    (tmp_path / "models" / "link").symlink_to(tmp_path / "outside")
    flags = ("--max_num_load_retries=0", f"--reload_config_root={tmp_path / 'models'}")
    with Server(command, tmp_path / "models" / "line", *flags) as server:
        yield server


def test_reload_is_off_unless_a_flag_allows_it(server: Server, tmp_path: Path) -> None:
    code, told = refusal(lambda: reload(server, listed(config("line", tmp_path))))
    assert (code, "--reload_config_root" in told) == ("PERMISSION_DENIED", True)
    assert server.states() == {1: "AVAILABLE"}


@pytest.mark.lengthy
def test_reload_is_held_to_its_root_and_ends_with_its_caller(reloading: Server, tmp_path: Path) -> None:
    root = tmp_path / "models"
    for outside in (tmp_path / "outside", root / "link", root / ".." / "outside", Path("/")):
        code, told = refusal(functools.partial(reload, reloading, listed(config("x", outside))))
        assert code == "PERMISSION_DENIED"
        assert f"base_path {outside} of model x is not below {root}" in told
    for elsewhere in ("s3://bucket/x", "file:///etc"):
        asking = functools.partial(reload, reloading, listed(config("x", elsewhere)))
        assert refusal(asking)[0] == "PERMISSION_DENIED"
    code, told = refusal(lambda: reload(reloading, listed()))
    assert (code, "would stop all of them" in told) == ("INVALID_ARGUMENT", True)
    assert reloading.states() == {1: "AVAILABLE"}

    # A reload to a path that is not there waits for it: until its deadline, or as long as its caller.
    line, missing = config("line", root / "line"), config("missing", root / "missing")
    asked = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(listed(line, missing), asked.config)
    assert refusal(lambda: reloading.models.HandleReloadConfigRequest(asked, timeout=1))[0] == "DEADLINE_EXCEEDED"
    left = reloading.models.HandleReloadConfigRequest.future(asked, timeout=60)
    stays = reloading.models.HandleReloadConfigRequest.future(asked, timeout=60)
    time.sleep(0.5)
    left.cancel()
    start = time.monotonic()
    reload(reloading, listed(line, config("other", root / "other")))
    assert time.monotonic() - start < 5
    assert reloading.states("other") == {1: "AVAILABLE"}
    # What was waited for is wanted no more.
    stays.result(timeout=10)


# ---- health


@pytest.mark.lengthy
def test_health_of_a_model_is_the_models(command: str, base_path: Path) -> None:
    with Server(command, base_path, "--enable_grpc_healthcheck_service") as server:
        health = health_pb2_grpc.HealthStub(server.channel)

        def check(service: str) -> int:
            asked = health_pb2.HealthCheckRequest(service=service)
            answer: int = health.Check(asked, timeout=SECONDS).status
            return answer

        serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
        assert {check(service) for service in ("", "ModelService", "PredictionService", "line")} == {serving}
        assert refusal(lambda: check("nobody"))[0] == "NOT_FOUND"
        assert set(health.List(health_pb2.HealthListRequest(), timeout=SECONDS).statuses) == {
            "", "ModelService", "PredictionService", "line",
        }  # fmt: skip
        watch = health.Watch(health_pb2.HealthCheckRequest(service="line"), timeout=SECONDS)
        assert next(watch).status == serving
        (base_path / "1").rename(base_path / "gone")
        assert next(watch).status == not_serving
        assert (check("line"), check("")) == (not_serving, serving)
        (base_path / "gone").rename(base_path / "1")
        assert next(watch).status == serving


@pytest.mark.lengthy
def test_health_is_not_serving_while_the_server_drains(command: str, base_path: Path) -> None:
    with Server(command, base_path, "--enable_grpc_healthcheck_service") as server:
        health = health_pb2_grpc.HealthStub(server.channel)
        watches = [health.Watch(health_pb2.HealthCheckRequest(service=name), timeout=SECONDS) for name in ("", "line")]
        assert [next(watch).status for watch in watches] == [health_pb2.HealthCheckResponse.SERVING] * 2
        running = server.prediction.Predict.future(request("slow", x=[models.MINUTES]), timeout=4)
        status(server)
        server.process.terminate()
        assert [next(watch).status for watch in watches] == [health_pb2.HealthCheckResponse.NOT_SERVING] * 2
        running.exception()
        for watch in watches:
            watch.cancel()
        assert server.process.wait(SECONDS) == 0


# ---- whatever comes in


def test_no_message_ends_the_server_or_takes_its_memory(server: Server, request: pytest.FixtureRequest) -> None:
    count = request.config.getoption("--fuzz-examples") * 4
    counts = FUZZ_COUNTS["mutated gRPC messages"] = collections.Counter()
    seed = time.time_ns()
    chance = random.Random(seed)  # noqa: S311 - no secret
    methods: list[Any] = [server.channel.unary_unary(method) for method in (PREDICT, CLASSIFY)]
    sound = [made.SerializeToString() for made in sound_requests()]
    forget_peak(server.process.pid)
    memory = memory_mib(server.process.pid, PEAK)
    for _ in range(count):
        message = mutated(chance, chance.choice(sound))
        try:
            chance.choice(methods)(message, timeout=SECONDS)
            counts["OK"] += 1
        except grpc.RpcError as error:
            counts[error.code().name] += 1
    assert not {"UNAVAILABLE", "UNKNOWN", "DEADLINE_EXCEEDED"} & set(counts), f"seed {seed}: {counts}"
    assert memory_mib(server.process.pid, PEAK) - memory < 200, f"seed {seed}"
    assert server.process.poll() is None
    assert is_answered(server)


def sound_requests() -> list[Any]:
    """Return requests that are answered, of every kind of tensor."""
    content = request(x=[1.0])
    content.inputs["x"].CopyFrom(tensor([2], 1.0).inputs["x"])
    examples = classification_pb2.ClassificationRequest()
    examples.model_spec.name = "line"
    examples.input.example_list.examples.append(models.example(x=1.0))
    empty = predict_pb2.PredictRequest()
    return [request(x=[1.0, 2.0]), request("pair", a=[1.0], s=["text"]), content, examples, empty]


def mutated(chance: random.Random, message: bytes) -> bytes:
    """Return a message with bytes changed, cut, doubled or put in; or bytes of chance alone."""
    made = bytearray(message)
    for _ in range(chance.randrange(1, 3)):
        place = chance.randrange(len(made) + 1)
        match chance.randrange(6):
            case 0 if made:
                made[place % len(made)] = chance.randrange(256)
            case 1:
                del made[place : place + chance.randrange(4)]
            case 2:
                made[place:place] = chance.randbytes(chance.randrange(8))
            case 3:
                made += made[place:]
            case 4:
                # The largest number a varint holds, where a size or length may be.
                made[place:place] = b"\xff" * 9 + b"\x01"
            case _ if chance.random() < 0.1:
                made = bytearray(chance.randbytes(chance.randrange(200)))
    return bytes(made)
