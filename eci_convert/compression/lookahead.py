"""A stream of chunks with lookahead."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from eci_convert.errors import CorruptStreamError, LimitExceededError


class LookaheadReader:
    """The current chunk and a position in it. Data is copied only if it spans chunks."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._data = b""
        self._view = memoryview(self._data)
        self._at = 0

    def view(self) -> memoryview:
        """The rest of the current chunk: at least what `at_least` has read."""
        return self._view[self._at :]

    def at_least(self, length: int) -> bool:
        """Reads until *length* bytes are in view; False if the stream ends before."""
        have = len(self._view) - self._at
        if have >= length:
            return True
        pieces: list[bytes | memoryview] = [self.view()] if have else []
        for chunk in self._chunks:
            pieces.append(chunk)
            have += len(chunk)
            if have >= length:
                break
        self._data = b"".join(pieces)  # a single chunk is not copied
        self._view, self._at = memoryview(self._data), 0
        return have >= length

    def take(self, limit: int) -> memoryview:
        """At least one and at most *limit* bytes; empty at the end."""
        self.at_least(1)
        piece = self._view[self._at : self._at + limit]
        self._at += len(piece)
        return piece

    def unread(self, length: int) -> None:
        """Puts back the last *length* bytes of the last `take`."""
        self._at -= length

    def push_back(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Inserts *pieces*, in order, before the rest of the stream."""
        self._chunks = chain([bytes(piece) for piece in (*pieces, self.view())], self._chunks)
        self._data, self._view, self._at = b"", memoryview(b""), 0

    def find(self, what: bytes, start: int, limit: int) -> int:
        """The offset in view of the first *what* at or after *start* that ends within *limit* bytes; -1 if there is
        none.

        The match is in view then, and more may be.
        """
        while True:
            end = min(len(self._view) - self._at, limit)
            offset = self._data.find(what, self._at + start, self._at + end)
            if offset >= 0:
                return offset - self._at
            if end == limit or (not self.at_least(min(2 * end + 1, limit)) and len(self._view) == end):
                return -1
            start = max(start, end - len(what) + 1)

    def find_nul(self, start: int, limit: int) -> int:
        """The offset in view after the first NUL at or after *start*.

        Raises CorruptStreamError if there is none before the end, LimitExceededError if there is none within *limit*
        bytes.
        """
        while True:
            view = self.view()
            offset = bytes(view[start:limit]).find(0)
            if offset >= 0:
                return start + offset + 1
            if len(view) > limit:
                raise LimitExceededError(f"a header is longer than {limit} bytes")
            if not self.at_least(len(view) + 1):
                raise CorruptStreamError("unexpected EOF in a header")
