"""The files that parts become, written as the bytes pass, and what is told of them afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from eci_convert.disks import detect, references
from eci_convert.disks.detect import HEAD, TAIL
from eci_convert.errors import LimitExceeded, LocalError
from eci_convert.files.atomic import StagedFiles, read_chunks
from eci_convert.files.sparse import write_dense, write_sparse
from eci_convert.model import DiskType, Part, Role
from eci_convert.oci.digest import Digest
from eci_convert.streams.hashing import Measured

DISKS = (Role.ROOT_DISK, Role.EXTRA_DISK)
"""The roles of what may have holes, and a type."""
_INCREDIBLE = 1 << 50
"""A size in bytes that is a lie, which will come out when the bytes do not come."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """Where *part* goes: to *path*, whose file is replaced when all is known good; or into the open *file*."""

    part: Part
    path: Path | None = None
    file: BinaryIO | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written for a target. *digest* is None where nobody asked for it; *disk_type* is what the bytes are."""

    size: int
    digest: Digest | None
    disk_type: DiskType | None


class Outputs:
    """Files to be, in a `with StagedFiles()`. *max_size* (bytes) bounds each; without *sparse* they get no holes."""

    def __init__(self, staged: StagedFiles, *, max_size: int | None, sparse: bool, digests: bool) -> None:
        self.written: dict[Target, Written] = {}
        self._staged = staged
        self._files: dict[Target, BinaryIO] = {}
        self._max_size = max_size
        self._sparse = sparse
        self._digests = digests

    def write(
        self,
        targets: Sequence[Target],
        chunks: Iterable[bytes],
        *,
        size: int | None = None,
        digest: Digest | None = None,
    ) -> None:
        """Writes *chunks* to every one of *targets*; what went to their paths before is forgotten.

        *size* (bytes) and *digest* are given where they are known. Raises LimitExceeded over the limit, LocalError.
        """
        first, *others = sorted(targets, key=lambda target: target.path is None)
        self._check(first, size or 0)
        seen = Seen(_copied(self._limited(first, chunks), others))
        measured = Measured(seen, threaded=True) if self._digests and digest is None else None
        self._put(first, seen if measured is None else measured)
        if measured is not None:
            digest = measured.digest
        for other in others:
            if other.path:
                self._files[first].seek(0)
                self._put(other, read_chunks(self._files[first].fileno()))
        for target in targets:
            self.written[target] = Written(size=seen.size, digest=digest, disk_type=seen.disk_type)

    def _put(self, target: Target, chunks: Iterable[bytes]) -> None:
        if target.path is None:
            if target.file:
                write_dense(target.file, chunks)
            return
        if target not in self._files:
            self._files[target] = self._staged.stage(target.path)
        file = self._files[target]
        if self._sparse:
            write_sparse(file, chunks)
            return
        file.seek(0)
        file.truncate()
        write_dense(file, chunks)

    def _check(self, target: Target, size: int) -> None:
        if self._max_size is not None and size > self._max_size:
            raise LimitExceeded(f"{target.part.name!r} is larger than the limit of {self._max_size} bytes")
        may_have_holes = self._sparse and target.part.role in DISKS
        if target.path and not may_have_holes and size < _INCREDIBLE:
            _check_room(target.path, size)

    def _limited(self, target: Target, chunks: Iterable[bytes]) -> Iterator[bytes]:
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if self._max_size is not None and size > self._max_size:
                raise LimitExceeded(f"{target.part.name!r} is larger than the limit of {self._max_size} bytes")
            yield chunk


class Seen:
    """*chunks* as they are; how many bytes, and what sort of disk, is known when they have gone by."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._head = self._tail = self._further = b""
        self._wanted = range(0)
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            if len(self._head) < HEAD:
                self._head += chunk[: HEAD - len(self._head)]
                self._wanted = references.further(self._head) if len(self._head) == HEAD else range(0)
            if self.size < self._wanted.stop:
                self._further += chunk[max(0, self._wanted.start - self.size) : self._wanted.stop - self.size]
            self.size += len(chunk)
            self._tail = chunk[-TAIL:] if len(chunk) >= TAIL else (self._tail + chunk)[-TAIL:]
            yield chunk

    @property
    def disk_type(self) -> DiskType | None:
        """The type of disk that this is, None if it could be anything."""
        return detect.detect(self._head, self.size, self._tail)

    @property
    def foreign_reference(self) -> str | None:
        """What the disk wants read beside itself."""
        return references.foreign_reference(self._head, self.size, self._tail, self._further)


def _copied(chunks: Iterable[bytes], others: Sequence[Target]) -> Iterator[bytes]:
    """*chunks* as they are, once they are written to those of *others* that are open files."""
    for chunk in chunks:
        for target in others:
            if target.file and not target.path:
                write_dense(target.file, (chunk,))
        yield chunk


def _check_room(path: Path, size: int) -> None:
    """Raises LocalError if *size* bytes, none of them in holes, are more than there is room for."""
    try:
        room = os.statvfs(path.parent)
    except OSError as error:
        raise LocalError(f"{path.parent}: {error.strerror or error}") from error
    free = room.f_bavail * room.f_frsize
    if size > free:
        raise LocalError(f"{str(path)!r} needs {size} bytes and there is room for {free}")
