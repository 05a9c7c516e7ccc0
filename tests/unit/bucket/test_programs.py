"""Publisher and loader over a bucket, as their containers run: their environment, exit codes and reasons."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from model_bucket.connection import Connection
from model_bucket.settings import Settings
from model_loader import __main__ as loader
from model_loader import config as loader_config
from model_loader import search
from model_loader.follow import Follower
from model_loader.handover import Target
from model_loader.loading import Loading
from model_loader.reason import Reason
from model_loader.server_status import ServerStatus
from model_publisher import __main__ as publisher
from model_publisher import config as publisher_config
from model_publisher import workspace
from model_store.store import Wanted
from tests.s3_server import BUCKET, SECRET_KEY, running
from tests.unit.bucket.conftest import KEY
from tests.unit.bucket.test_store import flip
from tests.unit.loader import conftest as models

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.bucket.conftest import Place
    from tests.unit.bucket.proxy import Faults
    from tests.unit.loader.conftest import MakeModel


class Pod:
    """The folders and the environment of a training pod and a server's pod."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, make: MakeModel) -> None:
        self.root = root
        self._monkeypatch = monkeypatch
        self._make = make
        self._runs = 0
        for name in ("workspace", "candidate", "models"):
            (root / name).mkdir(parents=True)
        (root / "log").touch()
        self.set(
            MODEL_NAME="mnist",
            MODEL_KEY=KEY,
            S3_BUCKET=BUCKET,
            MARKER=root / "published",
            WORKSPACE=root / "workspace",
            CANDIDATE=root / "candidate",
            BLESSING="false",
            GATES="[]",
            TARGET=root / "models",
            TIMEOUT_SECONDS="20",
            POLL_SECONDS="0.1",
            STORE_PATIENCE_SECONDS="1",
            TERMINATION_LOG=root / "log",
        )

    def set(self, **variables: object) -> None:
        """Set variables of the environment."""
        for name, value in variables.items():
            self._monkeypatch.setenv(name, str(value))

    def at(self, place: Place, endpoint: str = "") -> Pod:
        """Let the store be there."""
        self.set(S3_ENDPOINT=endpoint or place.server.endpoint, S3_PREFIX=place.prefix)
        return self

    def reason(self) -> str:
        """Return what Kubernetes shows."""
        return (self.root / "log").read_text(encoding="utf-8")

    def check(self) -> int:
        """Run the check."""
        (self.root / "published").unlink(missing_ok=True)
        return publisher.main(["check"])

    def publish(self, weights: bytes = b"") -> int:
        """Leave a model as training does, and run the publisher."""
        self._runs += 1
        output = self.root / f"output-{self._runs}"
        self._make(output / "model", weights=weights)
        self._monkeypatch.setenv("MODEL_DIR", str(output / "model"))
        self._monkeypatch.setenv("RESULT_FILE", str(output / "result.json"))
        (output / "result.json").write_text(json.dumps({"metrics": {"accuracy": 0.9}}), encoding="utf-8")
        return publisher.main(["publish"])

    def load(self) -> int:
        """Run the loader."""
        return loader.main([])

    def handed_over(self) -> list[str]:
        """Return the versions the server sees."""
        return sorted(path.name for path in (self.root / "models" / "mnist").glob("[0-9]*"))


make_model = models.make_model


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_model: MakeModel) -> Pod:
    """Return pods that were just started."""
    return Pod(tmp_path / "pod", monkeypatch, make_model)


