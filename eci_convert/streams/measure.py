"""The length and the digest of what went by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

from eci_convert.oci.digest import Digest, Hasher
from eci_convert.streams.belt import Belt, Companion

_BEHIND: Final = 32 << 20
"""The hash of a hole takes longer than compressing it, and catches up in the data that follows."""


class Measured:
    """*chunks* once over, as they are; *size* in bytes, and *digest* once all have gone by.

    With *threaded* they are hashed in a thread of its own, up to *behind* bytes behind the reader: worth while where
    whoever reads them has work to do, such as compressing.
    """

    def __init__(self, chunks: Iterable[bytes], *, threaded: bool = False, behind: int = _BEHIND) -> None:
        self._chunks = chunks
        self._threaded = threaded
        self._behind = behind
        self._digest: Digest | None = None
        self.size = 0

    @property
    def digest(self) -> Digest:
        """The sha256 of all chunks. Raises ValueError before they have all gone by."""
        if self._digest is None:
            raise ValueError("not everything has gone by yet")
        return self._digest

    def __iter__(self) -> Iterator[bytes]:
        hasher = hashlib.sha256()
        yield from self._hashed_behind(hasher) if self._threaded else self._hashed(hasher)
        self._digest = Digest("sha256", hasher.hexdigest())

    def _hashed(self, hasher: Hasher) -> Iterator[bytes]:
        for chunk in self._chunks:
            hasher.update(chunk)
            self.size += len(chunk)
            yield chunk

    def _hashed_behind(self, hasher: Hasher) -> Iterator[bytes]:
        belt = Belt(self._behind)
        hashing = Companion(lambda: _update(hasher, belt), "hash")
        try:
            for chunk in self._chunks:
                self.size += len(chunk)
                if chunk:
                    belt.put(chunk)
                yield chunk
            belt.end()
            hashing.result()
        finally:
            belt.stop()
            hashing.leave()


def _update(hasher: Hasher, belt: Belt) -> None:
    while chunk := belt.take():
        hasher.update(chunk)
