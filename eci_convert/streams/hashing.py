"""Size and digest of a stream, and verified streams."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from eci_convert.errors import DigestMismatchError, LimitExceededError, SizeMismatchError
from eci_convert.oci.digest import Digest, Hasher
from eci_convert.streams import interrupts
from eci_convert.streams.blocks import ZERO_BLOCK
from eci_convert.streams.threads import BoundedQueue, WorkerThread

_BEHIND: Final = 32 << 20
"""Bytes. Hashing a hole takes longer than compressing it; the hash catches up in the data that follows."""
_PAUSE: Final = 0.005
_AHEAD: Final = min(1 << 30, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 8)
"""Bytes that the hash of a file may be ahead of its other reader: they must still be in the page cache then."""


class HashingStream:
    """*chunks* once, unchanged; afterwards their *size* in bytes and their *digest*.

    With *threaded* they are hashed by a thread, up to *behind* bytes behind the consumer: useful if the consumer has
    work to do, such as compressing. *again* is an independent copy of the same chunks, from a file that does not
    change: the hashing thread reads it instead of following the consumer, so that hashing zeros overlaps with
    compressing data. *hashed* is called with the number of bytes hashed since its last call.
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        *,
        threaded: bool = False,
        behind: int = _BEHIND,
        again: Iterable[bytes] | None = None,
        hashed: Callable[[int], None] | None = None,
    ) -> None:
        self._chunks = chunks
        self._threaded = threaded
        self._behind = behind
        self._again = again
        self._hashed_bytes = hashed or _ignore
        self._data = 0
        self._left = False
        self._digest: Digest | None = None
        self.size = 0

    @property
    def digest(self) -> Digest:
        """The sha256 of all chunks. Raises ValueError before the end."""
        if self._digest is None:
            raise ValueError("the stream was not read to its end")
        return self._digest

    def __iter__(self) -> Iterator[bytes]:
        hasher = hashlib.sha256()
        if self._again is not None:
            yield from self._hash_independently(hasher, self._again)
        else:
            yield from self._hashed_behind(hasher) if self._threaded else self._hashed(hasher)
        self._digest = Digest("sha256", hasher.hexdigest())

    def _hashed(self, hasher: Hasher) -> Iterator[bytes]:
        for chunk in self._chunks:
            hasher.update(chunk)
            self.size += len(chunk)
            yield chunk

    def _hashed_behind(self, hasher: Hasher) -> Iterator[bytes]:
        queue = BoundedQueue(self._behind)
        hashing = WorkerThread(lambda: self._update(hasher, queue), "hash")
        try:
            for chunk in self._chunks:
                self.size += len(chunk)
                if chunk:
                    queue.push(chunk)
                yield chunk
            queue.end()
            hashing.result()
        finally:
            queue.stop()
            hashing.join_briefly()

    def _update(self, hasher: Hasher, queue: BoundedQueue) -> None:
        while chunk := queue.pop():
            hasher.update(chunk)
            self._hashed_bytes(len(chunk))

    def _hash_independently(self, hasher: Hasher, again: Iterable[bytes]) -> Iterator[bytes]:
        hashing = WorkerThread(lambda: self._read(hasher, again), "hash")
        try:
            for chunk in self._chunks:
                self.size += len(chunk)
                self._data += 0 if chunk is ZERO_BLOCK else len(chunk)
                yield chunk
            hashing.result()
        finally:
            self._left = True
            hashing.join_briefly()

    def _read(self, hasher: Hasher, again: Iterable[bytes]) -> None:
        data = 0
        for chunk in again:
            hasher.update(chunk)
            self._hashed_bytes(len(chunk))
            data += 0 if chunk is ZERO_BLOCK else len(chunk)
            while data - self._data > _AHEAD and not self._left:
                interrupts.sleep(_PAUSE)
            if self._left:
                return


def _ignore(count: int) -> None: ...


def verified(chunks: Iterable[bytes], digest: Digest, size: int | None) -> Iterator[bytes]:
    """*chunks* unchanged, never more than *size* bytes. *size* None: unknown, the digest decides.

    The verification is complete when the iterator is exhausted. Raises SizeMismatchError as soon as there are more than
    *size* bytes, and at the end SizeMismatchError or DigestMismatchError; and KeyboardInterrupt.
    """
    hasher, seen = digest.hasher(), 0
    for chunk in chunks:
        interrupts.check()
        seen += len(chunk)
        if size is not None and seen > size:
            raise SizeMismatchError(size, seen)
        hasher.update(chunk)
        yield chunk
    if size is not None and seen != size:
        raise SizeMismatchError(size, seen)
    if hasher.hexdigest() != digest.hex:
        raise DigestMismatchError(digest, f"{digest.algorithm}:{hasher.hexdigest()}")


def at_most(chunks: Iterable[bytes], limit: int, what: str = "content") -> Iterator[bytes]:
    """*chunks* unchanged; raises LimitExceededError instead of yielding a chunk beyond *limit* bytes."""
    seen = 0
    for chunk in chunks:
        seen += len(chunk)
        if seen > limit:
            raise LimitExceededError(f"{what} is longer than {limit} bytes")
        yield chunk
