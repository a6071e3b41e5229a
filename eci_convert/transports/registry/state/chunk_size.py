"""How long chunks may be on a way where connections break: shorter after each cut, longer again while all goes well."""

from __future__ import annotations

import threading

_SUCCESSES_TO_GROW = 4
"""Chunks in a row that have to arrive before they become longer; twice as many after each further cut."""

_LONGEST_CALM = 64


class ChunkSizeControl:
    """What the uploads to one host learn from cuts, for as long as the process lives. Chunks are never made shorter
    than *smallest* bytes, and nothing is left to be learned of *largest*. Used from several threads."""

    def __init__(self, smallest: int, largest: int) -> None:
        self.shortened = 0
        self._smallest = smallest
        self._largest = largest
        self._lock = threading.Lock()
        self._limit: int | None = None
        self._calm = _SUCCESSES_TO_GROW
        self._arrived = 0
        self._lossy = False

    @property
    def lossy(self) -> bool:
        """Whether each chunk had better go over a connection of its own: some ways carry so many bytes and no more."""
        return self._limit is not None

    @property
    def limit(self) -> int | None:
        """The bytes that a chunk may have; None where no connection broke."""
        return self._limit

    def begun(self) -> None:
        """An upload begins, which is when a longer chunk that is cut costs nothing but itself."""
        with self._lock:
            self._lengthen()

    def record_success(self, length: int) -> None:
        """A chunk of *length* bytes arrived. Where a cut costs all that was sent before, chunks stay as they are."""
        with self._lock:
            if self._limit is not None and length >= self._limit:
                self._arrived += 1
                if not self._lossy:
                    self._lengthen()

    def record_loss(self, length: int, *, lost: bool) -> None:
        """A chunk of *length* bytes did not arrive whole, and the upload is *lost* for it, or is not.

        The next are half as long; a quarter, if none arrived since the last cut.
        """
        with self._lock:
            self._lossy |= lost
            if length < self._smallest or (self._limit is not None and length > self._limit):
                return  # too short to tell of anything, or sent before the last cut was heard of
            part = 4 if self._limit is not None and not self._arrived else 2
            before, self._limit = self._limit, max(length // part, self._smallest)
            self._arrived, self._calm = 0, min(2 * self._calm, _LONGEST_CALM)
            self.shortened += self._limit != before

    def _lengthen(self) -> None:
        if self._limit is not None and self._arrived >= self._calm:
            longer = 2 * self._limit
            self._limit, self._arrived = (longer if longer < self._largest else None), 0
