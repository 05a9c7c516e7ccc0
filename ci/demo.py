"""The demo: one release on a real cluster, one test image through it, the answer printed."""

from __future__ import annotations

import contextlib
import json
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ci import paths, readiness, tools
from ci.cluster.forward import forwarded
from ci.images import datasets
from ci.steps import StepError, run, step
from ci.waiting import first_true

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.cluster import providers

NAMESPACE = "demo"
RELEASE = "mnist"
FULLNAME = "mnist-tensorflow-model"
SIDE_PIXELS = 28
# An IDX image file starts with four big-endian 32-bit numbers, a label file with two (the MNIST page's format).
IMAGE_HEADER_BYTES = 16
LABEL_HEADER_BYTES = 8
TEST_IMAGE_INDEX = 0
START_TIMEOUT_SECONDS = 300
END_TIMEOUT_SECONDS = 60
ROLLOUT_TIMEOUT_SECONDS = 600
POLL_SECONDS = 1.0
REQUEST_TIMEOUT_SECONDS = 30
API_PORT = 8080
SHADES = " .:-=+*#%@"


@dataclass(frozen=True)
class Digit:
    """One test image: 784 pixels 0..255 in row order, and the digit it shows."""

    pixels: bytes
    label: int

    def drawing(self) -> str:
        """Return the image as 28 lines of text, two characters a pixel."""
        rows = (self.pixels[start : start + SIDE_PIXELS] for start in range(0, len(self.pixels), SIDE_PIXELS))
        return "\n".join(
            "".join(SHADES[pixel * (len(SHADES) - 1) // 255] * 2 for pixel in row).rstrip() for row in rows
        )


def run_demo(provider: str, registry: str = "") -> None:
    """Install the chart and print one prediction; raise StepError with the way out where a step fails."""
    start = time.monotonic()
    up = readiness.ready(provider, registry)
    _install(up)
    _follow_training(up)
    _wait_until_served(up)
    digit = test_digit(TEST_IMAGE_INDEX)
    with step("send a test image to /predict"), _api_url(up) as url:
        answer = _predict(url, digit)
    print(digit.drawing())
    print(f"\nThe image shows a {digit.label}. POST /predict answered {json.dumps(answer)}")
    print(f"From start to prediction: {time.monotonic() - start:.0f} s\n")
    _print_next(up)


def test_digit(index: int) -> Digit:
    """Return one image of the MNIST test set."""
    folder = paths.cache() / "datasets"
    datasets.fetch(folder)
    size = SIDE_PIXELS * SIDE_PIXELS
    pixels = (folder / "mnist" / "t10k-images-idx3-ubyte").read_bytes()
    labels = (folder / "mnist" / "t10k-labels-idx1-ubyte").read_bytes()
    offset = IMAGE_HEADER_BYTES + index * size
    return Digit(pixels[offset : offset + size], labels[LABEL_HEADER_BYTES + index])


def _install(up: providers.Cluster) -> None:
    with step(f"install release {RELEASE} in namespace {NAMESPACE}"):
        run(
            [
                tools.helm(),
                "upgrade",
                "--install",
                RELEASE,
                paths.CHART,
                f"--kubeconfig={up.kubeconfig}",
                f"--namespace={NAMESPACE}",
                "--create-namespace",
                f"--values={readiness.values_file()}",
            ]
        )


def _follow_training(up: providers.Cluster) -> None:
    """Show what training tells as it is written, then what its publisher does; fail with the reason when it does."""
    job = _training_job(up)
    with step("training"):
        _kubectl(up, "logs", "--follow", _wait_for_start(up, job, "training"), "--container=training", show=True)
    with step("gates, the server's blessing, publishing"):
        _kubectl(up, "logs", "--follow", _wait_for_start(up, job, "publisher"), "--container=publisher", show=True)
        _wait_for_end(up, job)


def _training_job(up: providers.Cluster) -> str:
    where = (f"--namespace={NAMESPACE}", f"--kubeconfig={up.kubeconfig}")
    name = training_job_of(run([tools.helm(), "get", "manifest", RELEASE, *where]))
    if not name:
        raise StepError(f"release {RELEASE} has no training Job", hint="nox -s down, then nox -s demo")
    return name


def training_job_of(manifest: str) -> str:
    """Return the name of the training Job of the release's manifest, "" where there is none.

    By its kind: the ConfigMap of its files has a name of the same form.
    """
    pattern = rf"^kind: Job\nmetadata:\n  name: \"?({FULLNAME}-training-[0-9a-f]+)\"?$"
    found = re.search(pattern, manifest, re.MULTILINE)
    return found[1] if found else ""


def _wait_for_start(up: providers.Cluster, job: str, container: str) -> str:
    """Return the name of the Job's newest pod once a container of it has a log to show, or never will."""
    reason = "no pod yet"

    def started() -> str | None:
        nonlocal reason
        pods = json.loads(_kubectl(up, "get", "pods", f"--selector=job-name={job}", "--output=json", quiet=True))[
            "items"
        ]
        for pod in sorted(pods, key=lambda item: str(item["metadata"]["creationTimestamp"]), reverse=True):
            if _has_started(pod, container) or pod["status"]["phase"] in {"Succeeded", "Failed"}:
                return str(pod["metadata"]["name"])
            reason = _tell_change(reason, _waiting_reason(pod))
        return None

    _, name = first_true(started, START_TIMEOUT_SECONDS, POLL_SECONDS)
    if name is not None:
        return name
    raise StepError(
        f"training did not start within {START_TIMEOUT_SECONDS} s",
        why=reason,
        hint=f"kubectl --kubeconfig {up.kubeconfig} --namespace {NAMESPACE} describe job {job}",
    )


def _has_started(pod: dict[str, Any], container: str) -> bool:
    status = pod["status"]
    states = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    return any(one["name"] == container and {"running", "terminated"} & set(one["state"]) for one in states)


def _tell_change(before: str, now: str) -> str:
    if now != before:
        print(f"  {now}", flush=True)
    return now


def _waiting_reason(pod: dict[str, Any]) -> str:
    status = pod["status"]
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    states = [one["state"].get("waiting", {}) for one in containers]
    # Those that come later wait for the pod, as is said of them.
    states = [state for state in states if state.get("reason") != "PodInitializing"]
    conditions = [condition.get("message", "") for condition in pod["status"].get("conditions", [])]
    told = [f"{state.get('reason', '')} {state.get('message', '')}".strip() for state in states] + conditions
    return next((text for text in told if text), str(pod["status"]["phase"]))


def _wait_for_end(up: providers.Cluster, job: str) -> None:
    """Return when the Job is complete; raise StepError with the trainer's own reason when it failed."""

    def has_ended() -> bool:
        status = json.loads(_kubectl(up, "get", "job", job, "--output=json", quiet=True))["status"]
        states = {item["type"]: item for item in status.get("conditions", []) if item["status"] == "True"}
        if "Failed" in states:
            raise StepError("training failed", why=states["Failed"].get("message", ""), hint="its log is above")
        return "Complete" in states

    if not first_true(has_ended, END_TIMEOUT_SECONDS, POLL_SECONDS)[0]:
        raise StepError(f"{job} did not end within {END_TIMEOUT_SECONDS} s of its log")


def _wait_until_served(up: providers.Cluster) -> None:
    with step("model verified, loaded, warmed up and served"):
        for name in ("server", "api"):
            _kubectl(
                up,
                "rollout",
                "status",
                f"deployment/{FULLNAME}-{name}",
                f"--timeout={ROLLOUT_TIMEOUT_SECONDS}s",
            )


@contextlib.contextmanager
def _api_url(up: providers.Cluster) -> Iterator[str]:
    """Forward a free local port to the api while the block runs."""
    kubectl = [str(tools.kubectl()), f"--kubeconfig={up.kubeconfig}", f"--namespace={NAMESPACE}"]
    with forwarded(kubectl, f"service/{FULLNAME}-api", API_PORT) as port:
        yield f"http://127.0.0.1:{port}"


def _predict(url: str, digit: Digit) -> dict[str, str]:
    request = urllib.request.Request(  # noqa: S310 - http, from _api_url
        f"{url}/predict",
        data=json.dumps({"input": list(digit.pixels)}).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_SECONDS) as reply:  # noqa: S310 - http, above
            answer: dict[str, str] = json.load(reply)
            return answer
    except urllib.error.HTTPError as error:
        raise StepError(f"/predict answered {error.code}", why=error.read().decode(errors="replace")) from error


def _print_next(up: providers.Cluster) -> None:
    kubectl = f"{tools.kubectl()} --kubeconfig {up.kubeconfig} --namespace {NAMESPACE}"
    print("Try it yourself:")
    print(f"  {kubectl} get all")
    print(f"  {kubectl} port-forward service/{FULLNAME}-api 8080:{API_PORT}")
    print("  curl http://127.0.0.1:8080/v1/model")
    print("Remove all of it: ci/nox -s down")


def _kubectl(up: providers.Cluster, *arguments: str, show: bool = False, quiet: bool = False) -> str:
    words = [str(tools.kubectl()), f"--kubeconfig={up.kubeconfig}", f"--namespace={NAMESPACE}", *arguments]
    return run(words, show=show, quiet=quiet)