def test_trained_model_comes_to_the_server(pod: Pod, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    pod.at(place)
    assert [pod.check(), pod.publish(), pod.load()] == [0, 0, 0]
    assert pod.handed_over() == ["1"]
    assert pod.check() == 0
    assert (pod.root / "published").exists()
    shown = capsys.readouterr().out
    assert f"already published: mnist/{KEY}/1" in shown
    assert "is verified" in shown
    assert SECRET_KEY not in shown


def test_flipped_byte_is_refused_by_name(pod: Pod, place: Place) -> None:
    pod.at(place)
    pod.check()
    pod.publish()
    flip(place.folder / "mnist" / KEY / "1" / "variables" / "variables.index")
    assert pod.load() == 2
    assert "variables/variables.index has SHA-256" in pod.reason()
    assert pod.handed_over() == []


def test_endpoint_without_conditions_is_bad_input(pod: Pod, place: Place, proxied: str, faults: Faults) -> None:
    faults.unconditional = Connection(Settings(place.server.endpoint)).open(BUCKET)
    assert pod.at(place, proxied).check() == 2
    assert "does not heed If-None-Match" in pod.reason()


@pytest.mark.parametrize(("status", "told"), [(507, "507"), (403, "403"), (503, "503")])
def test_bucket_that_cannot_be_written_is_a_fault_that_may_pass(
    pod: Pod, place: Place, proxied: str, faults: Faults, status: int, told: str
) -> None:
    faults.status = status
    assert pod.at(place, proxied).check() == 4
    assert told in pod.reason()
    assert place.prefix in pod.reason()


def test_loader_waits_for_an_endpoint_that_is_down(pod: Pod, place: Place, tmp_path: Path) -> None:
    with running(tmp_path / "s3") as server:
        pod.at(place).set(S3_ENDPOINT=server.endpoint)
        assert [pod.check(), pod.publish()] == [0, 0]
        server.kill()
        starting = threading.Timer(1.0, server.start)
        starting.start()
        assert pod.load() == 0
        starting.join()
    assert pod.handed_over() == ["1"]


def test_loader_says_that_an_endpoint_is_down(pod: Pod, place: Place, tmp_path: Path) -> None:
    with running(tmp_path / "s3") as server:
        pod.at(place).set(S3_ENDPOINT=server.endpoint, TIMEOUT_SECONDS="0")
        server.kill()
        assert pod.load() == 1
    assert "Connection refused" in pod.reason()


def test_follower_hands_over_each_newer_version(pod: Pod, place: Place) -> None:
    pod.at(place)
    pod.check()
    pod.set(REVISION="night-1")
    pod.publish()
    options = loader_config.parse([])
    target = Target(options.target, "mnist")
    loading = Loading(options, target, Reason(Path("/dev/null")))
    place_of_models = search.search(options)
    follower = Follower(
        target,
        candidates=lambda: place_of_models.candidates(Wanted("mnist", KEY)),
        admit=loading.admit,
        status=lambda: ServerStatus({}, is_gone=False),
        clock=lambda: 0.0,
        load_timeout_seconds=60,
    )
    follower.step()
    assert pod.handed_over() == ["1"]
    pod.set(REVISION="night-2")
    pod.publish(b"other")
    found = next(place_of_models.candidates(Wanted("mnist", KEY)))
    assert (found.version, place_of_models.is_settled(found)) == (2, True)
    loading.admit(found)
    assert pod.handed_over() == ["1", "2"]


def test_data_in_a_bucket_is_fetched_by_its_digest(pod: Pod, place: Place) -> None:
    rows = b"amount,fraud\n1,0\n"
    place.folder.mkdir(parents=True)
    (place.folder / "rows.csv").write_bytes(rows)
    digest = hashlib.sha256(rows).hexdigest()
    pod.at(place).set(DATA_URI=f"s3://{BUCKET}/{place.prefix}/rows.csv", DATA_SHA256=digest)
    assert pod.check() == 0
    assert (pod.root / "workspace" / "data" / digest / "rows.csv").read_bytes() == rows
    pod.set(DATA_SHA256="0" * 64)
    assert pod.check() == 2
    assert f"s3://{BUCKET}/{place.prefix}/rows.csv has the SHA-256 {digest}" in pod.reason()
    assert "X-Amz-Signature" not in pod.reason()
    assert workspace.KEYS.sha256 in pod.reason()


def test_model_in_an_archive_in_a_bucket_is_served(
    pod: Pod,
    place: Place,
    make_model: MakeModel,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    make_model(tmp_path / "packed" / "1")
    place.folder.mkdir(parents=True)
    packed = shutil.make_archive(str(place.folder / "model"), "gztar", tmp_path / "packed")
    digest = hashlib.sha256(Path(packed).read_bytes()).hexdigest()
    pod.at(place).set(SOURCE_URI=f"s3://{BUCKET}/{place.prefix}/model.tar.gz", SOURCE_SHA256=digest)
    for name in ("MODEL_KEY", "S3_BUCKET"):
        monkeypatch.delenv(name)
    assert pod.load() == 0
    assert pod.handed_over() == ["1"]


@pytest.mark.parametrize("program", [publisher.main, loader.main])
def test_password_in_an_endpoint_is_refused_and_not_repeated(
    pod: Pod, program: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    pod.set(S3_ENDPOINT="https://me:my-password@s3.example.com")
    assert program(["check"] if program is publisher.main else []) == 2
    told = "".join(capsys.readouterr())
    assert "expected an address like https://s3.example.com, without credentials" in told
    assert "my-password" not in told


def test_a_trained_model_is_worth_more_patience_than_none(
    pod: Pod, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod.at(place)
    monkeypatch.delenv("STORE_PATIENCE_SECONDS")
    patience = [publisher_config.parse([command]).store_patience_seconds for command in ("check", "publish")]
    assert patience == [30, 300]
