"""Bytes that are what was promised: passed on as they come, judged at their end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from eci_convert.errors import DigestMismatch, LimitExceeded, SizeMismatch
from eci_convert.oci.digest import Digest
from eci_convert.streams import interrupts


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
            raise SizeMismatch(size, seen)
        hasher.update(chunk)
        yield chunk
    if size is not None and seen != size:
        raise SizeMismatch(size, seen)
    if hasher.hexdigest() != digest.hex:
        raise DigestMismatch(digest, f"{digest.algorithm}:{hasher.hexdigest()}")


def at_most(chunks: Iterable[bytes], limit: int, what: str = "content") -> Iterator[bytes]:
    """*chunks* as they are; LimitExceeded instead of the chunk that makes them more than *limit* bytes."""
    seen = 0
    for chunk in chunks:
        seen += len(chunk)
        if seen > limit:
            raise LimitExceeded(f"{what} is longer than {limit} bytes")
        yield chunk
