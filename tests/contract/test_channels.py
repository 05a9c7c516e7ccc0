"""TLS, socket, health, reflection, Keras 3, LiteRT, sessions (docs/serving-contract.md, sections 1, 3, 4 and 6)."""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

from tests.contract import models
from tests.contract.conftest import Server, run
from tests.contract.test_predict import request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.lengthy


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return a certificate authority."""
    return trustme.CA()


@pytest.fixture(scope="module")
def socket_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of the server's UNIX socket."""
    return tmp_path_factory.mktemp("socket") / "grpc.sock"


@pytest.fixture(scope="module")
def server(
    command: str, authority: trustme.CA, socket_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Yield a server that wants client certificates, listens on a UNIX socket, too, and answers health checks."""
    folder = tmp_path_factory.mktemp("channels")
    models.line(folder / "line" / "1", 0.5)
    issued = authority.issue_cert("localhost")
    key, certificate = issued.private_key_pem.bytes().decode(), issued.cert_chain_pems[0].bytes().decode()
    (folder / "ssl.txt").write_text(
        f"server_key: {_quoted(key)}\nserver_cert: {_quoted(certificate)}\n"
        f"custom_ca: {_quoted(authority.cert_pem.bytes().decode())}\nclient_verify: true\n"
    )
    (folder / "session.txt").write_text("intra_op_parallelism_threads: 7 log_device_placement: false")
    flags = (
        f"--ssl_config_file={folder / 'ssl.txt'}",
        f"--grpc_socket_path={socket_path}",
        "--enable_grpc_healthcheck_service",
        f"--tensorflow_session_config_file={folder / 'session.txt'}",
        "--grpc_channel_arguments=grpc.max_connection_age_ms=3600000,grpc.primary_user_agent=x",
        "--enable_serialization_as_tensor_content",
        "--enable_signature_method_name_check",
    )
    with Server(command, folder / "line", *flags) as server:
        yield server


def _quoted(text: str) -> str:
    return '"' + text.replace("\n", "\\n") + '"'


def _stub(server: Server, authority: trustme.CA, *, with_certificate: bool, target: str = "") -> grpc.Channel:
    client = authority.issue_cert("client@example.org")
    credentials = grpc.ssl_channel_credentials(
        authority.cert_pem.bytes(),
        client.private_key_pem.bytes() if with_certificate else None,
        client.cert_chain_pems[0].bytes() if with_certificate else None,
    )
    options = [("grpc.ssl_target_name_override", "localhost")]
    return grpc.secure_channel(target or f"localhost:{server.grpc_port}", credentials, options=options)


def test_client_with_a_certificate_is_answered(server: Server, authority: trustme.CA) -> None:
    with _stub(server, authority, with_certificate=True) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        tensor = stub.Predict(request(x=[1.0]), timeout=10).outputs["y"]
    assert tensor.tensor_content == b"\x00\x00\x20\x40"


@pytest.mark.parametrize("is_plain", [True, False], ids=["plain", "without-certificate"])
def test_client_without_a_certificate_is_not(server: Server, authority: trustme.CA, is_plain: bool) -> None:  # noqa: FBT001
    plain = grpc.insecure_channel(f"localhost:{server.grpc_port}")
    with plain if is_plain else _stub(server, authority, with_certificate=False) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            stub.Predict(request(x=[1.0]), timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_unix_socket_has_the_same_credentials(server: Server, authority: trustme.CA, socket_path: Path) -> None:
    target = f"unix:{urllib.parse.quote(str(socket_path))}"
    with _stub(server, authority, with_certificate=True, target=target) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert stub.Predict(request(x=[1.0]), timeout=10).model_spec.version.value == 1


@pytest.mark.parametrize("service", ["", "ModelService", "PredictionService"])
def test_health_is_serving(server: Server, authority: trustme.CA, service: str) -> None:
    with _stub(server, authority, with_certificate=True) as channel:
        reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
    assert reply.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_tells_the_services_and_their_messages(server: Server, authority: trustme.CA) -> None:
    with _stub(server, authority, with_certificate=True) as channel:
        told = ProtoReflectionDescriptorDatabase(channel)
        assert {
            "tensorflow.serving.PredictionService",
            "tensorflow.serving.ModelService",
            "grpc.health.v1.Health",
        } <= set(told.get_services())
        file = told.FindFileContainingSymbol("tensorflow.serving.PredictionService")
    assert "Predict" in {method.name for service in file.service for method in service.method}


def test_rest_stays_plain(server: Server) -> None:
    assert server.post({"instances": [1]}).json() == {"predictions": [2.5]}


def test_keras_export_is_served(command: str, tmp_path: Path) -> None:
    models.keras(tmp_path / "1")
    with Server(command, tmp_path, name="keras") as server:
        (row,) = server.post({"instances": [[1, 2, 3, 4]]}).json()["predictions"]
        assert sum(row) == pytest.approx(1.0)


def test_litert_model_is_preferred_where_there_is_one(command: str, tmp_path: Path) -> None:
    models.lite(tmp_path / "1")
    with Server(command, tmp_path, "--prefer_tflite_model", name="lite") as server:
        assert server.post({"instances": [1.0, 2.0]}).json() == {"predictions": [3.0, 6.0]}
        assert server.post({"instances": [1.0]}).json() == {"predictions": [3.0]}


def lite_definition() -> Any:
    """Return a SignatureDef whose aliases and tensors differ, the tensors named as a graph names them."""
    definition = meta_graph_pb2.SignatureDef(method_name="tensorflow/serving/predict")
    definition.inputs["x"].name, definition.outputs["y"].name = "tflite_input:0", "tflite_output:0"
    return definition


def test_litert_model_is_called_by_the_names_of_its_signature_def(command: str, tmp_path: Path) -> None:
    models.lite(tmp_path / "1", lite_definition(), keep_signatures=False)
    with Server(command, tmp_path, "--prefer_tflite_model", name="lite") as server:
        assert server.post({"inputs": {"x": [1.0, 2.0]}}).json() == {"outputs": [3.0, 6.0]}
        reply = server.prediction.Predict(request(name="lite", x=[1.0]), timeout=10)
        assert reply.outputs["y"].float_val[:] == [3.0]
        assert "Missing named input: x" in server.post({"inputs": {"tflite_input": [1.0]}}).json()["error"]


def test_litert_model_without_signatures_is_called_by_its_tensors(command: str, tmp_path: Path) -> None:
    models.lite(tmp_path / "1", keep_signatures=False)
    with Server(command, tmp_path, "--prefer_tflite_model", name="lite") as server:
        assert server.post({"instances": [{"tflite_input": 1.0}]}).json() == {"predictions": [3.0]}
        reply = server.prediction.Predict(request(name="lite", tflite_input=[1.0]), timeout=10)
        assert reply.outputs["tflite_output"].float_val[:] == [3.0]


def test_litert_signature_of_a_missing_tensor_fails_the_load(command: str, tmp_path: Path) -> None:
    definition = lite_definition()
    definition.inputs["x"].name = "elsewhere"
    models.lite(tmp_path / "1", definition)
    flags = ("--prefer_tflite_model", f"--model_base_path={tmp_path}", "--max_num_load_retries=0")
    code, _, told = run(command, *flags)
    assert code == 255
    assert "SignatureDef names the tensor elsewhere, expected one of: tflite_input" in told
