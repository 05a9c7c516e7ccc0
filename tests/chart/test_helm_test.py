"""`helm test`: a pod that fails unless a real test digit is predicted, here against a small API of our own."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.chart.rendering import at, containers, environment, render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chart.rendering import Rendered

Reply = tuple[int, dict[str, Any]]
SEVEN: Reply = (200, {"prediction": "7", "probability": "0.9987"})
AWAY: Reply = (503, {"error": "no server answers"})


class Api:
    """What the stand-in answers, in order (the last for ever), and the bodies it was sent."""

    def __init__(self, replies: list[Reply]) -> None:
        self.replies = replies
        self.bodies: list[Any] = []

    def answer(self, body: bytes) -> Reply:
        """Return the next reply to a body."""
        self.bodies.append(json.loads(body))
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@contextmanager
def listening(api: Api) -> Iterator[str]:
    """Serve the stand-in on a free port while the block runs; yield its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, body = api.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status if self.path == "/predict" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Keep the test's output to the test's own."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(rendered: Rendered, url: str, give_up_after_seconds: int = 30) -> subprocess.CompletedProcess[str]:
    """Run the test pod's own command against a URL, with less patience where the test waits for its end."""
    (container,) = containers(rendered.one("Pod")).values()
    script = container["args"][0].replace(
        "GIVE_UP_AFTER_SECONDS = 30", f"GIVE_UP_AFTER_SECONDS = {give_up_after_seconds}"
    )
    assert container["command"] == ["python3", "-c"]
    env = {**os.environ, **environment(container), "URL": url}
    return subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False, timeout=60
    )


def test_right_answer_passes(default: Rendered) -> None:
    api = Api([SEVEN])
    with listening(api) as url:
        done = run(default, url)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == SEVEN[1]
    (body,) = api.bodies
    assert len(body["input"]) == 28 * 28
    assert 0 == min(body["input"]) < max(body["input"]) <= 255


def test_wrong_answer_fails(default: Rendered) -> None:
    with listening(Api([(200, {"prediction": "3", "probability": "0.5"})])) as url:
        done = run(default, url)
    assert done.returncode == 1
    assert "expected the prediction 7" in done.stderr


def test_each_data_set_has_its_own_image_and_class() -> None:
    rendered = render({"training": {"dataset": {"name": "fashion-mnist"}}})
    with listening(Api([(200, {"prediction": "Ankle boot", "probability": "0.9"})])) as url:
        assert run(rendered, url).returncode == 0
    with listening(Api([SEVEN])) as url:
        assert "expected the prediction Ankle boot" in run(rendered, url).stderr


def test_any_class_passes_where_the_model_is_not_known() -> None:
    rendered = render({"training": {"enabled": False}})
    with listening(Api([(200, {"prediction": "3", "probability": "0.5"})])) as url:
        assert run(rendered, url).returncode == 0


def test_bad_request_fails_at_once(default: Rendered) -> None:
    api = Api([(422, {"error": "expected 4 numbers"})])
    with listening(api) as url:
        done = run(default, url)
    assert done.returncode == 1
    assert "422" in done.stderr
    assert "expected 4 numbers" in done.stderr
    assert len(api.bodies) == 1


def test_endpoint_that_comes_late_is_waited_for(default: Rendered) -> None:
    with listening(Api([AWAY, SEVEN])) as url:
        assert run(default, url).returncode == 0


def test_server_that_stays_away_fails_with_its_reason(default: Rendered) -> None:
    with listening(Api([AWAY])) as url:
        done = run(default, url, give_up_after_seconds=6)
    assert done.returncode == 1
    assert "503" in done.stderr
    assert "no server answers" in done.stderr


def test_api_that_is_not_there_fails(default: Rendered) -> None:
    with listening(Api([AWAY])) as url:
        pass
    done = run(default, url, give_up_after_seconds=6)
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr


def test_pod_asks_the_api_and_leaves_nothing(rendered: Rendered) -> None:
    pod = rendered.one("Pod")
    annotations = at(pod, "metadata.annotations")
    assert annotations["helm.sh/hook"] == "test"
    assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded,hook-failed"
    assert annotations["helm.sh/hook-output-log-policy"] == "hook-succeeded,hook-failed"
    assert (at(pod, "spec.restartPolicy"), at(pod, "spec.activeDeadlineSeconds")) == ("Never", 60)
    service = next(item for item in rendered.of_kind("Service") if at(item, "metadata.name").endswith("-api"))
    (container,) = containers(pod).values()
    url = f"http://{at(service, 'metadata.name')}:{at(service, 'spec.ports')[0]['port']}"
    assert environment(container)["URL"] == url
    assert container["image"] == rendered.container("api")["image"]
