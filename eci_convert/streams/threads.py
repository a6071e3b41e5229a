"""What one thread hands to another: chunks, in order, in bounded memory; and the thread."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Condition, Thread
from typing import Final

from eci_convert.streams import interrupts
from eci_convert.streams.blocks import ZERO_BLOCK

_JOIN_TIMEOUT = 2.0  # seconds
_HASTE = 0.3  # seconds, where the whole program is to stop


class WorkerThread(Thread):
    """*work* in a thread of its own, begun at once.

    It does not keep the program alive: one that ends with a stage half read, however that came about, must not hang.
    """

    def __init__(self, work: Callable[[], None], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - `result` raises it, where somebody can do something about it
            self._error = error

    def result(self) -> None:
        """Wait for the end of the work, and raise what it raised."""
        interrupts.join(self)
        if self._error is not None:
            raise self._error

    def join_briefly(self) -> None:
        """Wait for the end of the work, but not for long, and not if the program is ending, and threads with it.

        Work that nobody wants any more ends at its next chunk. Where that does not come, because a network stalls, an
        interrupted user must not wait for it.
        """
        if not sys.is_finalizing():
            self.join(_HASTE if interrupts.requested() else _JOIN_TIMEOUT)


class BoundedQueue:
    """A queue that is full at *depth* bytes. Holes take no room in it: who is slower in them catches up afterwards."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._chunks: deque[bytes] = deque()
        self._bytes = 0
        self._ended = False
        self._changed = Condition()

    def push(self, chunk: bytes) -> bool:
        """Wait for room and append *chunk*; False if nobody wants it any more."""
        with self._changed:
            held = _memory(chunk)
            interrupts.wait_for(
                self._changed, lambda: self._ended or not self._bytes or self._bytes + held <= self._depth
            )
            if not self._ended:
                self._chunks.append(chunk)
                self._bytes += held
                self._changed.notify()
            return not self._ended

    def pop(self) -> bytes:
        """Wait for a chunk and remove it; an empty one at the end."""
        with self._changed:
            interrupts.wait_for(self._changed, lambda: self._chunks or self._ended)
            chunk = self._chunks.popleft() if self._chunks else b""
            self._bytes -= _memory(chunk)
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


def _memory(chunk: bytes) -> int:
    """What *chunk* takes in memory, about: the block of zeros is there once."""
    return 64 if chunk is ZERO_BLOCK else len(chunk)


DEPTH: Final = 4 << 20
"""How many bytes a stage may be ahead of the next one."""
_MOST_THREADS = 8  # some MiB of memory for each, and no disk is faster


def worker_count(threads: int | None = None) -> int:
    """How many *threads* a stage has that can use several: None is one for each core we may use, and at most 8."""
    return threads or min(len(os.sched_getaffinity(0)), _MOST_THREADS)


def prefetch(chunks: Iterable[bytes], depth: int = DEPTH) -> Iterator[bytes]:
    """*chunks* as they are, fetched in a thread of its own, which is up to *depth* bytes (one chunk at least) ahead.

    What *chunks* raises is raised here, in its place. The thread ends with this iterator: at the end, at an error,
    or when it is closed or forgotten; *chunks*, if it is a generator, is closed in the thread that ran it.
    """
    belt = BoundedQueue(depth)
    filling = WorkerThread(lambda: _fill(belt, chunks), "ahead")
    try:
        while chunk := belt.pop():
            yield chunk
        filling.result()
    finally:
        belt.stop()
        filling.join_briefly()


def _fill(belt: BoundedQueue, chunks: Iterable[bytes]) -> None:
    source = iter(chunks)
    try:
        for chunk in source:
            interrupts.check()
            if chunk and not belt.push(chunk):
                return
    finally:
        if isinstance(source, Generator):
            source.close()
        belt.end()


@contextmanager
def prefetched(chunks: Iterable[bytes]) -> Iterator[Iterator[bytes]]:
    """*chunks*, made in a thread of its own, which has ended when the `with` has, or never will."""
    stage = prefetch(chunks)
    try:
        yield stage
    finally:
        if isinstance(stage, Generator):
            with suppress(ValueError):  # it is running: the thread that wants its chunks was left behind in a stall
                stage.close()
