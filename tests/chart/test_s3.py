"""Models in a bucket: who speaks to it and with what, and that nothing of a common volume is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from model_bucket.settings import Settings
from tests.chart.rendering import (
    RefusedError,
    Rendered,
    at,
    containers,
    environment,
    name_of,
    pod_spec,
    refusals,
    render,
    render_case,
)
from tests.chart.test_environment import loader_config, publisher_config
from tests.chart.test_notes import notes

SETTINGS = Settings(
    "https://minio.example.com:9000",
    "models",
    "teams/growth",
    "eu-central-1",
    path_style=True,
    ca_bundle=Path("/s3-ca-bundle/ca.crt"),
)
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "key-id",
    "AWS_SECRET_ACCESS_KEY": "secret-key",
    "AWS_SESSION_TOKEN": "session-token",
}
# The containers that speak to the bucket; no other one is to know how.
SPEAKING = {"check", "publisher", "loader", "follower"}
SKIPPED = "eks.amazonaws.com/skip-containers"


@pytest.fixture(scope="module")
def bucket() -> Rendered:
    """Return the chart with models in a bucket."""
    return render_case("s3")


def s3(**values: Any) -> dict[str, Any]:
    """Return values that put models into a bucket."""
    return {"modelStore": {"type": "s3", "s3": {"bucket": "models", **values}}}


@pytest.mark.parametrize("name", ["check", "publisher"])
def test_publisher_reads_the_values(bucket: Rendered, name: str) -> None:
    assert publisher_config(bucket, name).s3 == SETTINGS


def test_loader_reads_the_values(bucket: Rendered) -> None:
    config = loader_config(bucket)
    assert (config.s3, config.poll_seconds) == (SETTINGS, 5.0)


def test_follower_reads_the_values() -> None:
    config = loader_config(render(s3() | {"training": {"schedule": {"cron": "@daily"}}}), "follower")
    assert (config.s3.bucket, config.follow, config.poll_seconds) == ("models", True, 5.0)


def test_only_who_speaks_to_the_bucket_has_credentials(bucket: Rendered) -> None:
    seen = set()
    for item in bucket.pod_makers():
        for container in containers(item).values():
            variables = {variable["name"]: variable for variable in container.get("env", [])}
            secrets = {
                name: variable["valueFrom"]["secretKeyRef"]
                for name, variable in variables.items()
                if "secretKeyRef" in variable.get("valueFrom", {})
            }
            is_speaking = container["name"] in SPEAKING
            expected = {name: {"name": "store-credentials", "key": key} for name, key in CREDENTIALS.items()}
            assert secrets == (expected if is_speaking else {}), f"{name_of(item)} {container['name']}"
            assert any(name.startswith("S3_") for name in variables) == is_speaking, container["name"]
            seen.add(container["name"])
    assert {"check", "publisher", "loader", "training", "server", "api"} <= seen


def test_credentials_are_in_no_argument_and_no_other_object(bucket: Rendered) -> None:
    for item in bucket.manifests:
        if item["kind"] not in {"Job", "Deployment"}:
            assert "store-credentials" not in str(item), name_of(item)
        else:
            arguments = [
                container.get("args", []) + container.get("command", []) for container in containers(item).values()
            ]
            assert "store-credentials" not in str(arguments), name_of(item)


def test_no_volume_and_no_common_node(bucket: Rendered) -> None:
    assert not [item for item in bucket.of_kind("PersistentVolumeClaim") if "model-store" in item["metadata"]["name"]]
    for item in bucket.pod_makers():
        spec = pod_spec(item)
        assert "model-store" not in {volume["name"] for volume in spec.get("volumes", [])}, name_of(item)
        mounts = {
            mount["name"] for container in containers(item).values() for mount in container.get("volumeMounts", [])
        }
        assert "model-store" not in mounts, name_of(item)
    server = pod_spec(bucket.workload("server"))
    assert "affinity" not in server
    assert server["topologySpreadConstraints"][0]["whenUnsatisfiable"] == "DoNotSchedule"


def test_authorities_are_mounted_where_they_are_read(bucket: Rendered) -> None:
    for component in ("training", "server"):
        spec = pod_spec(bucket.workload(component))
        (volume,) = (volume for volume in spec["volumes"] if volume["name"] == "s3-ca-bundle")
        assert volume["configMap"] == {
            "name": "store-authorities",
            "items": [{"key": "store.pem", "path": "ca.crt"}],
        }
        mounted = {
            container["name"]
            for container in containers(bucket.workload(component)).values()
            if "s3-ca-bundle" in {mount["name"] for mount in container.get("volumeMounts", [])}
        }
        assert mounted == SPEAKING & set(containers(bucket.workload(component)))


def test_pods_own_identity_is_kept_from_others_code() -> None:
    rendered = render(s3())
    annotations = {
        component: at(rendered.workload(component), "spec.template.metadata").get("annotations", {})
        for component in ("training", "server", "api")
    }
    assert annotations["training"][SKIPPED] == "training,server"
    assert annotations["server"][SKIPPED] == "server"
    assert SKIPPED not in annotations["api"]
    assert "AWS_ACCESS_KEY_ID" not in environment(rendered.container("server", "loader"))
    # The token of an identity is a volume of its own; that of the Kubernetes API stays out.
    assert pod_spec(rendered.workload("training"))["automountServiceAccountToken"] is False


def test_with_a_secret_there_is_no_word_of_an_identity(bucket: Rendered) -> None:
    for item in bucket.pod_makers():
        assert SKIPPED not in str(item), name_of(item)


def test_policies_let_the_endpoint_be_reached(bucket: Rendered) -> None:
    policies = {item["metadata"]["name"]: item for item in bucket.of_kind("NetworkPolicy")}
    for component in ("training", "server"):
        egress = policies[f"mnist-tensorflow-model-{component}"]["spec"]["egress"]
        assert {"ports": [{"port": 9000, "protocol": "TCP"}]} in egress


def test_store_is_no_part_of_what_is_trained() -> None:
    keys = {
        environment(render(values).container("server", "loader"))["MODEL_KEY"]
        for values in ({}, s3(), s3(prefix="elsewhere", endpoint="http://minio:9000"))
    }
    assert len(keys) == 1


def test_objects_are_fetched_with_models_on_a_volume() -> None:
    uri = {"uri": "s3://datasets/payments.tar.gz", "sha256": "5" * 64}
    connection = {"s3": {"endpoint": "https://minio.example.com", "existingSecret": "datasets"}}
    rendered = render({"training": {"data": uri}, "modelStore": connection})
    config = publisher_config(rendered, "check")
    assert (config.data_uri, config.s3.endpoint, config.s3.bucket) == (uri["uri"], "https://minio.example.com", "")
    assert "AWS_ACCESS_KEY_ID" not in {variable["name"] for variable in rendered.container("server", "loader")["env"]}
    fetched = render({"training": {"enabled": False}, "model": {"source": uri}, "modelStore": connection})
    assert loader_config(fetched).source_uri == uri["uri"]
    assert not fetched.of_kind("PersistentVolumeClaim")


def test_notes_name_the_bucket() -> None:
    text = notes(yaml.safe_dump(s3(prefix="teams/growth") | {"training": {"enabled": False}}))
    assert "the newest version is looked for in the bucket s3://models/teams/growth, as\nmnist/<key>/<version>/" in text


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        pytest.param(
            {"modelStore": {"type": "s3"}},
            "modelStore.type is s3 but modelStore.s3.bucket is empty, so nothing says where models are: name the "
            "bucket",
            id="no-bucket",
        ),
        pytest.param(
            {"modelStore": {"s3": {"bucket": "models"}}},
            "modelStore.s3.bucket is set but modelStore.type is pvc, so that models go to the volume: set "
            "modelStore.type=s3, or leave it out",
            id="bucket-beside-a-volume",
        ),
        pytest.param(
            {"modelStore": {"type": "s3", "s3": {"bucket": "models"}, "pvc": {"existingClaim": "models"}}},
            "modelStore.pvc.existingClaim is set but modelStore.type is s3, so that no volume is used: set "
            "modelStore.type=pvc, or leave it out",
            id="claim-beside-a-bucket",
        ),
        pytest.param(
            {"modelStore": {"s3": {"endpoint": "https://minio.example.com"}}},
            "modelStore.s3.endpoint is set but nothing is in a bucket: set modelStore.type=s3, or a uri like "
            "s3://BUCKET/KEY (training.data.uri, model.source.uri), or leave it out",
            id="endpoint-of-nothing",
        ),
        pytest.param(
            s3(endpoint="http://minio:9000", caBundle={"configMapName": "authorities"}),
            "modelStore.s3.caBundle.configMapName is set but modelStore.s3.endpoint is http://minio:9000, where no "
            "certificate is checked: use https://, or leave the bundle out",
            id="authorities-of-plain-http",
        ),
        pytest.param(
            s3(secretKeys={"sessionToken": "token"}),
            "modelStore.s3.secretKeys.sessionToken is set but modelStore.s3.existingSecret is empty, so there is no "
            "Secret it is a key of: name the Secret, or leave it out",
            id="key-of-no-secret",
        ),
        pytest.param(
            s3() | {"training": {"enabled": False}, "model": {"source": {"path": "churn"}}},
            "model.source.path is set but modelStore.type is s3, and it is a folder of a claim: put the model into an "
            "archive (model.source.uri=s3://BUCKET/KEY), or set modelStore.type=pvc",
            id="folder-in-a-bucket",
        ),
    ],
)
def test_what_cannot_work_is_refused(values: dict[str, Any], sentence: str) -> None:
    assert refusals(values) == [sentence]


@pytest.mark.parametrize(
    "endpoint", ["minio.example.com", "https://me:secret@minio.example.com", "https://minio.example.com?a=b"]
)
def test_endpoint_that_is_no_plain_address_is_refused(endpoint: str) -> None:
    with pytest.raises(RefusedError, match="endpoint"):
        render(s3(endpoint=endpoint))


@pytest.mark.parametrize("prefix", ["a/../b", "/a", "a//b", "a b"])
def test_prefix_that_is_no_path_is_refused(prefix: str) -> None:
    with pytest.raises(RefusedError, match="prefix"):
        render(s3(prefix=prefix))
