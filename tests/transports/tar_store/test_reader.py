"""Archives as files, compressed, in pipes, and as hostile people make them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from eci_convert.compression.libzstd import zstd
from eci_convert.errors import (
    CorruptStreamError,
    FormatError,
    LimitExceededError,
    LocalError,
    NotFoundError,
    UsageError,
)
from eci_convert.transports.tar_store import reader as archives
from eci_convert.transports.tar_store.reader import TarStore
from tests.support.images import Hard, Link, a_tar

BIG = os.urandom(100_000)
FILES = {"blobs/": None, "blobs/big": BIG, "index.json": b"{}", "blobs/link": Link("big")}
TAR = a_tar(FILES)

WRAPPED: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "gz": gzip.compress,
    "xz": lzma.compress,
    "zst": zstd.compress,
    "bz2": bz2.compress,
}


def opened(tmp_path: Path, content: bytes, environ: dict[str, str] | None = None) -> TarStore:
    path = tmp_path / "archive"
    path.write_bytes(content)
    return TarStore(str(path), environ or {})


def read(archive: TarStore, name: str, skip: int = 0) -> bytes:
    return b"".join(archive.chunks(name, skip))


@contextmanager
def piped(content: bytes) -> Iterator[str]:
    """The path of a pipe that somebody writes *content* into."""
    ours, theirs = os.pipe()

    def write() -> None:
        with os.fdopen(theirs, "wb") as file, suppress(BrokenPipeError):
            file.write(content)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield f"/dev/fd/{ours}"
    finally:
        os.close(ours)
        writer.join()


@pytest.mark.parametrize("kind", WRAPPED)
def test_an_archive_is_read_whatever_it_is_wrapped_in(tmp_path: Path, kind: str) -> None:
    archive = opened(tmp_path, WRAPPED[kind](TAR))

    assert archive.names() == ("blobs/big", "index.json", "blobs/link")
    assert archive.read("index.json") == b"{}"
    assert archive.size("blobs/link") == 100_000
    for skip in (0, 1, 50_000, 99_999, 100_000, 200_000):
        assert read(archive, "blobs/link", skip) == BIG[skip:]
    archive.close()


@pytest.mark.parametrize("kind", ["tar", "gz"])
def test_an_archive_is_read_from_a_pipe(kind: str) -> None:
    with piped(WRAPPED[kind](TAR)) as path:
        archive = TarStore(path, {})

        assert read(archive, "blobs/big") == FILES["blobs/big"]
        assert read(archive, "blobs/big") == FILES["blobs/big"]
        archive.close()


def test_standard_input_is_an_archive_too(tmp_path: Path) -> None:
    program = (
        "from eci_convert.transports.tar_store.reader import TarStore\n"
        "archive = TarStore('-', {})\n"
        "print(len(b''.join(archive.chunks('blobs/big'))), archive.read('index.json'))"
    )
    (tmp_path / "file").write_bytes(TAR)
    (tmp_path / "file.gz").write_bytes(gzip.compress(TAR))

    for stdin in ("file", "file.gz"):
        with (tmp_path / stdin).open("rb") as file:
            said = subprocess.run([sys.executable, "-c", program], stdin=file, capture_output=True, check=True)
        assert said.stdout == b"100000 b'{}'\n"
    said = subprocess.run([sys.executable, "-c", program], input=TAR, capture_output=True, check=True)
    assert said.stdout == b"100000 b'{}'\n"


def test_an_uncompressed_file_is_read_where_it_is(tmp_path: Path) -> None:
    archive = opened(tmp_path, TAR, {"TMPDIR": str(tmp_path / "nowhere")})

    assert read(archive, "blobs/big") == FILES["blobs/big"]


def test_the_content_of_a_huge_member_is_not_read_to_find_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    header = tarfile.TarInfo("huge")
    header.size = 1 << 42
    with path.open("wb") as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.seek(512 + header.size)
        file.write(a_tar({"small": b"small"}))
    archive = TarStore(str(path), {})

    assert archive.size("huge") == 1 << 42
    assert archive.read("small") == b"small"
    assert read(archive, "huge", (1 << 42) - 3) == b"\0\0\0"


def test_a_spool_is_where_tmpdir_says_and_has_no_name(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    archive = opened(tmp_path, gzip.compress(TAR), {"TMPDIR": str(tmp_path / "room")})

    assert archive.read("index.json") == b"{}"
    used = {os.readlink(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd") if _exists(number)}

    assert [path for path in used if path.startswith(str(tmp_path / "room"))]
    assert list((tmp_path / "room").iterdir()) == []
    archive.close()


def _exists(number: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{number}")


def test_no_place_for_a_spool_is_said(tmp_path: Path) -> None:
    archive = opened(tmp_path, gzip.compress(TAR), {"TMPDIR": str(tmp_path / "nowhere")})

    with pytest.raises(LocalError, match="nowhere"):
        archive.read("index.json")


def test_a_spool_has_holes(tmp_path: Path) -> None:
    archive = opened(tmp_path, gzip.compress(a_tar({"zeros": bytes(32 << 20)})), {"TMPDIR": str(tmp_path)})

    archive.size("zeros")

    [spool] = [number for number in os.listdir("/proc/self/fd") if _is_spool(number, tmp_path)]
    assert os.stat(f"/proc/self/fd/{spool}").st_blocks * 512 < 1 << 20
    archive.close()


def _is_spool(number: str, directory: Path) -> bool:
    path = os.readlink(f"/proc/self/fd/{number}") if _exists(number) else ""
    return path.startswith(str(directory)) and path.endswith("(deleted)")


def test_what_expands_beyond_the_room_there_is_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = os.statvfs(tmp_path)
    small = os.statvfs_result((state.f_bsize, 4096, *state[2:4], 1000, *state[5:10], state.f_fsid))
    monkeypatch.setattr(os, "statvfs", lambda _: small)
    archive = opened(tmp_path, gzip.compress(a_tar({"zeros": bytes(32 << 20)})), {"TMPDIR": str(tmp_path)})

    with pytest.raises(LocalError) as caught:
        archive.names()

    assert "TMPDIR" in caught.value.__notes__[0]


def test_names_are_cleaned(tmp_path: Path) -> None:
    archive = opened(tmp_path, a_tar({"./": None, "./a//b/./c": b"1", "/d": b"2"}))

    assert archive.names() == ("a/b/c", "d")


@pytest.mark.parametrize("name", ["../x", "a/../b", "a/..", ".."])
def test_a_member_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FormatError, match="outside the archive"):
        opened(tmp_path, a_tar({name: b"1"})).names()


def test_of_two_members_with_one_name_the_last_counts(tmp_path: Path) -> None:
    archive = opened(tmp_path, a_tar({"a": b"first", "./a": b"last"}))

    assert archive.read("a") == b"last"


@pytest.mark.parametrize(
    ("link", "path"),
    [(Link("../v/layer.tar"), "w/l"), (Link("./../v/./layer.tar"), "w/l"), (Hard("v/layer.tar"), "w/l"),
     (Hard("./v/layer.tar"), "w/l"), (Link("v/layer.tar"), "l")],
)  # fmt: skip
def test_links_are_followed_inside(tmp_path: Path, link: Link | Hard, path: str) -> None:
    archive = opened(tmp_path, a_tar({"v/layer.tar": b"layer", path: link}))

    assert archive.read(path) == b"layer"


@pytest.mark.parametrize("target", ["../../etc/passwd", "/etc/passwd", "../a/../../../../etc/passwd", "/v"])
def test_links_are_not_followed_outside(tmp_path: Path, target: str) -> None:
    archive = opened(tmp_path, a_tar({"v": b"v", "a/link": Link(target)}))

    with pytest.raises(FormatError, match="outside the archive"):
        archive.read("a/link")


@pytest.mark.parametrize("files", [{"a": Link("a")}, {"a": Link("b"), "b": Link("a")}, {"a": Hard("a")}])
def test_links_that_go_round_are_refused(tmp_path: Path, files: dict[str, Link | Hard]) -> None:
    with pytest.raises(FormatError, match="link"):
        opened(tmp_path, a_tar(files)).read("a")


def test_a_link_to_nothing_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing"):
        opened(tmp_path, a_tar({"a": Link("nothing")})).read("a")


def test_devices_and_pipes_are_not_there(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, kind in (("device", tarfile.CHRTYPE), ("pipe", tarfile.FIFOTYPE), ("block", tarfile.BLKTYPE)):
            info = tarfile.TarInfo(name)
            info.type = kind
            file.addfile(info)

    archive = opened(tmp_path, buffer.getvalue())

    assert archive.names() == ()
    with pytest.raises(NotFoundError):
        archive.read("device")


def test_sparse_members_are_expanded(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"")
    os.truncate(tmp_path / "disk", 1 << 20)
    with (tmp_path / "disk").open("r+b") as file:
        os.pwrite(file.fileno(), b"data", 500_000)
    expected = (tmp_path / "disk").read_bytes()
    for form in ("gnu", "posix"):
        command: list[str | Path] = [
            "tar",
            "-C",
            tmp_path,
            f"--format={form}",
            "-Scf",
            tmp_path / f"{form}.tar",
            "disk",
        ]
        subprocess.run(command, check=True)
        archive = TarStore(str(tmp_path / f"{form}.tar"), {"TMPDIR": str(tmp_path)})

        assert read(archive, "disk") == expected
        assert read(archive, "disk", 499_990) == expected[499_990:]


@pytest.mark.parametrize("kind", ["tar", "gz"])
@pytest.mark.parametrize("cut", [1, 100, 511, 600, 2000, 50_000])
def test_a_cut_archive_is_refused(tmp_path: Path, kind: str, cut: int) -> None:
    with pytest.raises(CorruptStreamError, match="archive"):
        opened(tmp_path, WRAPPED[kind](TAR[:cut])).names()


@pytest.mark.parametrize("content", [b"", bytes(512), bytes(10_240)])
def test_an_empty_archive_has_nothing_in_it(tmp_path: Path, content: bytes) -> None:
    archive = opened(tmp_path, content)

    assert archive.names() == ()
    with pytest.raises(NotFoundError):
        archive.read("index.json")
    with pytest.raises(FormatError, match="empty file"):
        archive.check()


@pytest.mark.parametrize("content", [b"not a tar archive at all" * 100, os.urandom(5000), b"{}"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CorruptStreamError, match="not a tar archive"):
        opened(tmp_path, content).names()


@pytest.mark.parametrize("kind", ["gz", "xz", "zst", "bz2"])
def test_a_cut_compressed_file_is_refused(tmp_path: Path, kind: str) -> None:
    whole = WRAPPED[kind](TAR)
    for cut in (10, len(whole) // 2):
        with pytest.raises(CorruptStreamError, match=r"not a tar archive, or corrupt: .*unexpected EOF"):
            opened(tmp_path, whole[:cut]).names()


def test_many_members_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 100)

    with pytest.raises(LimitExceededError, match="more than 100 members"):
        opened(tmp_path, a_tar({f"file-{number}": b"" for number in range(101)})).names()


def test_a_long_name_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(LimitExceededError, match="2000 characters long"):
        opened(tmp_path, a_tar({"x" * 2000: b""})).names()


def test_a_large_document_is_too_large(tmp_path: Path) -> None:
    archive = opened(tmp_path, a_tar({"index.json": bytes((4 << 20) + 1)}))

    with pytest.raises(LimitExceededError, match=r"'index.json' is 4194305 bytes"):
        archive.read("index.json")


@pytest.mark.timeout(20)
def test_what_follows_the_end_is_not_read_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(TAR)
    os.truncate(path, 1 << 40)

    assert TarStore(str(path), {}).names() == ("blobs/big", "index.json", "blobs/link")


@pytest.mark.timeout(20)
def test_what_follows_the_end_in_a_pipe_is_not_read_for_ever() -> None:
    ours, theirs = os.pipe()
    zeros = bytes(1 << 20)

    def write() -> None:
        with os.fdopen(theirs, "wb", buffering=0) as file, suppress(BrokenPipeError):
            file.write(TAR)
            while True:
                file.write(zeros)

    writer = threading.Thread(target=write)
    writer.start()
    archive = TarStore(f"/dev/fd/{ours}", {})
    names = archive.names()
    archive.close()
    os.close(ours)
    writer.join()

    assert names == ("blobs/big", "index.json", "blobs/link")


def test_padding_behind_the_end_is_fine(tmp_path: Path) -> None:
    assert opened(tmp_path, gzip.compress(TAR + bytes(10_240))).names()
    assert opened(tmp_path, TAR + os.urandom(1000)).names()


def test_a_directory_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a directory, not an archive"):
        TarStore(str(tmp_path), {}).names()


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        TarStore(str(tmp_path / "nothing"), {}).names()


def test_several_threads_read_one_index(tmp_path: Path) -> None:
    archive = opened(tmp_path, gzip.compress(TAR))

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: read(archive, "blobs/big"), range(16))) == {FILES["blobs/big"]}
    archive.close()


def test_a_file_that_shrinks_is_said(tmp_path: Path) -> None:
    archive = opened(tmp_path, TAR)
    archive.names()
    os.truncate(tmp_path / "archive", 5000)

    with pytest.raises(LocalError, match="truncated"):
        read(archive, "blobs/big")
