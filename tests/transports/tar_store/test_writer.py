from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from eci_convert.errors import DigestMismatchError, LocalError, SizeMismatchError
from eci_convert.oci.digest import Digest
from eci_convert.tar import entries
from eci_convert.transports.tar_store import writer as outputs
from eci_convert.transports.tar_store.writer import FileOutput, StreamOutput, tar_output
from eci_convert.transports.verified_input import VerifiedInput
from tests.support.images import files_in
from tests.support.stdlib_tarfile import tarfile

BLOBS = {f"{Digest.of(blob).hex}": blob for blob in (os.urandom(3000), b"", b"x" * 512, os.urandom(200_000))}


def named(digest: Digest | None) -> str:
    return digest.hex if digest else ""


def given(blob: bytes, know: str) -> VerifiedInput:
    pieces = iter([blob[:100], b"", blob[100:]])
    digest = Digest.of(blob) if know in ("digest", "both") else None
    return VerifiedInput(pieces, digest, len(blob) if know in ("size", "both") else None)


def members(content: bytes) -> dict[str, bytes]:
    found = {}
    for entry in entries([content]):
        assert (entry.mtime, entry.uid, entry.gid, entry.mode) == (0, 0, 0, 0o644)
        found[entry.name] = b"".join(entry.chunks)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert archive.getnames() == list(found)
    return found


@pytest.mark.parametrize("know", ["nothing", "size", "digest", "both"])
def test_a_file_holds_what_it_was_given(tmp_path: Path, know: str) -> None:
    output = FileOutput(tmp_path / "archive")
    for blob in BLOBS.values():
        output.add(given(blob, know), named)
    assert not (tmp_path / "archive").exists()
    output.finish(list(BLOBS))
    output.close()

    assert members((tmp_path / "archive").read_bytes()) == BLOBS
    assert list(files_in(tmp_path)) == ["archive"]


@pytest.mark.parametrize("know", ["nothing", "size", "digest", "both"])
def test_a_stream_holds_what_it_was_given(tmp_path: Path, know: str) -> None:
    pieces: list[bytes] = []
    output = StreamOutput(pieces.append, {"TMPDIR": str(tmp_path)}, "the stream")
    for blob in BLOBS.values():
        output.add(given(blob, know), named)
    output.finish([])

    assert members(b"".join(pieces)) == BLOBS
    assert files_in(tmp_path) == {}


def test_a_stream_begins_before_a_member_ends_if_all_is_known() -> None:
    pieces: list[bytes] = []
    output = StreamOutput(pieces.append, {"TMPDIR": "/nowhere"}, "the stream")
    seen = []

    def chunks() -> Iterator[bytes]:
        for _ in range(3):
            seen.append(len(b"".join(pieces)))
            yield b"x" * 1000

    output.add(VerifiedInput(chunks(), Digest.of(b"x" * 3000), 3000), named)

    assert seen == [512, 1512, 2512]


def test_what_is_known_to_be_there_is_not_written_again() -> None:
    pieces: list[bytes] = []
    output = StreamOutput(pieces.append, {}, "the stream")
    for know in ("both", "both", "nothing"):
        output.add(given(b"blob", know), named)
    output.finish([])

    assert list(members(b"".join(pieces))) == [Digest.of(b"blob").hex]


def test_the_order_is_said_at_the_end_and_the_rest_is_left_out(tmp_path: Path) -> None:
    archives = []
    for number, order in enumerate((list(BLOBS), list(reversed(BLOBS)))):
        output = FileOutput(tmp_path / f"{number}")
        output.add(given(b"stray", "both"), named)
        for name in order:
            output.add(given(BLOBS[name], "both"), named)
        output.add(given(BLOBS[order[0]], "both"), named)
        output.finish(list(BLOBS))
        archives.append((tmp_path / f"{number}").read_bytes())

    assert archives[0] == archives[1]
    assert members(archives[0]) == BLOBS
    assert sorted(files_in(tmp_path)) == ["0", "1"]


@pytest.mark.parametrize("know", ["nothing", "both"])
def test_threads_make_the_same_archive(tmp_path: Path, know: str) -> None:
    blobs = {Digest.of(blob).hex: blob for blob in (os.urandom(50_000 + number) for number in range(8))}
    archives = []
    for number, order in enumerate((list(blobs), list(reversed(blobs)))):
        output = FileOutput(tmp_path / f"{number}")
        barrier = threading.Barrier(4)

        def add(
            name: str, output: FileOutput = output, barrier: threading.Barrier = barrier, order: list[str] = order
        ) -> None:
            if order.index(name) < 4:
                barrier.wait(30)
            output.add(given(blobs[name], know), named)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(add, order))
        output.finish(list(blobs))
        archives.append((tmp_path / f"{number}").read_bytes())

    assert archives[0] == archives[1]
    assert members(archives[0]) == blobs


@pytest.mark.parametrize("know", ["size", "both"])
def test_a_member_that_fails_leaves_no_trace(tmp_path: Path, know: str) -> None:
    output = FileOutput(tmp_path / "archive")
    bad = VerifiedInput(iter([b"y" * 700, b"z"]), Digest.of(b"other"), 5000 if know == "both" else None)
    with pytest.raises((SizeMismatchError, DigestMismatchError), match=r"digest mismatch|size mismatch: .*, got 701"):
        output.add(bad, named)
    for blob in BLOBS.values():
        output.add(given(blob, "nothing"), named)
    output.finish(list(BLOBS))

    assert members((tmp_path / "archive").read_bytes()) == BLOBS
    assert b"yyy" not in (tmp_path / "archive").read_bytes()


