"""The length and the digest of what went by."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from typing import Final

from eci_convert.errors import DigestMismatchError, LimitExceededError, SizeMismatchError
from eci_convert.oci.digest import Digest, Hasher
from eci_convert.streams import interrupts
from eci_convert.streams.blocks import ZERO_BLOCK
from eci_convert.streams.threads import BoundedQueue, WorkerThread

_BEHIND: Final = 32 << 20
"""The hash of a hole takes longer than compressing it, and catches up in the data that follows."""
_PAUSE: Final = 0.005
_AHEAD: Final = min(1 << 30, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 8)
"""Bytes of a file that its hash may be ahead of whoever else reads it: they must still be in memory then."""


class HashingStream:
    """*chunks* once over, as they are; *size* in bytes, and *digest* once all have gone by.

    With *threaded* they are hashed in a thread of its own, up to *behind* bytes behind the reader: worth while where
    whoever reads them has work to do, such as compressing. *again* are the same chunks for that thread to read by
    itself, where they come from a file that stays the same: it need not wait then for a reader who is slow in data,
    and hashes the holes meanwhile, which cost the reader nothing and it as much as data.
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        *,
        threaded: bool = False,
        behind: int = _BEHIND,
        again: Iterable[bytes] | None = None,
    ) -> None:
        self._chunks = chunks
        self._threaded = threaded
        self._behind = behind
        self._again = again
        self._data = 0
        self._left = False
        self._digest: Digest | None = None
        self.size = 0

    @property
    def digest(self) -> Digest:
        """The sha256 of all chunks. Raises ValueError before they have all gone by."""
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
        belt = BoundedQueue(self._behind)
        hashing = WorkerThread(lambda: _update(hasher, belt), "hash")
        try:
            for chunk in self._chunks:
                self.size += len(chunk)
                if chunk:
                    belt.push(chunk)
                yield chunk
            belt.end()
            hashing.result()
        finally:
            belt.stop()
            hashing.join_briefly()

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
            data += 0 if chunk is ZERO_BLOCK else len(chunk)
            while data - self._data > _AHEAD and not self._left:
                interrupts.sleep(_PAUSE)
            if self._left:
                return


def _update(hasher: Hasher, belt: BoundedQueue) -> None:
    while chunk := belt.pop():
        hasher.update(chunk)


def verified(chunks: Iterable[bytes], digest: Digest, size: int | None) -> Iterator[bytes]:
    """*chunks* as they are, never more than *size* bytes of them. *size* None: nobody knows it, the digest decides.

    The verdict comes when the last chunk has gone by: whoever stops earlier has no verdict. Raises SizeMismatch as soon
    as there are more than *size* bytes, and at the end SizeMismatch or DigestMismatch; and KeyboardInterrupt.
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
    """*chunks* as they are; LimitExceeded instead of the chunk that makes them more than *limit* bytes."""
    seen = 0
    for chunk in chunks:
        seen += len(chunk)
        if seen > limit:
            raise LimitExceededError(f"{what} is longer than {limit} bytes")
        yield chunk
