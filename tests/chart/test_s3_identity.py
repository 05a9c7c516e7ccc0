"""The pods' own identity for a bucket: who gets the token, for whom it is, and where it may be sent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.rendering import (
    Manifest,
    RefusedError,
    Rendered,
    containers,
    environment,
    name_of,
    pod_spec,
    refusals,
    render,
    render_case,
)

ROLE = "arn:aws:iam::123456789012:role/models"
STS = "https://sts.example.com:9443"
VARIABLES = {
    "AWS_ROLE_ARN": ROLE,
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/s3-token/token",
    "AWS_ENDPOINT_URL_STS": STS,
}
SPEAKING = {"check", "publisher", "loader", "follower"}
TOKEN = {
    "name": "s3-token",
    "projected": {
        "sources": [
            {"serviceAccountToken": {"audience": "store.example.com", "expirationSeconds": 3600, "path": "token"}}
        ]
    },
}


@pytest.fixture(scope="module")
def identity() -> Rendered:
    """Return the chart with models in a bucket that pods speak to with their own identity."""
    return render_case("s3-identity")


def s3(role: str = ROLE, sts: str = "", **values: Any) -> dict[str, Any]:
    """Return values that put models into a bucket and give pods an identity."""
    values = {"bucket": "models", "webIdentity": {"roleArn": role, "stsEndpoint": sts}, **values}
    return {"modelStore": {"type": "s3", "s3": values}}


def having(rendered: Rendered, has: Any) -> set[str]:
    """Return the names of all containers of the release, those of `helm test` included, that have something."""
    return {name for item in rendered.pod_makers() for name, container in containers(item).items() if has(container)}


def has_token(container: Manifest) -> bool:
    """Tell whether a container mounts the token."""
    return "s3-token" in {mount["name"] for mount in container.get("volumeMounts", [])}


def test_only_who_speaks_to_the_bucket_mounts_the_token(identity: Rendered) -> None:
    assert having(identity, has_token) == SPEAKING
    assert {"training", "server", "api"} <= having(identity, lambda _: True)


def test_only_who_speaks_to_the_bucket_knows_the_role(identity: Rendered) -> None:
    assert having(identity, lambda container: "AWS_" in str(container)) == SPEAKING


@pytest.mark.parametrize(
    ("component", "container"),
    [("training", "check"), ("training", "publisher"), ("server", "loader"), ("server", "follower")],
)
def test_role_token_and_where_it_is_exchanged_are_given_as_the_sdks_look_for_them(
    identity: Rendered, component: str, container: str
) -> None:
    given = environment(identity.container(component, container))
    assert {name: value for name, value in given.items() if name.startswith("AWS_")} == VARIABLES


@pytest.mark.parametrize("component", ["training", "server"])
def test_token_is_for_the_audience_alone_and_expires(identity: Rendered, component: str) -> None:
    volumes = pod_spec(identity.workload(component))["volumes"]
    assert [volume for volume in volumes if volume["name"] == "s3-token"] == [TOKEN]


def test_token_is_read_only_where_it_is_mounted(identity: Rendered) -> None:
    mounts = [
        mount
        for item in identity.pod_makers()
        for container in containers(item).values()
        for mount in container.get("volumeMounts", [])
        if mount["name"] == "s3-token"
    ]
    assert {str(mount) for mount in mounts} == {str({"name": "s3-token", "mountPath": "/s3-token", "readOnly": True})}


def test_no_pod_gets_a_token_of_the_kubernetes_api(identity: Rendered) -> None:
    for item in identity.pod_makers():
        assert pod_spec(item)["automountServiceAccountToken"] is False, name_of(item)


def test_audience_is_that_of_aws_unless_it_is_said() -> None:
    for audience in ({}, {"audience": None}):
        rendered = render(s3(webIdentity={"roleArn": ROLE, **audience}))
        (volume,) = (item for item in pod_spec(rendered.workload("training"))["volumes"] if item["name"] == "s3-token")
        (source,) = volume["projected"]["sources"]
        assert source["serviceAccountToken"]["audience"] == "sts.amazonaws.com"


def test_aws_is_found_without_being_named() -> None:
    assert "AWS_ENDPOINT_URL_STS" not in environment(render(s3()).container("server", "loader"))


def test_without_a_role_there_is_no_token() -> None:
    for item in render(s3(role="")).pod_makers():
        assert "s3-token" not in str(item), name_of(item)


@pytest.mark.parametrize("component", ["training", "server"])
def test_policies_let_the_exchange_be_reached(identity: Rendered, component: str) -> None:
    (policy,) = (
        item for item in identity.of_kind("NetworkPolicy") if item["metadata"]["name"].endswith(f"-{component}")
    )
    ports = [rule["ports"] for rule in policy["spec"]["egress"]]
    assert [{"port": 9443, "protocol": "TCP"}] in ports
    assert [{"port": 9000, "protocol": "TCP"}] in ports


def test_one_port_of_bucket_and_exchange_is_one_rule() -> None:
    rendered = render(s3() | {"networkPolicy": {"training": {"policyTypes": ["Egress"]}}})
    (policy,) = (item for item in rendered.of_kind("NetworkPolicy") if item["metadata"]["name"].endswith("-training"))
    ports = [rule["ports"] for rule in policy["spec"]["egress"]]
    assert ports.count([{"port": 443, "protocol": "TCP"}]) == 1


def test_data_in_a_bucket_is_fetched_with_the_identity_by_who_fetches_it_alone() -> None:
    data = {"uri": "s3://datasets/payments.tar.gz", "sha256": "5" * 64}
    rendered = render({"training": {"data": data}, "modelStore": {"s3": {"webIdentity": {"roleArn": ROLE}}}})
    assert having(rendered, has_token) == {"check", "publisher"}
    assert "s3-token" not in str(pod_spec(rendered.workload("server")))


def test_model_of_ones_own_is_fetched_with_the_identity() -> None:
    source = {"uri": "s3://models/churn.tar.gz", "sha256": "5" * 64}
    values = {"training": {"enabled": False}, "model": {"source": source}}
    rendered = render(values | {"modelStore": {"s3": {"webIdentity": {"roleArn": ROLE}}}})
    assert having(rendered, has_token) == {"loader"}


def test_identity_is_no_part_of_what_is_trained() -> None:
    keys = {
        environment(render(values).container("server", "loader"))["MODEL_KEY"] for values in ({}, s3(), s3(f"{ROLE}s"))
    }
    assert len(keys) == 1


def test_authorities_may_be_those_of_the_exchange_alone() -> None:
    values = s3(sts=STS, endpoint="http://minio:9000", caBundle={"configMapName": "authorities"})
    assert environment(render(values).container("server", "loader"))["S3_CA_BUNDLE"] == "/s3-ca-bundle/ca.crt"


@pytest.mark.parametrize("host", ["s3.eu-central-1.amazonaws.com", "s3.cn-north-1.amazonaws.com.cn"])
def test_endpoint_of_aws_goes_with_its_exchange(host: str) -> None:
    assert render(s3(endpoint=f"https://{host}"))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        pytest.param(
            s3(existingSecret="credentials"),
            "modelStore.s3.webIdentity.roleArn is set but modelStore.s3.existingSecret is credentials, whose keys the "
            "client would take instead: leave one of them out",
            id="beside-a-secret",
        ),
        pytest.param(
            s3() | {"serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": ROLE}}},
            "modelStore.s3.webIdentity.roleArn is set but serviceAccount.annotations has eks.amazonaws.com/role-arn, "
            "by which EKS gives the pods an identity as well: leave one of them out",
            id="beside-that-of-eks",
        ),
        pytest.param(
            s3(sts="http://sts:7071"),
            "modelStore.s3.webIdentity.stsEndpoint is http://sts:7071, but the pods' token is sent there, which the "
            "client does by TLS alone: use https://",
            id="exchange-without-tls",
        ),
        pytest.param(
            s3(endpoint="https://minio.example.com:9000"),
            "modelStore.s3.webIdentity.roleArn is set and modelStore.s3.endpoint is https://minio.example.com:9000, "
            "but modelStore.s3.webIdentity.stsEndpoint is empty, so that the pods' token would be sent to AWS: say "
            "where the bucket's owner exchanges it",
            id="token-of-another-vendor-sent-to-aws",
        ),
        pytest.param(
            s3(role="", sts=STS),
            "modelStore.s3.webIdentity.stsEndpoint is set but modelStore.s3.webIdentity.roleArn is empty, so that "
            "nothing is exchanged there: name the role, or leave it out",
            id="exchange-of-nothing",
        ),
        pytest.param(
            s3(webIdentity={"audience": "store.example.com"}),
            "modelStore.s3.webIdentity.audience is store.example.com but modelStore.s3.webIdentity.roleArn is empty, "
            "so that there is no token for it: name the role, or leave it out",
            id="audience-of-nothing",
        ),
        pytest.param(
            {"modelStore": {"s3": {"webIdentity": {"roleArn": ROLE}}}},
            "modelStore.s3.webIdentity.roleArn is set but nothing is in a bucket: set modelStore.type=s3, or a uri "
            "like s3://BUCKET/KEY (training.data.uri, model.source.uri), or leave it out",
            id="identity-for-nothing",
        ),
    ],
)
def test_what_cannot_work_is_refused(values: dict[str, Any], sentence: str) -> None:
    assert refusals(values) == [sentence]


@pytest.mark.parametrize("role", ["models", "role/models", "arn:aws:iam::1:role/a b"])
def test_role_that_is_no_arn_is_refused(role: str) -> None:
    with pytest.raises(RefusedError, match="roleArn"):
        render(s3(role))


@pytest.mark.parametrize("endpoint", ["sts.example.com", "https://me:secret@sts.example.com", "https://sts?a=b"])
def test_exchange_that_is_no_plain_address_is_refused(endpoint: str) -> None:
    with pytest.raises(RefusedError, match="stsEndpoint"):
        render(s3(sts=endpoint))
