"""ByteReader: exact reads from a stream of chunks for structure, uncopied chunks for content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from eci_convert.errors import CorruptStreamError, LimitExceededError

MAX_EXTENSIONS: Final = 64 << 20
"""Bytes in extension headers and sparse maps for one image: a few seconds of work, and the long names of 250,000
files."""
_HEADER_COST: Final = 64  # bytes charged for the header block of an extension
_RECORD_COST: Final = 32  # bytes charged for each record, or entry of a sparse map


class ExtensionBudget:
    """What is left of MAX_EXTENSIONS, shared by several archives."""

    def __init__(self) -> None:
        self._left = MAX_EXTENSIONS

    def spend(self, length: int, records: int = 0) -> None:
        """Charges an extension of *length* bytes or with *records* records. Raises LimitExceededError."""
        self._left -= length + (records * _RECORD_COST or _HEADER_COST)
        if self._left < 0:
            raise LimitExceededError(f"the archive has more than {MAX_EXTENSIONS} bytes of extension headers")


class ByteReader:
    """Chunks and a position in them. Content is copied only if it begins or ends within a chunk.

    Structure other than header blocks counts towards *budget*; None: a budget of its own.
    """

    def __init__(self, chunks: Iterable[bytes], budget: ExtensionBudget | None = None) -> None:
        self.budget = budget or ExtensionBudget()
        self._chunks = iter(chunks)
        self._chunk = b""
        self._at = 0

    def read_up_to(self, length: int) -> bytes:
        """The next *length* bytes, fewer at the end."""
        data = self._chunk[self._at : self._at + length]
        self._at += len(data)
        while len(data) < length and self._more():
            piece = self._chunk[: length - len(data)]
            self._at = len(piece)
            data += piece
        return data

    def read_exactly(self, length: int) -> bytes:
        """The next *length* bytes of an extension header or a map. Raises CorruptStreamError if the stream ends before,
        and LimitExceededError if the budget is exceeded."""
        self.budget.spend(length)
        data = self.read_up_to(length)
        if len(data) < length:
            raise CorruptStreamError("unexpected EOF in a member of the archive")
        return data

    def read_some(self, limit: int) -> bytes:
        """At least one and at most *limit* bytes, a whole chunk if it fits. Raises CorruptStreamError at the end."""
        if self._at == len(self._chunk) and not self._more():
            raise CorruptStreamError("unexpected EOF in a member of the archive")
        whole = not self._at and len(self._chunk) <= limit
        data = self._chunk if whole else self._chunk[self._at : self._at + limit]
        self._at += len(data)
        return data

    def skip(self, length: int) -> None:
        """Skips *length* bytes. Raises CorruptStreamError if the stream ends before."""
        while length:
            if self._at == len(self._chunk) and not self._more():
                raise CorruptStreamError("unexpected EOF in a member of the archive")
            step = min(length, len(self._chunk) - self._at)
            self._at += step
            length -= step

    def drain(self) -> None:
        """Reads and discards the rest."""
        self._chunk, self._at = b"", 0
        for _ in self._chunks:
            pass

    def _more(self) -> bool:
        """Advances to the next chunk that is not empty; False at the end."""
        for chunk in self._chunks:
            if chunk:
                self._chunk, self._at = chunk, 0
                return True
        self._chunk, self._at = b"", 0
        return False


class MemberContent:
    """An iterator over the stored bytes of one member, valid until the next member is read."""

    def __init__(self, source: ByteReader, length: int) -> None:
        self._source = source
        self._left = length
        self._padding = -length % 512
        self._over = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if not self._left and not self._over:
            raise StopIteration
        return self.read_some(self._left)

    def read_some(self, limit: int) -> bytes:
        """At least one and at most *limit* of the remaining bytes."""
        if self._over:
            raise ValueError("the archive was read past this member")
        data = self._source.read_some(min(limit, self._left))
        self._left -= len(data)
        return data

    def finish(self) -> None:
        """Skips the rest and the padding, which the last member of an archive may lack (umoci insert)."""
        self._source.skip(self._left)
        if self._padding:
            self._source.read_up_to(self._padding)
        self._left, self._over = 0, True
