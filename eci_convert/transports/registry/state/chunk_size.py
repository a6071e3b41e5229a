"""The chunk size for connections that are lost: halved after each loss, doubled after a run of successes."""

from __future__ import annotations

import threading

_SUCCESSES_TO_GROW = 4
"""Successful chunks in a row before the size is doubled; twice as many after each further loss."""

_MOST_SUCCESSES_NEEDED = 64


class ChunkSizeControl:
    """The chunk size for uploads to one host, kept for the life of the process. Thread-safe.

    Chunks are never smaller than *smallest* bytes; there is no limit any more once *largest* would be reached.
    """

    def __init__(self, smallest: int, largest: int) -> None:
        self.shortened = 0
        self._smallest = smallest
        self._largest = largest
        self._lock = threading.Lock()
        self._limit: int | None = None
        self._successes_needed = _SUCCESSES_TO_GROW
        self._successes = 0
        self._sessions_lost = False

    @property
    def lossy(self) -> bool:
        """Whether each chunk should use a connection of its own: some middleboxes carry so many bytes for each
        connection."""
        return self._limit is not None

    @property
    def limit(self) -> int | None:
        """The largest chunk in bytes; None if no connection was lost."""
        return self._limit

    def start_upload(self) -> None:
        """Called at the start of an upload: the moment when losing a larger chunk costs no other data."""
        with self._lock:
            self._lengthen()

    def record_success(self, length: int) -> None:
        """A chunk of *length* bytes was stored. Where a loss costs the whole upload, the size does not grow within
        one."""
        with self._lock:
            if self._limit is not None and length >= self._limit:
                self._successes += 1
                if not self._sessions_lost:
                    self._lengthen()

    def record_loss(self, length: int, *, lost: bool) -> None:
        """A chunk of *length* bytes was lost with its connection; *lost*: and the upload session with it.

        Halves the size; quarters it if no chunk succeeded since the last loss.
        """
        with self._lock:
            self._sessions_lost |= lost
            if length < self._smallest or (self._limit is not None and length > self._limit):
                return  # too short to be significant, or sent before the last loss was recorded
            divisor = 4 if self._limit is not None and not self._successes else 2
            before, self._limit = self._limit, max(length // divisor, self._smallest)
            self._successes, self._successes_needed = 0, min(2 * self._successes_needed, _MOST_SUCCESSES_NEEDED)
            self.shortened += self._limit != before

    def _lengthen(self) -> None:
        if self._limit is not None and self._successes >= self._successes_needed:
            doubled = 2 * self._limit
            self._limit, self._successes = (doubled if doubled < self._largest else None), 0
