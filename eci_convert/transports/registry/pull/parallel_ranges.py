"""Downloads the rest of a blob over several connections, for links that limit the speed of each connection.

Ranges of at most 4 MiB are fetched ahead and yielded in order; smaller ones on slow connections, because an incomplete
range is lost when the process is killed. The number of connections grows only while that pays.
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
"""Bytes a second. One connection that is faster gains nothing from a second one."""

_PIECE = 1024 * 1024
_SHORTEST = 512 * 1024
_SECONDS = 0.25
"""The time that one range should take."""

_FEW, _MANY = 4, 8
_AHEAD = 3
_EPOCH = 8
_PAYING = 1.2


class RangesUnsupported(TransportError):
    """The server does not serve several ranges at once. *one_works*: possibly one at a time."""

    def __init__(self, message: str, *, one_works: bool) -> None:
        super().__init__(message)
        self.one_works = one_works


class ParallelRanges:
    """A context manager for the bytes of *target* from offset *first* to before *end*. Leaving it aborts all requests.

    *speed*: the bytes a second that one connection was measured to give.
    """

    def __init__(self, client: RegistryClient, target: BlobEndpoint, first: int, end: int, speed: float) -> None:
        self._client = client
        self._endpoint = target
        self._next = first
        self._end = end
        self._length = min(RANGE, max(_SHORTEST, int(speed * _SECONDS)))
        self._workers = min(_FEW, client.settings.concurrency * 2)
        self._most = min(_MANY, client.settings.concurrency * 2)
        self._pool = ThreadPoolExecutor(self._most, thread_name_prefix="range")
        self._lock = threading.Lock()
        self._responses: set[Response] = set()
        self._stopped = False
        self._free = deque[memoryview]()

    def __enter__(self) -> Iterator[bytes]:
        return self._pieces()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._stopped = True
            for response in self._responses:
                response.abort()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _pieces(self) -> Iterator[bytes]:
        """Yields the bytes in order. Raises RangesUnsupported, with nothing lost of what was yielded."""
        waiting = deque[Future[memoryview]]()
        scaling = _ConnectionScaling(self._workers, self._most)
        while True:
            while self._next < self._end and len(waiting) < scaling.workers + _AHEAD:
                last = min(self._next + self._length, self._end)
                waiting.append(self._pool.submit(self._fetch, self._next, last))
                self._next = last
            if not waiting:
                return
            started_at = time.monotonic()
            buffer = interrupts.result(waiting.popleft())
            scaling.record_wait(time.monotonic() - started_at)
            for start in range(0, len(buffer), _PIECE):
                yield bytes(buffer[start : start + _PIECE])
            self._free.append(buffer)

    def _fetch(self, first: int, end: int) -> memoryview:
        """The bytes from offset *first* to before *end*, in one of a few reused buffers: small chunks waiting in eight
        threads would make malloc use three times the memory."""
        try:
            buffer = self._free.pop()[: end - first]
        except IndexError:
            buffer = memoryview(bytearray(end - first))
        at, budget = 0, self._client.retry_budget(end - first)
        while at < len(buffer):
            try:
                for count in self._receive(buffer[at:], first + at, end):
                    at += count
                    budget.record_progress(count)
            except TransientError as error:
                if self._stopped:
                    raise
                if error.status == 429:
                    raise RangesUnsupported(str(error), one_works=True) from error
                budget.wait_or_raise(error)
        return buffer

    def _receive(self, view: memoryview, first: int, end: int) -> Iterator[int]:
        """Fills *view* from one range request, yielding the number of bytes received each time."""
        response = self._endpoint.get(f"bytes={first}-{end - 1}")
        with self._lock:
            self._responses.add(response)
        try:
            with response:
                if self._stopped:
                    raise TransientError("stopped")
                if response.status != 206 or not matches_range(response, first, end - 1):
                    raise RangesUnsupported(f"{response.url.shown}: range requests are not supported", one_works=False)
                while view and (count := response.readinto(view)):
                    view = view[count:]
                    yield count
            if view:
                raise TransientError(f"{response.url.shown}: unexpected EOF, {len(view)} bytes missing")
        finally:
            with self._lock:
                self._responses.discard(response)


class _ConnectionScaling:
    """The number of connections to use: doubled if we wait for them, and halved again if that was no faster."""

    def __init__(self, workers: int, most: int) -> None:
        self.workers = workers
        self._most = most
        self._settled = workers >= most
        self._ranges = 0
        self._seconds_waiting = 0.0
        self._started_at = time.monotonic()
        self._rate_before = 0.0

    def record_wait(self, seconds: float) -> None:
        """Records that a range was yielded after *seconds* of waiting for it."""
        self._ranges += 1
        self._seconds_waiting += seconds
        if self._settled or self._ranges < _EPOCH:
            return
        elapsed = time.monotonic() - self._started_at
        rate = self._ranges / max(elapsed, 1e-6)
        if self._rate_before:
            self._settled = True
            if rate < self._rate_before * _PAYING:
                self.workers //= 2
        elif self._seconds_waiting > elapsed / 2:
            self.workers, self._rate_before = min(self.workers * 2, self._most), rate
        self._ranges, self._seconds_waiting, self._started_at = 0, 0.0, time.monotonic()
