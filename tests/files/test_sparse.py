"""Zeros are not written, holes are not read, and nobody can tell by the content."""

from __future__ import annotations

import errno
import io
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eci_convert.errors import CorruptStreamError, LocalError, SizeMismatchError
from eci_convert.files.sparse import _data, extents, file_chunks, write_dense, write_sparse
from eci_convert.streams.blocks import ZERO_BLOCK
from tests.support.chunking import cut, cut_by, noise

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

KIB, MIB = 1 << 10, 1 << 20

contents = st.lists(
    st.tuples(st.booleans(), st.sampled_from([1, 511, 512, 4095, 4096, 4097, 20_000, 65_536, 70_001, 200_000])),
    max_size=7,
).map(lambda runs: b"".join(noise(length, n) if data else bytes(length) for n, (data, length) in enumerate(runs)))
cuts = st.lists(st.sampled_from([0, 1, 512, 4096, 5000, 65_536, 66_048, 131_072]), max_size=12)

Write = Callable[..., int]
"""`write_sparse` or `write_dense`."""


@settings(max_examples=60, deadline=None)
@given(contents, cuts, st.booleans())
def test_a_sparse_file_reads_back_equal(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, sizes: list[int], told: bool
) -> None:
    path = tmp_path_factory.mktemp("sparse") / "disk"
    with path.open("w+b") as file:
        assert write_sparse(file, cut_by(data, sizes), len(data) if told else None) == len(data)

        assert path.read_bytes() == data
        assert b"".join(file_chunks(file.fileno())) == data


def allocated(path: Path) -> int:
    return path.stat().st_blocks * 512


@pytest.fixture
def sparse(tmp_path: Path) -> None:
    """Whether this filesystem has holes at all."""
    path = tmp_path / "probe"
    with path.open("wb") as file:
        os.truncate(file.fileno(), MIB)
    if allocated(path):
        pytest.skip("no holes on this filesystem")


@pytest.mark.usefixtures("sparse")
@pytest.mark.parametrize("size", [MIB, 100_000, 4096, 512 + MIB])
def test_zeros_are_not_written(tmp_path: Path, size: int) -> None:
    path = tmp_path / "disk"
    data = noise(64 * KIB) + bytes(20 * MIB) + noise(4 * KIB) + bytes(20 * MIB)

    with path.open("wb") as file:
        write_sparse(file, cut(data, size))

    assert path.read_bytes() == data
    assert allocated(path) <= 80 * KIB


@pytest.mark.usefixtures("sparse")
def test_zeros_are_found_at_the_pages_of_the_file_however_the_chunks_lie(tmp_path: Path) -> None:
    """A tar header puts every chunk 512 bytes off: a page that is half written is a whole one on the disk."""
    path = tmp_path / "disk"
    data = b"".join(noise(4 * KIB, n) + bytes(4 * KIB) for n in range(64))

    with path.open("wb") as file:
        write_sparse(file, cut_by(data, [64 * KIB - 512] + [64 * KIB] * 9))

    assert path.read_bytes() == data
    assert allocated(path) <= len(data) // 2 + 16 * KIB


def test_what_is_written_is_on_its_way_to_the_disk_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _, start, length, __: begun.append((start, length)))
    with (tmp_path / "disk").open("wb") as file:
        write_sparse(file, [noise(MIB)] * 70)

    assert begun == [(0, 32 * MIB), (32 * MIB, 32 * MIB)]


@pytest.mark.parametrize("size", [None, 50_003])
def test_what_was_in_the_file_before_is_gone(tmp_path: Path, size: int | None) -> None:
    path = tmp_path / "disk"
    path.write_bytes(b"old" * 100_000)

    with path.open("r+b") as file:
        write_sparse(file, [bytes(50_000), b"new"], size)

    assert path.read_bytes() == bytes(50_000) + b"new"


@pytest.mark.parametrize("write", [write_sparse, write_dense])
@pytest.mark.parametrize("size", [5, 7])
def test_another_size_than_promised_is_an_error(tmp_path: Path, write: Write, size: int) -> None:
    with (tmp_path / "disk").open("wb") as file, pytest.raises(SizeMismatchError):
        write(file, [b"ker", b"nel"], size)


def test_not_a_byte_beyond_the_size_is_written(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    with path.open("wb") as file, pytest.raises(SizeMismatchError):
        write_sparse(file, [b"kernel", b"!"], 6)
    assert path.read_bytes() == b"kernel"

    buffer = io.BytesIO()
    with pytest.raises(SizeMismatchError):
        write_dense(buffer, [b"kernel", b"!"], 6)
    assert buffer.getvalue() == b"kernel"


@pytest.mark.parametrize("write", [write_sparse, write_dense])
def test_a_pipe_gets_every_zero(write: Write) -> None:
    data = noise(1000) + bytes(300_000) + b"end"
    reading, writing = os.pipe()
    received = []
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb") as sink:
        thread = threading.Thread(target=lambda: received.append(source.read(len(data))))
        thread.start()
        assert write(sink, cut(data, 70_000)) == len(data)
        thread.join()

    assert received == [data]


@pytest.mark.parametrize("write", [write_sparse, write_dense])
def test_a_buffer_in_memory_will_do(write: Write) -> None:
    buffer = io.BytesIO()

    assert write(buffer, [b"a", b"", bytes(5000), b"b"]) == 5002
    assert buffer.getvalue() == b"a" + bytes(5000) + b"b"


class Short(io.RawIOBase):
    """A file that takes three bytes at a time, as the system may."""

    def __init__(self) -> None:
        self.taken = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer) -> int:
        taken = bytes(data)[:3]
        self.taken += taken
        return len(taken)


