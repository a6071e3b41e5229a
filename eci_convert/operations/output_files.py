"""Writes parts to files as their bytes pass, and records size, digest and type of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from eci_convert.disks.probe import ContentProbe
from eci_convert.errors import LimitExceededError
from eci_convert.files.atomic import AtomicFiles
from eci_convert.files.safe_open import read_chunks
from eci_convert.files.space import check_free_space
from eci_convert.files.sparse import write_dense, write_sparse
from eci_convert.model import DISK_ROLES, DiskType, Part
from eci_convert.oci.digest import Digest
from eci_convert.streams.hashing import HashingStream

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

_IMPLAUSIBLE_SIZE = 1 << 50
"""A size in bytes that is a lie, which will come out when the bytes do not come."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutputTarget:
    """Where *part* goes: to *path*, whose file is replaced when all is known good; or into the open *file*."""

    part: Part
    path: Path | None = None
    file: BinaryIO | None = None


class Discard(BytesIO):
    """An output for which nothing is kept: the bytes are only looked at as they pass, and may pass again."""

    def write(self, data: Buffer, /) -> int:
        return len(memoryview(data).cast("B"))


@dataclass(frozen=True, slots=True, kw_only=True)
class FileResult:
    """What was written for a target. *digest* is None unless it was requested; *disk_type* is what the bytes are."""

    size: int
    digest: Digest | None
    disk_type: DiskType | None


class OutputFiles:
    """Files to be, in a `with AtomicFiles()`. *max_size* (bytes) bounds each; without *sparse* they get no holes."""

    def __init__(self, staged: AtomicFiles, *, max_size: int | None, sparse: bool, digests: bool) -> None:
        self.written: dict[OutputTarget, FileResult] = {}
        self._staged = staged
        self._files: dict[OutputTarget, BinaryIO] = {}
        self._max_size = max_size
        self._sparse = sparse
        self._digests = digests

    def write(
        self,
        targets: Sequence[OutputTarget],
        chunks: Iterable[bytes],
        *,
        size: int | None = None,
        digest: Digest | None = None,
    ) -> None:
        """Writes *chunks* to every one of *targets*; what went to their paths before is forgotten.

        *size* (bytes) and *digest* are given where they are known. Raises LimitExceededError over the limit,
        LocalError.
        """
        first, *others = sorted(targets, key=lambda target: target.path is None)
        self._check(first, size or 0)
        seen = ContentProbe(_tee(self._limited(first, chunks), others))
        measured = HashingStream(seen, threaded=True) if self._digests and digest is None else None
        self._put(first, seen if measured is None else measured)
        if measured is not None:
            digest = measured.digest
        for other in others:
            if other.path:
                self._files[first].seek(0)
                self._put(other, read_chunks(self._files[first].fileno()))
        for target in targets:
            self.written[target] = FileResult(size=seen.size, digest=digest, disk_type=seen.disk_type)

    def _put(self, target: OutputTarget, chunks: Iterable[bytes]) -> None:
        if target.path is None:
            if target.file:
                write_dense(target.file, chunks)
            return
        if target not in self._files:
            self._files[target] = self._staged.add(target.path)
        file = self._files[target]
        if self._sparse:
            write_sparse(file, chunks)
            return
        file.seek(0)
        file.truncate()
        write_dense(file, chunks)

    def _check(self, target: OutputTarget, size: int) -> None:
        if self._max_size is not None and size > self._max_size:
            raise LimitExceededError(f"{target.part.name!r} is larger than the limit of {self._max_size} bytes")
        may_have_holes = self._sparse and target.part.role in DISK_ROLES
        if target.path and not may_have_holes and size < _IMPLAUSIBLE_SIZE:
            check_free_space(target.path, size)

    def _limited(self, target: OutputTarget, chunks: Iterable[bytes]) -> Iterator[bytes]:
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if self._max_size is not None and size > self._max_size:
                raise LimitExceededError(f"{target.part.name!r} is larger than the limit of {self._max_size} bytes")
            yield chunk


def _tee(chunks: Iterable[bytes], others: Sequence[OutputTarget]) -> Iterator[bytes]:
    """*chunks* as they are, once they are written to those of *others* that are open files."""
    for chunk in chunks:
        for target in others:
            if target.file and not target.path:
                write_dense(target.file, (chunk,))
        yield chunk
