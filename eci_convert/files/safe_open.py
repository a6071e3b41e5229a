"""Opens untrusted files without following links; only regular files are accepted.

An unpacked directory of unknown origin may contain links to secrets, pipes that block, or devices. Paths given by the
user are followed; nothing below them is.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eci_convert.errors import FormatError, LimitExceededError, LocalError, NotFoundError
from eci_convert.files.atomic import StrPath
from eci_convert.files.errors import local_errors
from eci_convert.files.temp_files import path_of
from eci_convert.oci.json_fields import MAX_DOCUMENT
from eci_convert.streams.blocks import BLOCK_SIZE, ZERO_BLOCK

_NO_SUCH = {errno.ENOENT}
_NOT_PLAIN = {errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EISDIR, errno.EMLINK}
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def open_regular(directory: Path, *names: str) -> Iterator[int]:
    """A descriptor of the regular file *names*, path components below *directory*.

    Raises NotFoundError if it does not exist; FormatError for links, pipes, devices and directories, and for anything
    but directories on the way; LocalError for other errors.
    """
    name = "/".join(names)
    descriptors: list[int] = []
    try:
        with _translate_oserror(directory, name):
            descriptors.append(_root(directory))
            for step in names[:-1]:
                descriptors.append(os.open(step, _DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptors[-1]))
            descriptors.append(os.open(names[-1], _FILE, dir_fd=descriptors[-1]))
            if not stat.S_ISREG(os.fstat(descriptors[-1]).st_mode):
                raise FormatError(f"{name} is not a regular file", where=str(directory))
        yield descriptors[-1]
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _root(directory: Path) -> int:
    try:
        return os.open(directory, _DIRECTORY)
    except FileNotFoundError as error:
        raise NotFoundError(f"{directory}: no such directory") from error
    except NotADirectoryError as error:
        raise LocalError(f"{directory} is not a directory") from error
    except OSError as error:
        raise LocalError(f"{directory}: {error.strerror or error}") from error


def read_small_file(directory: Path, *names: str, limit: int = MAX_DOCUMENT) -> bytes:
    """The content of a file. Raises as `open_regular`, and LimitExceededError over *limit* bytes."""
    with open_regular(directory, *names) as descriptor:
        size = os.fstat(descriptor).st_size
        if size > limit:
            raise LimitExceededError(f"{'/'.join(names)} is {size} bytes (limit {limit})", where=str(directory))
        return b"".join(read_range(descriptor, 0, size))


def read_range(descriptor: int, start: int, end: int) -> Iterator[bytes]:
    """The bytes of a file from *start* to *end*, in blocks of 1 MiB. Raises LocalError, also if the file is shorter.

    The file position of *descriptor* is neither used nor changed, so that several threads may read.
    """
    hole = data = start  # from *hole* to *data* is a hole
    while start < end:
        if start >= data:
            hole, data = _next_hole(descriptor, start, end)
        if hole <= start < data:
            block = ZERO_BLOCK[: min(data - start, BLOCK_SIZE)]
        else:
            with local_errors(path_of(descriptor)):
                block = os.pread(descriptor, min(BLOCK_SIZE, hole - start), start)
        if not block:
            raise LocalError(f"a file was truncated to less than {end} bytes while it was read")
        start += len(block)
        yield block


def _next_hole(descriptor: int, start: int, end: int) -> tuple[int, int]:
    """The next hole from *start* on, limited to *end*: its start, and the start of the data behind it."""
    try:
        if os.fstat(descriptor).st_size < end:
            return end, end
        hole = os.lseek(descriptor, start, os.SEEK_HOLE)
        data = os.lseek(descriptor, hole, os.SEEK_DATA) if hole < end else end
    except OSError as error:
        if error.errno == errno.ENXIO:  # a hole up to the end
            return hole, end
        return end, end  # a filesystem without SEEK_HOLE
    return min(hole, end), min(data, end)


@contextmanager
def _translate_oserror(directory: Path, name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SUCH:
            raise NotFoundError(f"{directory}: no such file: {name}") from error
        if error.errno in _NOT_PLAIN:
            raise FormatError(f"{name} is a symbolic link, or below one", where=str(directory)) from error
        raise LocalError(f"{directory / name}: {error.strerror or error}") from error


def read_chunks(source: StrPath | int, block: int = 1 << 20) -> Iterator[bytes]:
    """The content of *source*, a path or a descriptor (which is left open), from the current position. Raises
    LocalError."""
    if isinstance(source, int):
        yield from _read(source, path_of(source), block)
        return
    with local_errors(source):
        descriptor = os.open(source, os.O_RDONLY)
    try:
        yield from _read(descriptor, os.fspath(source), block)
    finally:
        os.close(descriptor)


def _read(descriptor: int, name: str, block: int) -> Iterator[bytes]:
    while True:
        with local_errors(name):
            data = os.read(descriptor, block)
        if not data:
            return
        yield data
