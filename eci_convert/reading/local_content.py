"""The content of local parts, which can be read repeatedly."""

from __future__ import annotations

import os
import stat
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from eci_convert.disks import detect
from eci_convert.errors import LocalError, NotFoundError
from eci_convert.files.errors import local_errors
from eci_convert.files.sparse import extents, file_chunks
from eci_convert.model import Artifact, Blob, LocalFile, Memory, Part, RemoteBlob


class LocalContent(Protocol):
    """Content whose size in bytes is known in advance."""

    @property
    def size(self) -> int: ...

    @property
    def identity(self) -> Hashable:
        """Equal for two objects with the same content, as far as that is known without reading."""

    def chunks(self, lead: int = 0) -> Iterable[bytes]:
        """The content, cut where a stream with *lead* bytes before it is cut at every MiB. Raises LocalError if it
        changed since it was opened."""

    def extents(self) -> Iterable[tuple[int, int]]:
        """The regions that may be non-zero, as (offset, length) in ascending order."""

    def head_and_tail(self) -> tuple[bytes, bytes]:
        """The first and last bytes, enough to detect the type of a disk."""


@contextmanager
def open_local(locator: LocalFile | Memory) -> Iterator[LocalContent]:
    """The content at *locator*. Raises NotFoundError if there is no such file, LocalError if it cannot be read."""
    if isinstance(locator, Memory):
        yield _Bytes(locator.content)
        return
    descriptor = _descriptor(locator.path)
    try:
        yield _OpenFile(descriptor, locator.path)
    finally:
        os.close(descriptor)


def _descriptor(path: Path) -> int:
    """Opens *path* without blocking, if it is a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise NotFoundError(f"no such file: {str(path)!r}") from error
    except OSError as error:
        raise LocalError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise LocalError(f"{str(path)!r} is not a regular file")
    return descriptor


class _Bytes:
    """Content in memory."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    @property
    def size(self) -> int:
        return len(self._content)

    @property
    def identity(self) -> Hashable:
        return self._content

    def chunks(self, lead: int = 0) -> Iterable[bytes]:
        return (self._content,) if self._content else ()

    def extents(self) -> Iterable[tuple[int, int]]:
        return ((0, len(self._content)),)

    def head_and_tail(self) -> tuple[bytes, bytes]:
        return self._content[: detect.HEAD], self._content[-detect.TAIL :]


class _OpenFile:
    """An open file that must not change while it is used."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path
        self._state = self._now()

    @property
    def size(self) -> int:
        return self._state[0]

    @property
    def identity(self) -> Hashable:
        status = os.fstat(self._descriptor)
        return status.st_dev, status.st_ino, self._state

    def chunks(self, lead: int = 0) -> Iterator[bytes]:
        yield from file_chunks(self._descriptor, lead=lead)
        if self._now() != self._state:
            raise LocalError(f"{str(self._path)!r} changed while it was read")

    def extents(self) -> Iterator[tuple[int, int]]:
        return extents(self._descriptor)

    def head_and_tail(self) -> tuple[bytes, bytes]:
        with local_errors(self._path):
            head = os.pread(self._descriptor, detect.HEAD, 0)
            return head, os.pread(self._descriptor, detect.TAIL, max(0, self.size - detect.TAIL))

    def _now(self) -> tuple[int, int, int]:
        state = os.fstat(self._descriptor)
        return state.st_size, state.st_mtime_ns, state.st_ctime_ns


def total_size(artifact: Artifact) -> int:
    """The size in bytes of all parts, which are local. Raises NotFoundError, LocalError."""
    return sum(size_of_part(part) or 0 for part in artifact.parts)


def size_of_part(part: Part) -> int | None:
    """The size in bytes of *part*, None if it is unknown without reading. Raises NotFoundError, LocalError for local
    files."""
    match part.locator:
        case Blob(descriptor=blob, compression=compression, size=size):
            return size if compression else blob.size
        case Memory(content=content):
            return len(content)
        case RemoteBlob(size=size):
            return size
        case LocalFile(path=path):
            try:
                return path.stat().st_size
            except FileNotFoundError as error:
                raise NotFoundError(f"no such file: {str(path)!r}") from error
            except OSError as error:
                raise LocalError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
        case _:
            return part.size