def test_short_writes_are_continued() -> None:
    file = Short()

    write_dense(cast("BinaryIO", file), [b"kernel", b"initrd!"])

    assert file.taken == b"kernelinitrd!"


def test_short_writes_of_a_sparse_file_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:1000], at))
    with (tmp_path / "disk").open("wb") as file:
        write_sparse(file, [noise(5000)])

    assert (tmp_path / "disk").read_bytes() == noise(5000)


def test_a_full_disk_is_a_local_error_that_says_so() -> None:
    with open("/dev/full", "wb", buffering=0) as file, pytest.raises(LocalError, match="/dev/full: No space left"):
        write_dense(file, [b"kernel"])


def test_a_full_disk_under_a_sparse_file_is_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with (tmp_path / "disk").open("wb") as file, pytest.raises(LocalError, match="disk: No space left"):
        write_sparse(file, [b"kernel"])


def test_a_size_that_no_filesystem_has_is_a_local_error(tmp_path: Path) -> None:
    with (tmp_path / "disk").open("wb") as file, pytest.raises(LocalError, match="disk: "):
        write_sparse(file, [], 2**63 - 1)


def test_an_error_of_the_source_is_not_taken_for_one_of_the_disk(tmp_path: Path) -> None:
    def failing() -> Iterator[bytes]:
        yield b"ker"
        raise OSError(errno.ENOSPC, "the source's own")

    with (tmp_path / "disk").open("wb") as file, pytest.raises(OSError, match="the source's own"):
        write_sparse(file, failing())
    with pytest.raises(OSError, match="the source's own"):
        write_dense(io.BytesIO(), failing())


def test_nothing_is_an_empty_file(tmp_path: Path) -> None:
    with (tmp_path / "disk").open("w+b") as file:
        assert write_sparse(file, []) == 0
        assert list(extents(file.fileno())) == []
        assert list(file_chunks(file.fileno())) == []


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[BinaryIO]:
    """Data, a hole, data, and a hole up to the end: 20 MiB and a bit."""
    path = tmp_path / "disk"
    with path.open("w+b") as file:
        os.pwrite(file.fileno(), noise(100_000), 0)
        os.pwrite(file.fileno(), noise(3 * MIB), 9 * MIB)
        os.truncate(file.fileno(), 20 * MIB + 77)
        yield file


@pytest.mark.usefixtures("sparse")
def test_extents_are_where_the_data_is(disk: BinaryIO) -> None:
    found = list(extents(disk.fileno()))

    assert sum(length for _, length in found) < 4 * MIB
    assert [offset for offset, _ in found] == [0, 9 * MIB]


@pytest.mark.usefixtures("sparse")
def test_holes_are_not_read_and_share_one_block(disk: BinaryIO, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    pread = os.pread

    def counting(descriptor: int, length: int, offset: int) -> bytes:
        read.append(length)
        return pread(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", counting)

    chunks = list(file_chunks(disk.fileno()))

    assert sum(read) <= 5 * MIB
    assert sum(chunk is ZERO_BLOCK for chunk in chunks) == 8 + 8
    assert sum(map(len, chunks)) == 20 * MIB + 77


@pytest.mark.parametrize("lead", [0, 512, 1536, MIB, 3 * MIB + 512])
def test_chunks_are_cut_where_a_stream_is_that_has_a_lead(disk: BinaryIO, lead: int) -> None:
    content = os.pread(disk.fileno(), 30 * MIB, 0)

    chunks = list(file_chunks(disk.fileno(), lead=lead))

    assert b"".join(chunks) == content
    assert len(chunks[0]) == MIB - lead % MIB
    assert {len(chunk) for chunk in chunks[1:-1]} == {MIB}


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_filesystem_that_cannot_tell_has_data_everywhere(
    disk: BinaryIO, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    content = os.pread(disk.fileno(), 30 * MIB, 0)

    def unable(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "lseek", unable)

    assert list(extents(disk.fileno())) == [(0, len(content))]
    assert b"".join(file_chunks(disk.fileno())) == content


def test_a_disk_that_fails_is_a_local_error(disk: BinaryIO, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pread", broken)
    with pytest.raises(LocalError, match="Input/output error"):
        list(file_chunks(disk.fileno()))
    monkeypatch.setattr(os, "lseek", broken)
    with pytest.raises(LocalError, match="Input/output error"):
        list(extents(disk.fileno()))


def test_a_file_that_gets_shorter_is_a_local_error(disk: BinaryIO) -> None:
    chunks = file_chunks(disk.fileno())
    next(chunks)
    os.truncate(disk.fileno(), 10 * MIB)

    with pytest.raises(LocalError, match="truncated"):
        list(chunks)


def test_short_reads_are_continued(disk: BinaryIO, monkeypatch: pytest.MonkeyPatch) -> None:
    content, pread = os.pread(disk.fileno(), 30 * MIB, 0), os.pread
    monkeypatch.setattr(os, "pread", lambda fd, length, at: pread(fd, min(length, 300_000), at))

    assert b"".join(file_chunks(disk.fileno())) == content


@given(contents, st.integers(0, 4095))
def test_what_is_taken_for_zeros_is_zeros(data: bytes, first: int) -> None:
    spans = list(_data(data, first))

    assert all(start < stop <= len(data) for start, stop in spans)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(spans))
    rest = bytearray(data)
    for start, stop in spans:
        rest[start:stop] = bytes(stop - start)
    assert not any(rest)


def test_a_corrupt_stream_leaves_the_error_as_it_is(tmp_path: Path) -> None:
    def failing() -> Iterator[bytes]:
        yield b"ker"
        raise CorruptStreamError("gzip: unexpected EOF")

    with (tmp_path / "disk").open("wb") as file, pytest.raises(CorruptStreamError, match="unexpected EOF"):
        write_sparse(file, failing(), 6)
