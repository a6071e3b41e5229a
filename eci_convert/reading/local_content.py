"""The bytes of parts that are on this computer. They can be read again, which bytes that pass by cannot."""

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
from eci_convert.model import Artifact, Blob, KnownBlob, LocalFile, Memory, Part


class LocalContent(Protocol):
    """Content whose size in bytes is known before it is read."""

    @property
    def size(self) -> int: ...

    @property
    def identity(self) -> Hashable:
        """What two supplies of the same bytes have in common, as far as can be told without reading them."""

    def chunks(self, lead: int = 0) -> Iterable[bytes]:
        """The content, cut where a stream is cut at every MiB that has *lead* bytes before it. Raises LocalError if
        it is not what it was when it was opened."""

    def extents(self) -> Iterable[tuple[int, int]]:
        """Where there can be anything but zeros, as (offset, length) in ascending order."""

    def head_and_tail(self) -> tuple[bytes, bytes]:
        """The first and the last bytes, as many as tell the type of a disk."""


@contextmanager
def open_local(locator: LocalFile | Memory) -> Iterator[LocalContent]:
    """What *locator* tells of. Raises NotFound where there is no such file, LocalError where it cannot be read."""
    if isinstance(locator, Memory):
        yield _Bytes(locator.content)
        return
    descriptor = _descriptor(locator.path)
    try:
        yield _OpenFile(descriptor, locator.path)
    finally:
        os.close(descriptor)


def _descriptor(path: Path) -> int:
    """*path* opened without waiting for whoever might write to it, were it a pipe."""
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
    """A file that must stay what it was when it was opened, however often it is read."""

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
        found = os.fstat(self._descriptor)
        return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def total_size(artifact: Artifact) -> int:
    """The bytes of all parts, which are on this computer. Raises NotFound, LocalError."""
    return sum(size_of_part(part) or 0 for part in artifact.parts)


def size_of_part(part: Part) -> int | None:
    """The bytes of *part*, None where only reading would tell. Raises NotFound, LocalError for files here."""
    match part.locator:
        case Blob(descriptor=blob, compression=compression, size=size):
            return size if compression else blob.size
        case Memory(content=content):
            return len(content)
        case KnownBlob(size=size):
            return size
        case LocalFile(path=path):
            try:
                return path.stat().st_size
            except FileNotFoundError as error:
                raise NotFoundError(f"no such file: {str(path)!r}") from error
            except OSError as error:
                raise LocalError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
        case _:
            return None
