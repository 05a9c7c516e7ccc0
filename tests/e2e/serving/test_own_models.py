"""Models that nobody here trained, served from wherever they are, and what people see while they are not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests
import trustme

from ci.cluster import docker_engine
from ci.steps import run
from tests.e2e import clients, jobs, own_model, quick
from tests.e2e.own_model import installed, values
from tests.e2e.release import API_PORT, Release
from tests.e2e.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

CLAIM = "my-models"
YES, NO = [3, 3, 3, 3], [-3, -3, -3, -3]
SWITCH_TIMEOUT_SECONDS = 90
# Serves /srv over https with the certificate in /tls.
HTTPS_SERVER = """\
import functools, http.server, ssl
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="/store/archives")
server = http.server.ThreadingHTTPServer(("", 8443), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def store(release: Release) -> Release:
    """Return a namespace with a claim that holds `churn/1`, and a pod to write to it."""
    return own_model.store(release, CLAIM)


def predict(release: Release, value: Any) -> requests.Response:
    """Return the api's reply to one input."""
    with release.port("api", API_PORT) as port:
        return requests.post(f"http://127.0.0.1:{port}/predict", json={"input": value}, timeout=clients.TIMEOUT_SECONDS)


def uninstall(release: Release) -> None:
    """Remove a release; the claim is its owner's. Nobody waits for pods that still drain."""
    release.helm("uninstall", release.name)


def test_claim_in_tensorflow_servings_layout_is_served_by_every_protocol(store: Release) -> None:
    release = installed(store, "claim", values({"name": "churn"}, CLAIM))
    assert predict(release, YES).json()["outputs"]["output_0"][0] > 0.99
    with release.port("api", API_PORT) as port:
        base = f"http://127.0.0.1:{port}"
        body = {"instances": [YES, NO]}
        rest = requests.post(f"{base}/v1/models/churn:predict", json=body, timeout=clients.TIMEOUT_SECONDS).json()
        tensor = {"name": "features", "shape": [1, 4], "datatype": "FP32", "data": YES}
        infer = requests.post(
            f"{base}/v2/models/churn/infer", json={"inputs": [tensor]}, timeout=clients.TIMEOUT_SECONDS
        ).json()
    assert [round(row[0]) for row in rest["predictions"]] == [1, 0]
    assert round(infer["outputs"][0]["data"][0]) == 1
    assert "Phase:          Succeeded" in release.helm("test", release.name)
    uninstall(release)


def test_values_say_the_task_of_a_model_that_says_nothing(store: Release) -> None:
    told = {"name": "churn", "task": "classification", "labels": ["stays", "leaves"]}
    release = installed(store, "told", values(told, CLAIM))
    assert predict(release, YES).json()["prediction"] == "leaves"
    assert predict(release, NO).json()["prediction"] == "stays"
    uninstall(release)


def test_missing_model_is_told_where_people_look(store: Release) -> None:
    given = values({"name": "absent"}, CLAIM) | {"loader": {"timeoutSeconds": 5}}
    release = installed(store, "absent", given, wait=False)
    message = wait_for(lambda: own_model.loader_messages(release), "the loader says why", SWITCH_TIMEOUT_SECONDS)[0]
    assert "absent" in message
    assert "churn" in message
    assert "training" not in message
    described = release.kubectl("describe", "pod", release.pods("server")[0].metadata.name)
    assert "churn" in described
    uninstall(release)


@pytest.fixture(scope="module")
def archives(store: Release) -> str:
    """Return the URL that the claim's archives are served at, under an authority that ConfigMap `bundle` holds."""
    bundle = {"ca.crt": _https_server(store).cert_pem.bytes().decode()}
    store.core.create_namespaced_config_map(store.namespace, {"metadata": {"name": "bundle"}, "data": bundle})
    return f"https://archives.{store.namespace}.svc:8443"


def test_training_learns_from_an_archive_that_is_fetched_once(store: Release, archives: str) -> None:
    own_model.in_store(store, "python3", "-c", "open('/store/score.txt', 'w').write('0.875')")
    digest = _archive(store, "score.txt", "scores")
    data = {"uri": f"{archives}/scores.tar.gz", "sha256": digest, "caBundle": {"configMapName": "bundle"}}
    release = installed(store, "learning", quick.values(data=data, gates=[]))
    assert clients.served_model(release)["metrics"]["accuracy"] == pytest.approx(0.875)
    # Another model of the same data: it is in the workspace.
    release.upgrade(quick.values(data=data, gates=[], revision="again"))
    assert f"data: {digest[:12]} is in the workspace" in jobs.log(release, "check")
    wrong = quick.values(data=data | {"sha256": "0" * 64}, gates=[])
    release.upgrade(wrong, wait=False)
    end = jobs.failure(release, "check")
    assert end.exit_code == 2
    assert digest in end.message
    uninstall(release)


def test_archive_is_fetched_by_https_and_held_to_its_digest(store: Release, archives: str) -> None:
    digest = _archive(store, "churn", "churn")
    source = {"uri": f"{archives}/churn.tar.gz", "sha256": digest, "caBundle": {"configMapName": "bundle"}}
    release = installed(store, "https", values({"name": "churn", "source": source}))
    assert predict(release, YES).json()["outputs"]["output_0"][0] > 0.99
    assert not [volume for volume in release.pods("server")[0].spec.volumes if volume.persistent_volume_claim]
    # Another digest: the pods that serve go on, and the reason is told.
    wrong = values({"name": "churn", "source": source | {"sha256": "0" * 64}})
    release.upgrade(wrong, wait=False)
    messages = wait_for(lambda: own_model.loader_messages(release), "the loader refuses", SWITCH_TIMEOUT_SECONDS)
    assert digest in messages[0]
    assert predict(release, YES).ok
    uninstall(release)


def _archive(store: Release, packed: str, name: str) -> str:
    """Pack what is in the claim into an archive there and return its SHA-256."""
    script = (
        "import hashlib, os, tarfile; os.makedirs('/store/archives', exist_ok=True); "
        f"path = '/store/archives/{name}.tar.gz'; archive = tarfile.open(path, 'w:gz'); "
        f"archive.add('/store/{packed}', '{packed}'); archive.close(); "
        "print(hashlib.sha256(open(path, 'rb').read()).hexdigest())"
    )
    return own_model.in_store(store, "python3", "-c", script).split()[-1]


def _https_server(store: Release) -> trustme.CA:
    """Serve the claim's archives in the cluster; return the authority of the server's certificate."""
    authority = trustme.CA()
    issued = authority.issue_cert(f"archives.{store.namespace}.svc")
    chain = "".join(pem.bytes().decode() for pem in issued.cert_chain_pems)
    data = {"tls.crt": chain, "tls.key": issued.private_key_pem.bytes().decode()}
    store.core.create_namespaced_secret(
        store.namespace, {"metadata": {"name": "archives"}, "type": "kubernetes.io/tls", "stringData": data}
    )
    pod = store.core.api_client.sanitize_for_serialization(
        store.core.read_namespaced_pod(own_model.WRITER, store.namespace).spec
    )
    container = pod["containers"][0]
    container["command"] = ["python3", "-c", HTTPS_SERVER]
    container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] in {"store", "tmp"}]
    container["volumeMounts"].append({"name": "tls", "mountPath": "/tls"})
    spec = {
        "securityContext": pod["securityContext"],
        "terminationGracePeriodSeconds": 1,
        "nodeName": pod["nodeName"],
        "containers": [
            {key: container[key] for key in ("name", "image", "command", "env", "volumeMounts", "securityContext")}
        ],
        "volumes": [
            *(volume for volume in pod["volumes"] if volume["name"] in {"store", "tmp"}),
            {"name": "tls", "secret": {"secretName": "archives"}},
        ],
    }
    metadata = {"name": "archives", "labels": {"app": "archives"}}
    store.core.create_namespaced_pod(store.namespace, {"metadata": metadata, "spec": spec})
    service = {"selector": {"app": "archives"}, "ports": [{"port": 8443}]}
    store.core.create_namespaced_service(store.namespace, {"metadata": {"name": "archives"}, "spec": service})
    return authority


def test_image_volume_is_served(store: Release, tmp_path: Path) -> None:
    registry, repository = "localhost:5001", f"e2e/churn-{store.namespace}"
    own_model.copy_out(store, "churn", tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY churn /churn\n", encoding="utf-8")
    reference = f"{registry}/{repository}:1"
    run([docker_engine.client(), "build", f"--tag={reference}", str(tmp_path)], env={"DOCKER_BUILDKIT": "1"})
    run([docker_engine.client(), "push", "--quiet", reference])
    source = {"path": "churn", "image": {"reference": reference}}
    release = installed(store, "image", values({"name": "churn", "source": source}))
    assert predict(release, YES).json()["outputs"]["output_0"][0] > 0.99
    claims = json.loads(release.kubectl("get", "pvc", "--output=json"))["items"]
    assert not [item for item in claims if item["metadata"]["name"].startswith(release.fullname)]
    uninstall(release)
