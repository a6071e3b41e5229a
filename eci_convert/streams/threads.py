"""Worker threads, and the bounded queue between them."""

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
_SHORT_JOIN_TIMEOUT = 0.3  # seconds, if the whole program is to stop


class WorkerThread(Thread):
    """Runs *work* in a thread of its own, started at once.

    A daemon thread: a program that ends with a stage half read must not hang.
    """

    def __init__(self, work: Callable[[], None], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - `result` raises it in the caller's thread
            self._error = error

    def result(self) -> None:
        """Waits for the end of the work, and raises what it raised."""
        interrupts.join(self)
        if self._error is not None:
            raise self._error

    def join_briefly(self) -> None:
        """Waits for the end of the work, but not for long, and not if the program is ending.

        Abandoned work ends at its next chunk. If that does not arrive, because a network stalls, an interrupted user
        must not have to wait.
        """
        if not sys.is_finalizing():
            self.join(_SHORT_JOIN_TIMEOUT if interrupts.requested() else _JOIN_TIMEOUT)


class BoundedQueue:
    """A FIFO bounded to *depth* bytes. The shared zero block counts as 64 bytes, so that runs of zeros never block the
    producer."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._chunks: deque[bytes] = deque()
        self._bytes = 0
        self._ended = False
        self._changed = Condition()

    def push(self, chunk: bytes) -> bool:
        """Waits for room and appends *chunk*; False if the consumer has stopped."""
        with self._changed:
            queued_bytes = _memory(chunk)
            interrupts.wait_for(
                self._changed, lambda: self._ended or not self._bytes or self._bytes + queued_bytes <= self._depth
            )
            if not self._ended:
                self._chunks.append(chunk)
                self._bytes += queued_bytes
                self._changed.notify()
            return not self._ended

    def pop(self) -> bytes:
        """Waits for a chunk and removes it; empty at the end."""
        with self._changed:
            interrupts.wait_for(self._changed, lambda: self._chunks or self._ended)
            chunk = self._chunks.popleft() if self._chunks else b""
            self._bytes -= _memory(chunk)
            self._changed.notify()
            return chunk

    def end(self) -> None:
        """Called by the producer: no more chunks follow; queued ones can still be taken."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def stop(self) -> None:
        """Called by the consumer: no more chunks are taken."""
        with self._changed:
            self._ended = True
            self._chunks.clear()
            self._bytes = 0
            self._changed.notify()


def _memory(chunk: bytes) -> int:
    """The approximate memory of *chunk*; the shared block of zeros exists once."""
    return 64 if chunk is ZERO_BLOCK else len(chunk)


DEPTH: Final = 4 << 20
"""Bytes that a stage may be ahead of the next one."""
_MOST_THREADS = 8  # each needs some MiB of memory, and no disk is faster


def worker_count(threads: int | None = None) -> int:
    """The number of threads for a stage that can use several: None is one for each available core, at most 8."""
    return threads or min(len(os.sched_getaffinity(0)), _MOST_THREADS)


def prefetch(chunks: Iterable[bytes], depth: int = DEPTH) -> Iterator[bytes]:
    """*chunks* unchanged, read by a thread of its own, up to *depth* bytes (at least one chunk) ahead.

    Exceptions of *chunks* are raised here in their place. The thread ends with this iterator: at the end, after an
    error, or when it is closed or garbage-collected; *chunks*, if it is a generator, is closed in the thread that ran
    it.
    """
    queue = BoundedQueue(depth)
    filling = WorkerThread(lambda: _fill(queue, chunks), "ahead")
    try:
        while chunk := queue.pop():
            yield chunk
        filling.result()
    finally:
        queue.stop()
        filling.join_briefly()


def _fill(queue: BoundedQueue, chunks: Iterable[bytes]) -> None:
    source = iter(chunks)
    try:
        for chunk in source:
            interrupts.check()
            if chunk and not queue.push(chunk):
                return
    finally:
        if isinstance(source, Generator):
            source.close()
        queue.end()


@contextmanager
def prefetched(chunks: Iterable[bytes]) -> Iterator[Iterator[bytes]]:
    """*chunks*, read by a thread that has ended when the block has, unless it is stalled."""
    stage = prefetch(chunks)
    try:
        yield stage
    finally:
        if isinstance(stage, Generator):
            with suppress(ValueError):  # still running: its consumer was abandoned during a stall
                stage.close()
