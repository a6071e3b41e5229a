"""Stages together make a layer of a file: its digests are those of what went by, its bytes its content's alone."""

from __future__ import annotations

import os
import tarfile
import threading
import time
from collections.abc import Generator, Iterator
from io import BytesIO
from pathlib import Path

import pytest

from eci_convert.compression.codec import Codec, compressed, decompressed
from eci_convert.errors import LocalError
from eci_convert.files.sparse import file_chunks
from eci_convert.oci.digest import Digest
from eci_convert.streams.blocks import ZERO_BLOCK
from eci_convert.streams.hashing import HashingStream
from eci_convert.tar import TarMember, archive_size, archived, member_header
from tests.support.chunking import close, noise, text

MIB = 1 << 20
CODECS = pytest.mark.parametrize("codec", ["none", "gzip", "gzip:6", "zstd"])
THREADED = pytest.mark.parametrize("threaded", [False, True])

DiskFiles = tuple[Path, Path, bytes]
"""A sparse file, a dense one, and what is in both."""


@pytest.fixture
def disk(tmp_path: Path) -> DiskFiles:
    """A file with data, holes, data that does not compress, and a hole at its end; in the holes' place, then zeros."""
    sparse, dense = tmp_path / "sparse.raw", tmp_path / "dense.raw"
    content = text(MIB + 4096) + bytes(4 * MIB) + noise(MIB // 2) + bytes(3 * MIB + 77)
    dense.write_bytes(content)
    with sparse.open("wb") as file:
        file.write(content[: MIB + 4096])
        os.pwrite(file.fileno(), noise(MIB // 2), 5 * MIB + 4096)
        os.truncate(file.fileno(), len(content))
    return sparse, dense, content


def packed(
    path: Path, codec: str, threads: int | None = None, *, led: bool = True
) -> tuple[bytes, HashingStream, HashingStream]:
    """The blob, and what was measured of it and of its archive."""
    with path.open("rb") as file:
        member = TarMember(name="disk-root-root.raw", size=path.stat().st_size)
        chunks = file_chunks(file.fileno(), lead=len(member_header(member)) if led else 0)
        archive = HashingStream(archived([(member, chunks)]), threaded=True)
        blob = HashingStream(compressed(archive, Codec.parse(codec), threads=threads))
        return b"".join(blob), blob, archive


@CODECS
def test_the_digests_are_those_of_the_blob_and_of_the_archive(disk: DiskFiles, codec: str) -> None:
    blob, of_blob, of_archive = packed(disk[0], codec)
    archive = b"".join(decompressed([blob], Codec.parse(codec).compression))

    assert (of_blob.digest, of_blob.size) == (Digest.of(blob), len(blob))
    assert (of_archive.digest, of_archive.size) == (Digest.of(archive), len(archive))
    assert of_archive.size == archive_size([TarMember(name="disk-root-root.raw", size=len(disk[2]))])
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        assert tar.getnames() == ["disk-root-root.raw"]
        file = tar.extractfile("disk-root-root.raw")
        assert file
        assert file.read() == disk[2]


@CODECS
@pytest.mark.parametrize("which", [0, 1])
def test_a_hash_that_reads_the_file_itself_is_the_same(disk: DiskFiles, codec: str, which: int) -> None:
    path = disk[0] if which == 0 else disk[1]
    expected, _, archive = packed(path, codec)
    member = TarMember(name="disk-root-root.raw", size=len(disk[2]))
    with path.open("rb") as file:
        lead = len(member_header(member))
        once, again = (archived([(member, file_chunks(file.fileno(), lead=lead))]) for _ in range(2))
        apart = HashingStream(once, again=again)
        assert b"".join(compressed(apart, Codec.parse(codec))) == expected
    assert (apart.digest, apart.size) == (archive.digest, archive.size)


def test_a_hash_that_reads_the_file_itself_does_not_run_away_from_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hashing thread itself is waited for, at its start too. A count of all threads, as this test once had, also
    counts those that other tests left behind; and on a loaded machine a thread may not run within 0.2 s.
    """
    monkeypatch.setattr("eci_convert.streams.hashing._AHEAD", 4 * MIB)
    hashed = 0
    reader: list[threading.Thread] = []
    started = threading.Event()

    def again() -> Iterator[bytes]:
        nonlocal hashed
        reader.append(threading.current_thread())
        started.set()
        for _ in range(64):
            hashed += 1
            yield from (noise(MIB), ZERO_BLOCK)

    apart = iter(HashingStream((noise(MIB) for _ in range(64)), again=again()))
    next(apart), next(apart)
    assert started.wait(60)
    time.sleep(0.2)
    assert hashed <= 8
    assert isinstance(apart, Generator)
    apart.close()
    reader[0].join(60)
    assert not reader[0].is_alive()


def test_what_the_hash_cannot_read_is_an_error() -> None:
    def again() -> Iterator[bytes]:
        yield b"x"
        raise LocalError("has changed")

    with pytest.raises(LocalError, match="has changed"):
        list(HashingStream([b"x", b"y"], again=again()))


@CODECS
def test_holes_and_zeros_and_any_cut_and_number_of_threads_make_the_same_layer(disk: DiskFiles, codec: str) -> None:
    blobs = {
        packed(path, codec, threads, led=led)[0]
        for path in disk[:2]
        for threads in (1, 2, 5, None)
        for led in (False, True)
    }

    assert len(blobs) == 1


def test_no_thread_outlives_a_layer_that_is_left() -> None:
    before = set(threading.enumerate())
    archive = HashingStream((noise(MIB) for _ in range(1000)), threaded=True)
    layer = compressed(archive, Codec.parse("gzip"))
    next(layer), next(layer)

    close(layer)
    del archive

    assert not set(threading.enumerate()) - before


@THREADED
def test_measured_passes_everything_on_and_knows_it(threaded: bool) -> None:
    stage = HashingStream([b"ker", b"", b"nel"], threaded=threaded, behind=2)

    assert list(stage) == [b"ker", b"", b"nel"]
    assert (stage.size, stage.digest) == (6, Digest.of(b"kernel"))


@THREADED
def test_nothing_is_known_before_everything_has_gone_by(threaded: bool) -> None:
    stage = HashingStream([b"ker", b"nel"], threaded=threaded)
    chunks = iter(stage)
    next(chunks), next(chunks)

    with pytest.raises(ValueError, match="not read to its end"):
        _ = stage.digest
    assert list(chunks) == []
    assert stage.digest == Digest.of(b"kernel")


@THREADED
def test_measured_passes_on_what_its_source_raises(threaded: bool) -> None:
    def failing() -> Iterator[bytes]:
        yield b"ker"
        raise LocalError("gone")

    stage = HashingStream(failing(), threaded=threaded)
    with pytest.raises(LocalError, match="gone"):
        list(stage)
    with pytest.raises(ValueError, match="not read to its end"):
        _ = stage.digest
