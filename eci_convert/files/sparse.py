"""Sparse files: holes are neither read nor written.

Holes are found with SEEK_DATA and SEEK_HOLE (lseek(2)), and created by not writing.
"""

from __future__ import annotations

import errno
import io
import os
import select
import stat
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from eci_convert.errors import LocalError, SizeMismatchError
from eci_convert.files.errors import local_errors
from eci_convert.files.temp_files import path_of
from eci_convert.streams.blocks import BLOCK_SIZE, ZERO_BLOCK

__all__ = ["BLOCK_SIZE", "ZERO_BLOCK", "extents", "file_chunks", "write_dense", "write_sparse"]


_FLUSH_STEP = 32 << 20
_COARSE = bytes(64 << 10)
_FINE = bytes(4 << 10)


def write_sparse(file: BinaryIO, chunks: Iterable[bytes], size: int | None = None) -> int:
    """Replaces the content of *file* with *chunks*, without writing blocks of zeros; returns its size in bytes.

    Anything but a regular file (a pipe) is written to as by `write_dense`. Raises LocalError for errors of the
    operating system, and SizeMismatchError if *size* is given and differs.
    """
    if not _can_have_holes(file):
        return write_dense(file, chunks, size)
    descriptor, end, flushed = file.fileno(), 0, 0
    with local_errors(_name(file)):
        file.flush()
        os.ftruncate(descriptor, 0)
        os.ftruncate(descriptor, size or 0)
    for chunk in chunks:
        if size is not None and end + len(chunk) > size:
            raise SizeMismatchError(size, end + len(chunk))
        with local_errors(_name(file)):
            write_data(descriptor, chunk, end)
            end += len(chunk)
            if end - flushed >= _FLUSH_STEP:  # start write-back now: fsync would wait for all of it at the end
                os.posix_fadvise(descriptor, flushed, end - flushed, os.POSIX_FADV_DONTNEED)
                flushed = end
    with local_errors(_name(file)):
        os.ftruncate(descriptor, end)
        file.seek(end)
    if size not in (None, end):
        raise SizeMismatchError(size or 0, end)
    return end


def write_dense(file: BinaryIO, chunks: Iterable[bytes], size: int | None = None) -> int:
    """Writes *chunks* to *file* at its current position, including zeros; returns the number of bytes. Raises as
    `write_sparse`.

    *file* needs only a `write` that takes bytes; if it returns no count, all are taken as written.
    """
    written = 0
    for chunk in chunks:
        if size is not None and written + len(chunk) > size:
            raise SizeMismatchError(size, written + len(chunk))
        with local_errors(_name(file)):
            _write_all(file, chunk)
        written += len(chunk)
    if flush := getattr(file, "flush", None):
        with local_errors(_name(file)):
            flush()
    if size not in (None, written):
        raise SizeMismatchError(size or 0, written)
    return written


def _write_all(file: BinaryIO, chunk: bytes) -> None:
    """Python's own files are given memoryviews. Other objects may keep what they are given, and the memory of chunks
    may be reused, so they get copies."""
    view, ours = memoryview(chunk), isinstance(file, io.IOBase)
    while view:
        count: int | None = file.write(view if ours else bytes(view))
        if count is None and isinstance(file, io.RawIOBase):  # a non-blocking descriptor: wait until it is writable
            select.select([], [file], [])
            count = 0
        view = view[len(view) if count is None else count :]


def extents(descriptor: int) -> Iterator[tuple[int, int]]:
    """The regions of the file with data, as (offset, length) in ascending order; all of it if the filesystem cannot
    tell."""
    size = os.fstat(descriptor).st_size
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
            end = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a hole up to the end
                return
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise LocalError(f"cannot look for holes: {error.strerror or error}") from error
            start, end = end, size
        if start < size:
            yield start, end - start


def file_chunks(descriptor: int, *, lead: int = 0) -> Iterator[bytes]:
    """The content of a file from its beginning; holes are yielded as one shared block of zeros.

    Cut where a stream with *lead* bytes before it is cut at every MiB. Raises LocalError.
    """
    size = os.fstat(descriptor).st_size
    data = extents(descriptor)
    begin = length = at = 0
    while at < size:
        stop = min(at + BLOCK_SIZE - (lead + at) % BLOCK_SIZE, size)
        while begin + length <= at:
            begin, length = next(data, (size, 1))
        if begin < stop:
            yield _read(descriptor, at, stop - at)
        else:
            yield ZERO_BLOCK if stop - at == BLOCK_SIZE else ZERO_BLOCK[: stop - at]
        at = stop
    if os.fstat(descriptor).st_size < size:
        raise _truncated_error(size)


def _read(descriptor: int, at: int, length: int) -> bytes:
    data = b""
    while len(data) < length:
        with local_errors(path_of(descriptor)):
            piece = os.pread(descriptor, length - len(data), at + len(data))
        if not piece:
            raise _truncated_error(at + length)
        data = data + piece if data else piece
    return data


def _name(file: BinaryIO) -> object:
    return getattr(file, "name", "the output")  # an in-memory buffer has none


def _truncated_error(size: int) -> LocalError:
    return LocalError(f"a file was truncated to less than {size} bytes while it was read")


def _can_have_holes(file: BinaryIO) -> bool:
    try:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except (OSError, ValueError):  # no descriptor: an in-memory buffer
        return False


def write_data(descriptor: int, chunk: bytes, at: int) -> None:
    """Writes the non-zero parts of *chunk*, whose first byte belongs at offset *at*; existing content must read as
    zeros. Raises OSError."""
    view = memoryview(chunk)
    for start, stop in _data(chunk, -at % len(_FINE)):
        while start < stop:
            start += os.pwrite(descriptor, view[start:stop], at + start)


def _data(chunk: bytes, first: int) -> Iterator[tuple[int, int]]:
    """The non-zero regions of *chunk*, in pages; pages begin at *first*. `startswith` compares 27 GB a second here."""
    size, at = len(chunk), 0
    while at < size:
        start = at
        while at < size and not (length := _zeros(chunk, at, first)):
            at = _next_page(at, first, size)
        if start < at:
            yield start, at
        while at < size and (length := _zeros(chunk, at, first)):
            at += length


def _zeros(chunk: bytes, at: int, first: int) -> int:
    """The number of zeros known to be at *at*: 64 KiB, a page, or less at either end of the chunk."""
    if chunk.startswith(_COARSE, at):
        return len(_COARSE)
    if chunk.startswith(_FINE, at):
        return len(_FINE)
    page = _next_page(at, first, len(chunk)) - at
    return page if page < len(_FINE) and chunk.startswith(_FINE[:page], at) else 0


def _next_page(at: int, first: int, size: int) -> int:
    return min(first if at < first else at + len(_FINE), size)
