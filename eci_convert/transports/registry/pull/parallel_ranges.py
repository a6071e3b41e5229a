"""The rest of a blob over several connections at once, for links that give each connection little.

Ranges of 4 MiB at most are fetched ahead and handed on in order; shorter ones where a connection gives little, for a
range that is not whole is lost when the process is killed. More connections are opened only while they pay.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from eci_convert.errors import TransportError
from eci_convert.streams import interrupts
from eci_convert.transports.registry.client import RegistryClient
from eci_convert.transports.registry.http.response import Response
from eci_convert.transports.registry.http.retry import TransientError
from eci_convert.transports.registry.pull.blob_endpoint import BlobEndpoint, matches_range

RANGE = 4 * 1024 * 1024
SLOW = 150_000_000
"""Bytes a second. Whoever gets more than that from one connection gains nothing from a second."""

_PIECE = 1024 * 1024
_SHORTEST = 512 * 1024
_SECONDS = 0.25
"""How long a range may take."""

_FEW, _MANY = 4, 8
_AHEAD = 3
_EPOCH = 8
_PAYING = 1.2


class RangesUnsupported(TransportError):
    """The server does not hand out several ranges at once. *one_works*: but perhaps one at a time."""

    def __init__(self, message: str, *, one_works: bool) -> None:
        super().__init__(message)
        self.one_works = one_works


class ParallelRanges:
    """The bytes of *target* from offset *first* to before *end*. A context manager: leaving it stops the fetching.

    *speed* is the bytes a second that one connection has been seen to give.
    """

    def __init__(self, client: RegistryClient, target: BlobEndpoint, first: int, end: int, speed: float) -> None:
        self._client = client
        self._target = target
        self._next = first
        self._end = end
        self._length = min(RANGE, max(_SHORTEST, int(speed * _SECONDS)))
        self._workers = min(_FEW, client.settings.concurrency * 2)
        self._most = min(_MANY, client.settings.concurrency * 2)
        self._pool = ThreadPoolExecutor(self._most, thread_name_prefix="range")
        self._lock = threading.Lock()
        self._under_way: set[Response] = set()
        self._stopped = False
        self._free = deque[memoryview]()

    def __enter__(self) -> Iterator[bytes]:
        return self._pieces()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._stopped = True
            for answer in self._under_way:
                answer.abort()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _pieces(self) -> Iterator[bytes]:
        """Raises NoRanges, after which nothing is lost: all that was handed on is in order."""
        waiting = deque[Future[memoryview]]()
        pace = _ConnectionScaling(self._workers, self._most)
        while True:
            while self._next < self._end and len(waiting) < pace.workers + _AHEAD:
                last = min(self._next + self._length, self._end)
                waiting.append(self._pool.submit(self._fetched, self._next, last))
                self._next = last
            if not waiting:
                return
            begun = time.monotonic()
            found = interrupts.result(waiting.popleft())
            pace.waited(time.monotonic() - begun)
            for start in range(0, len(found), _PIECE):
                yield bytes(found[start : start + _PIECE])
            self._free.append(found)

    def _fetched(self, first: int, end: int) -> memoryview:
        """The bytes from offset *first* to before *end*, in one of a few buffers that are used over and over: small
        pieces that wait in eight threads would take malloc three times the room."""
        try:
            found = self._free.pop()[: end - first]
        except IndexError:
            found = memoryview(bytearray(end - first))
        at, patience = 0, self._client.patience(end - first)
        while at < len(found):
            try:
                for count in self._received(found[at:], first + at, end):
                    at += count
                    patience.record_progress(count)
            except TransientError as error:
                if self._stopped:
                    raise
                if error.status == 429:
                    raise RangesUnsupported(str(error), one_works=True) from error
                patience.wait_or_raise(error)
        return found

    def _received(self, view: memoryview, first: int, end: int) -> Iterator[int]:
        """Fills *view* with what one request gives of the range, telling how many bytes came each time."""
        answer = self._target.opened(f"bytes={first}-{end - 1}")
        with self._lock:
            self._under_way.add(answer)
        try:
            with answer:
                if self._stopped:
                    raise TransientError("stopped")
                if answer.status != 206 or not matches_range(answer, first, end - 1):
                    raise RangesUnsupported(f"{answer.url.shown}: ranges are not handed out as asked", one_works=False)
                while view and (count := answer.readinto(view)):
                    view = view[count:]
                    yield count
            if view:
                raise TransientError(f"{answer.url.shown}: the answer ended {len(view)} bytes early")
        finally:
            with self._lock:
                self._under_way.discard(answer)


class _ConnectionScaling:
    """How many connections to use: twice as many if we wait for them, and back if that was no faster."""

    def __init__(self, workers: int, most: int) -> None:
        self.workers = workers
        self._most = most
        self._settled = workers >= most
        self._ranges = 0
        self._waiting = 0.0
        self._begun = time.monotonic()
        self._before = 0.0

    def waited(self, seconds: float) -> None:
        """One more range was handed on, after *seconds* of waiting for it."""
        self._ranges += 1
        self._waiting += seconds
        if self._settled or self._ranges < _EPOCH:
            return
        elapsed = time.monotonic() - self._begun
        rate = self._ranges / max(elapsed, 1e-6)
        if self._before:
            self._settled = True
            if rate < self._before * _PAYING:
                self.workers //= 2
        elif self._waiting > elapsed / 2:
            self.workers, self._before = min(self.workers * 2, self._most), rate
        self._ranges, self._waiting, self._begun = 0, 0.0, time.monotonic()
