"""A stream of chunks with a view of what comes next."""

from __future__ import annotations

from collections.abc import Iterable

from eci_convert.errors import CorruptStream, LimitExceeded


class Window:
    """The chunk that is being read, and a position in it. What is asked for is copied only where it spans chunks."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._view = memoryview(b"")
        self._at = 0

    def view(self) -> memoryview:
        """What is left of the current chunk: as much as `at_least` has brought in, or more."""
        return self._view[self._at :]

    def at_least(self, length: int) -> bool:
        """Bring *length* bytes into view; False if there are fewer before the end."""
        while len(self._view) - self._at < length:
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            rest = self.view()
            self._view = memoryview(bytes(rest) + chunk if rest else chunk)
            self._at = 0
        return True

    def take(self, limit: int) -> memoryview:
        """At least one and at most *limit* bytes; none at the end."""
        self.at_least(1)
        piece = self._view[self._at : self._at + limit]
        self._at += len(piece)
        return piece

    def give_back(self, length: int) -> None:
        """Undo the taking of the last *length* bytes of the piece that was taken last."""
        self._at -= length

    def past_nul(self, start: int, limit: int) -> int:
        """The offset in view that is one past the first NUL at or after *start*.

        Raises CorruptStream if there is none before the end, and LimitExceeded if there is none within *limit* bytes.
        """
        while True:
            view = self.view()
            found = bytes(view[start:limit]).find(0)
            if found >= 0:
                return start + found + 1
            if len(view) > limit:
                raise LimitExceeded(f"a header is longer than {limit} bytes")
            if not self.at_least(len(view) + 1):
                raise CorruptStream("the stream ends in the middle of a header")
