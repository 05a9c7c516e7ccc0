"""The workspace: folders of runs, and data that is fetched once and trusted by its digest alone."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from model_publisher import workspace
from model_publisher.errors import PublisherError
from tests import http_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "0123456789ab"


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serve a folder, and count."""

    requests = 0

    def do_GET(self) -> None:
        """Answer as the library does."""
        type(self).requests += 1
        super().do_GET()

    def log_message(self, *_: object) -> None:
        """Tell nothing."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Yield a folder and the URL it is served at."""
    folder = tmp_path / "served"
    folder.mkdir()
    _Handler.requests = 0
    handler = functools.partial(_Handler, directory=str(folder))
    with http_server.serving(handler) as url:
        yield folder, url


def archive(files: dict[str, bytes]) -> bytes:
    """Return a .tar.gz of files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def fetch(served: tuple[Path, str], home: Path, name: str, content: bytes) -> Path:
    """Return the folder of data that is served under a name."""
    folder, url = served
    (folder / name).write_bytes(content)
    return workspace.fetch(home, f"{url}/{name}", hashlib.sha256(content).hexdigest(), timeout_seconds=5)


def test_archive_is_unpacked_and_a_file_keeps_its_name(served: tuple[Path, str], tmp_path: Path) -> None:
    unpacked = fetch(served, tmp_path / "w", "a.tar.gz", archive({"x/train.csv": b"1", "x/test.csv": b"2"}))
    assert (unpacked / "x" / "train.csv").read_bytes() == b"1"
    plain = fetch(served, tmp_path / "w", "payments.csv", b"amount\n1\n")
    assert (plain / "payments.csv").read_bytes() == b"amount\n1\n"


@pytest.mark.parametrize("name", ["data.npz", "data.csv.gz", "data.xlsx"])
def test_file_that_only_looks_like_an_archive_stays_as_it_is(
    served: tuple[Path, str], tmp_path: Path, name: str
) -> None:
    content = archive({"x.npy": b"1"}) if name.endswith(".gz") else b"PK\x03\x04" + bytes(300)
    found = fetch(served, tmp_path / "w", name, content)
    assert [path.name for path in found.iterdir()] == [name]
    assert (found / name).read_bytes() == content


def test_archive_without_an_ending_is_unpacked(served: tuple[Path, str], tmp_path: Path) -> None:
    found = fetch(served, tmp_path / "w", "latest", archive({"x.csv": b"1"}))
    assert [path.name for path in found.iterdir()] == ["x.csv"]


def test_data_is_fetched_once(served: tuple[Path, str], tmp_path: Path) -> None:
    first = fetch(served, tmp_path / "w", "a.csv", b"1")
    assert fetch(served, tmp_path / "w", "a.csv", b"1") == first
    assert _Handler.requests == 1


def test_folder_that_somebody_made_is_not_taken_for_data(served: tuple[Path, str], tmp_path: Path) -> None:
    folder = tmp_path / "w" / "data" / hashlib.sha256(b"1").hexdigest()
    folder.mkdir(parents=True)
    (folder / "half").write_bytes(b"left by an interrupted run")
    inode = folder.stat().st_ino
    assert sorted(path.name for path in fetch(served, tmp_path / "w", "a.csv", b"1").iterdir()) == ["a.csv"]
    # It may be mounted: what is in it changes, not the folder.
    assert folder.stat().st_ino == inode


def test_other_bytes_are_refused_and_nothing_is_left(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    (folder / "a.csv").write_bytes(b"other")
    with pytest.raises(PublisherError, match=r"training\.data\.sha256 says"):
        workspace.fetch(tmp_path / "w", f"{url}/a.csv", "a" * 64, timeout_seconds=5)
    assert not [path for path in (tmp_path / "w").rglob("*") if path.is_file()]


def test_missing_file_is_no_passing_fault(served: tuple[Path, str], tmp_path: Path) -> None:
    with pytest.raises(PublisherError, match="answers 404") as error:
        workspace.fetch(tmp_path / "w", f"{served[1]}/none.csv", "a" * 64, timeout_seconds=5)
    assert error.value.exit_code == 2


def test_server_that_is_not_there_is_a_passing_fault(tmp_path: Path) -> None:
    with pytest.raises(PublisherError, match=r"was not downloaded in 0\.1 s") as error:
        workspace.fetch(tmp_path / "w", "http://127.0.0.1:9/a.csv", "a" * 64, timeout_seconds=0.1)
    assert error.value.exit_code == 4


def test_checkpoints_of_a_published_run_go_and_logs_stay(tmp_path: Path) -> None:
    workspace.make(tmp_path, KEY, "first")
    folder = workspace.run_folder(tmp_path, KEY, "first")
    for name in ("checkpoints", "logs"):
        (folder / name).mkdir()
        (folder / name / "file").write_bytes(b"1")
    workspace.forget_checkpoints(tmp_path, KEY, "first")
    assert [path.name for path in folder.iterdir()] == ["logs"]
    workspace.forget_checkpoints(tmp_path, KEY, "first")


def test_workspace_that_cannot_be_written_is_a_passing_fault(tmp_path: Path) -> None:
    (tmp_path / "runs").write_bytes(b"a file")
    with pytest.raises(PublisherError, match=r"see training\.workspace") as error:
        workspace.make(tmp_path, KEY, "first")
    assert error.value.exit_code == 4
