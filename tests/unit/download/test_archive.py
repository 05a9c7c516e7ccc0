"""Archives: what is in them lands inside, within the limits, or nothing of them is used."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from model_download import archive
from model_download.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Pack = Callable[[Path, Sequence[tuple[str, bytes]]], Path]

LIMIT = 1 << 20
LIMITS = archive.Limits("loader.sizeLimit", LIMIT)


def tar_gz(folder: Path, members: Sequence[tuple[str, bytes]], mode: str = "w:gz") -> Path:
    """Write a .tar.gz of files."""
    path = folder / "archive"
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return path


def tar(folder: Path, members: Sequence[tuple[str, bytes]]) -> Path:
    """Write a .tar of files."""
    return tar_gz(folder, members, "w")


def zip_(folder: Path, members: Sequence[tuple[str, bytes]]) -> Path:
    """Write a .zip of files."""
    path = folder / "archive"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            info = zipfile.ZipInfo("x")
            # The constructor tidies names.
            info.filename = name
            info.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(info, content)
    return path


def special(folder: Path, kind: bytes, linkname: str = "") -> Path:
    """Write a .tar.gz of one member that is no file."""
    path = folder / "archive"
    with tarfile.open(path, "w:gz") as file:
        member = tarfile.TarInfo("odd")
        member.type, member.linkname = kind, linkname
        file.addfile(member)
    return path


@pytest.mark.parametrize("pack", [tar_gz, tar, zip_])
def test_files_are_unpacked_with_plain_modes(tmp_path: Path, pack: Pack) -> None:
    path = pack(
        tmp_path, [("./1/saved_model.pb", b"graph"), ("1/variables/variables.index", b"index"), ("1/empty", b"")]
    )
    assert archive.unpack(path, tmp_path / "out", LIMITS) == 10
    assert (tmp_path / "out/1/saved_model.pb").read_bytes() == b"graph"
    assert (tmp_path / "out/1/variables/variables.index").read_bytes() == b"index"
    assert (tmp_path / "out/1/empty").read_bytes() == b""
    assert not (tmp_path / "out/1/saved_model.pb").stat().st_mode & 0o111


@pytest.mark.parametrize("pack", [tar_gz, tar, zip_])
@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../escape",
        "a/../../escape",
        "a/..",
        "..",
        "a\\..\\escape",
        "a\nb",
        "/".join("a" * 17),
        "a" * 256,
    ],
    ids=ascii,
)
def test_name_that_leads_elsewhere_is_refused_by_name(tmp_path: Path, pack: Pack, name: str) -> None:
    path = pack(tmp_path, [("fine", b"1"), (name, b"2")])
    with pytest.raises(ArchiveError, match="in the archive") as refused:
        archive.unpack(path, tmp_path / "out", LIMITS)
    assert ascii(name)[1:40] in str(refused.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "out"]


@pytest.mark.parametrize(
    ("name", "told"),
    [("", "names no file"), (".", "names no file"), ("\0x", "has a character that is not taken")],
    ids=ascii,
)
def test_file_without_a_name_is_refused(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(ArchiveError, match=f"in the archive {told}"):
        archive.unpack(zip_(tmp_path, [(name, b"1")]), tmp_path / "out", LIMITS)


def test_folder_that_was_packed_is_the_folder_it_is_unpacked_to(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"graph")
    with tarfile.open(tmp_path / "archive", "w") as file:
        # As `tar -cf archive -C model .` does.
        file.add(tmp_path / "model", arcname=".")
    archive.unpack(tmp_path / "archive", tmp_path / "out", LIMITS)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["saved_model.pb"]


@pytest.mark.parametrize(
    ("kind", "linkname", "told"),
    [
        (tarfile.SYMTYPE, "/etc/passwd", "a symbolic link"),
        (tarfile.LNKTYPE, "fine", "a hard link"),
        (tarfile.CHRTYPE, "", "a device"),
        (tarfile.BLKTYPE, "", "a device"),
        (tarfile.FIFOTYPE, "", "a FIFO"),
    ],
)
def test_what_is_no_file_and_no_folder_is_refused_by_name(
    tmp_path: Path, kind: bytes, linkname: str, told: str
) -> None:
    with pytest.raises(ArchiveError, match=f"'odd' in the archive is {told}"):
        archive.unpack(special(tmp_path, kind, linkname), tmp_path / "out", LIMITS)


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_what_is_no_file_in_a_zip_is_refused_by_name(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "archive"
    with zipfile.ZipFile(path, "w") as file:
        info = zipfile.ZipInfo("odd")
        info.external_attr = (mode | 0o777) << 16
        file.writestr(info, "/etc/passwd")
    with pytest.raises(ArchiveError, match="'odd' in the archive is"):
        archive.unpack(path, tmp_path / "out", LIMITS)


@pytest.mark.parametrize("pack", [tar_gz, zip_])
@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "names", [("a", "a"), ("a", "./a"), ("a", "a/b"), ("a/b", "a"), ("a/b", "a/./b")], ids="+".join
)
def test_two_members_in_one_place_are_refused(tmp_path: Path, pack: Pack, names: tuple[str, str]) -> None:
    path = pack(tmp_path, [(name, b"x") for name in names])
    with pytest.raises(ArchiveError, match=r"twice|below a file"):
        archive.unpack(path, tmp_path / "out", LIMITS)


@pytest.mark.parametrize("pack", [tar_gz, zip_])
def test_archive_that_explodes_is_stopped_at_the_limit(tmp_path: Path, pack: Pack) -> None:
    path = pack(tmp_path, [(f"zeros-{number}", bytes(400_000)) for number in range(8)])
    with pytest.raises(ArchiveError, match=r"more than the 1.0 MiB that loader.sizeLimit leaves"):
        archive.unpack(path, tmp_path / "out", LIMITS)
    assert sum(path.stat().st_size for path in (tmp_path / "out").iterdir()) <= LIMIT


def test_zip_that_lies_about_a_size_is_stopped(tmp_path: Path) -> None:
    path = zip_(tmp_path, [("zeros", bytes(LIMIT * 4))])
    content = path.read_bytes().replace(struct.pack("<L", LIMIT * 4), struct.pack("<L", 10))
    path.write_bytes(content)
    with pytest.raises(ArchiveError):
        archive.unpack(path, tmp_path / "out", LIMITS)
    assert (tmp_path / "out" / "zeros").stat().st_size <= LIMIT


def test_tar_header_that_asks_for_much_memory_is_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 1 << 32
    (tmp_path / "archive").write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20)))
    with pytest.raises(ArchiveError, match=r"has a header of 4096\.0 MiB"):
        archive.unpack(tmp_path / "archive", tmp_path / "out", LIMITS)


def test_sparse_file_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("GNUSparseFile.0/odd")
    member.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "odd",
        "GNU.sparse.realsize": str(1 << 40),
    }
    sparse_map = b"1\n0\n4\n".ljust(512, b"\0") + b"data"
    member.size = len(sparse_map)
    with tarfile.open(tmp_path / "archive", "w:gz", format=tarfile.PAX_FORMAT) as file:
        file.addfile(member, io.BytesIO(sparse_map))
    with pytest.raises(ArchiveError, match="'odd' in the archive is a sparse file"):
        archive.unpack(tmp_path / "archive", tmp_path / "out", LIMITS)


@pytest.mark.parametrize("pack", [tar_gz, zip_])
def test_more_members_than_the_limit_are_refused(tmp_path: Path, pack: Pack) -> None:
    path = pack(tmp_path, [(f"file-{number}", b"") for number in range(11)])
    with pytest.raises(ArchiveError, match="more than 10 members"):
        archive.unpack(path, tmp_path / "out", archive.Limits("the limit", members=10))


def test_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = zip_(tmp_path, [("secret", b"x")])
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="'secret' in the archive is encrypted"):
        archive.unpack(path, tmp_path / "out", LIMITS)


def test_zip_of_another_method_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as file:
        file.writestr("packed", b"x")
    with pytest.raises(ArchiveError, match="compressed by method 12: use deflate"):
        archive.unpack(path, tmp_path / "out", LIMITS)


def test_name_that_ends_at_a_nul_is_refused(tmp_path: Path) -> None:
    path = zip_(tmp_path, [("a_b", b"x")])
    path.write_bytes(path.read_bytes().replace(b"a_b", b"a\0b"))
    with pytest.raises(ArchiveError, match=r"'a\\x00b' in the archive has a character"):
        archive.unpack(path, tmp_path / "out", LIMITS)


@pytest.mark.parametrize("content", [b"", b"<html>", b"BZh91AY", b"\xfd7zXZ\0"])
def test_other_kinds_of_file_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "archive").write_bytes(content)
    with pytest.raises(ArchiveError, match=r"expected a .tar.gz, a .tar or a .zip"):
        archive.unpack(tmp_path / "archive", tmp_path / "out", LIMITS)


def test_byproducts_of_macos_are_left_out(tmp_path: Path) -> None:
    path = zip_(tmp_path, [("m/saved_model.pb", b"g"), ("__MACOSX/m/._saved_model.pb", b"x"), ("m/.DS_Store", b"x")])
    archive.unpack(path, tmp_path / "out", LIMITS)
    assert [path.relative_to(tmp_path).as_posix() for path in (tmp_path / "out").rglob("*")] == [
        "out/m",
        "out/m/saved_model.pb",
    ]


@pytest.mark.parametrize("pack", [tar_gz, tar, zip_])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=strategies.floats(0, 1), change=strategies.binary(min_size=1, max_size=4))
def test_any_damage_is_a_sentence_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, pack: Pack, where: float, change: bytes
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    path = pack(folder, [("1/saved_model.pb", b"graph" * 30), ("1/variables/variables.index", b"index")])
    content = bytearray(path.read_bytes())
    start = int(where * (len(content) - 1))
    content[start : start + len(change)] = change
    path.write_bytes(content)
    try:
        archive.unpack(path, folder / "out", LIMITS)
    except ArchiveError as error:
        assert "archive" in str(error)
    assert {path.name for path in folder.iterdir()} <= {"archive", "out"}