def test_a_stream_that_broke_cannot_be_completed() -> None:
    output = StreamOutput(lambda _: None, {}, "the stream")
    with pytest.raises(SizeMismatchError):
        output.add(VerifiedInput(iter([b"x"]), Digest.of(b"xy"), 2), named)

    with pytest.raises(LocalError, match="the stream"):
        output.finish([])
    with pytest.raises(LocalError, match="the stream"):
        output.add(given(b"blob", "both"), named)


def test_a_spooled_member_that_fails_breaks_nothing() -> None:
    pieces: list[bytes] = []
    output = StreamOutput(pieces.append, {}, "the stream")
    with pytest.raises(DigestMismatchError):
        output.add(VerifiedInput(iter([b"x"]), Digest.of(b"xy"), None), named)
    output.add(given(b"blob", "nothing"), named)
    output.finish([])

    assert list(members(b"".join(pieces)).values()) == [b"blob"]


def test_an_unfinished_archive_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(b"old")
    output = FileOutput(tmp_path / "archive")
    output.add(given(b"blob", "both"), named)
    output.close()

    assert files_in(tmp_path) == {"archive": b"old"}


def test_a_link_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"old")
    (tmp_path / "archive").symlink_to("precious")
    output = FileOutput(tmp_path / "archive")
    output.finish([])

    assert (tmp_path / "precious").read_bytes() == b"old"
    assert not (tmp_path / "archive").is_symlink()


@pytest.mark.parametrize("path", ["directory", "nowhere/archive"])
def test_where_no_file_can_be_is_said(tmp_path: Path, path: str) -> None:
    (tmp_path / "directory").mkdir()

    with pytest.raises(LocalError, match=r"is a directory|No such file or directory"):
        tar_output(str(tmp_path / path), {}).add(given(b"blob", "both"), named)


def test_holes_stay_holes(tmp_path: Path) -> None:
    output = FileOutput(tmp_path / "archive")
    zeros = bytes(1 << 20)
    output.add(VerifiedInput((zeros for _ in range(32)), None, 32 << 20), named)
    output.finish([Digest.of(zeros * 32).hex])

    assert (tmp_path / "archive").stat().st_blocks * 512 < 1 << 20
    assert (tmp_path / "archive").stat().st_size == 512 + (32 << 20) + 1024


@pytest.mark.parametrize("size", [8**11 - 1, 8**11, 1 << 50])
def test_a_size_of_any_length_takes_one_block(tmp_path: Path, size: int) -> None:
    header = outputs._header("name", size)

    assert len(header) == 512
    assert tarfile.TarInfo.frombuf(header, "utf-8", "strict").size == size
    with (tmp_path / "archive").open("wb") as file:
        file.write(header)
        file.truncate(min(512 + size + -size % 512, 1 << 43))
    if size < 1 << 43:
        said = subprocess.run(["tar", "-tvf", tmp_path / "archive"], capture_output=True, text=True, check=True)
        assert str(size) in said.stdout


def test_a_pipe_is_written_as_a_stream(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    output = tar_output(str(tmp_path / "pipe"), {})
    for blob in BLOBS.values():
        output.add(given(blob, "both"), named)
    output.finish([])
    output.close()
    reader.join(30)

    assert members(found[0]) == BLOBS


def test_a_full_device_is_said() -> None:
    output = tar_output("/dev/full", {})

    with pytest.raises(LocalError, match="No space left"):
        output.add(given(b"blob", "both"), named)
    output.close()


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_the_names_of_open_files_are_written_to_and_not_replaced(tmp_path: Path, name: str) -> None:
    program = (
        "from eci_convert.transports.verified_input import VerifiedInput\n"
        "from eci_convert.transports.tar_store.writer import PipeOutput, tar_output\n"
        f"output = tar_output({name!r}, {{}})\n"
        "assert isinstance(output, PipeOutput)\n"
        "output.add(VerifiedInput([b'blob'], None, None), lambda found: 'name' if found else '')\n"
        "output.finish([])\n"
    )
    with (tmp_path / "archive").open("wb") as file:
        subprocess.run([sys.executable, "-c", program], stdout=file, check=True)

    assert members((tmp_path / "archive").read_bytes()) == {"name": b"blob"}


def test_standard_output_takes_an_archive() -> None:
    program = (
        "from eci_convert.oci.digest import Digest\n"
        "from eci_convert.transports.verified_input import VerifiedInput\n"
        "from eci_convert.transports.tar_store.writer import tar_output\n"
        "output = tar_output('-', {})\n"
        "output.add(VerifiedInput([b'blob'], None, None), lambda found: 'name' if found else '')\n"
        "output.finish([])\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert members(said.stdout) == {"name": b"blob"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("said", "told"), [("", 0), ("1600000000", 1600000000), ("99999999999", 8**11 - 1)])
def test_the_time_of_every_member_is_the_one_that_was_asked_for(
    said: str, told: int, stream: bool, tmp_path: Path
) -> None:
    environ = {"SOURCE_DATE_EPOCH": said}
    pieces: list[bytes] = []
    path = tmp_path / "archive"
    output = StreamOutput(pieces.append, environ, "the stream") if stream else tar_output(str(path), environ)
    output.add(given(b"content", "both"), lambda _: "name")
    output.finish(["name"])
    output.close()

    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces) if stream else path.read_bytes())) as archive:
        assert [member.mtime for member in archive] == [told]
