"""Stages that run at the same time: each side of `ahead` has a thread of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Condition
from typing import Final

DEPTH: Final = 4 << 20
"""How many bytes a stage may be ahead of the next one."""


def ahead(chunks: Iterable[bytes], depth: int = DEPTH) -> Iterator[bytes]:
    """*chunks* as they are, fetched in a thread of its own, which is up to *depth* bytes (one chunk at least) ahead.

    What *chunks* raises is raised here, in its place. The thread ends with this iterator: at the end, at an error,
    or when it is closed or forgotten; *chunks*, if it is a generator, is closed in the thread that ran it.
    """
    belt = _Belt(depth)
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        filling = pool.submit(_fill, belt, chunks)
        try:
            while chunk := belt.take():
                yield chunk
            filling.result()
        finally:
            belt.stop()


class _Belt:
    """A queue of bytes that is full at *depth* of them."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._chunks: deque[bytes] = deque()
        self._bytes = 0
        self._ended = False
        self._changed = Condition()

    def put(self, chunk: bytes) -> bool:
        """Wait for room and append *chunk*; False if nobody wants it any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or not self._bytes or self._bytes + len(chunk) <= self._depth)
            if not self._ended:
                self._chunks.append(chunk)
                self._bytes += len(chunk)
                self._changed.notify()
            return not self._ended

    def take(self) -> bytes:
        """Wait for a chunk and remove it; an empty one at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._chunks or self._ended)
            chunk = self._chunks.popleft() if self._chunks else b""
            self._bytes -= len(chunk)
            self._changed.notify()
            return chunk

    def end(self) -> None:
        """No more will be put; what is there can still be taken."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def stop(self) -> None:
        """No more will be taken."""
        with self._changed:
            self._ended = True
            self._chunks.clear()
            self._bytes = 0
            self._changed.notify()


def _fill(belt: _Belt, chunks: Iterable[bytes]) -> None:
    source = iter(chunks)
    try:
        for chunk in source:
            if chunk and not belt.put(chunk):
                return
    finally:
        if isinstance(source, Generator):
            source.close()
        belt.end()
