"""A time limit between two messages of a gRPC stream, for which gRPC has none."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

_TICK = 0.5

ResponseT_co = TypeVar("ResponseT_co", covariant=True)
ResponseT = TypeVar("ResponseT")


class CancellableCall(Protocol[ResponseT_co]):
    """The methods that we use of gRPC's object for a stream of responses."""

    def __iter__(self) -> Iterator[ResponseT_co]: ...

    def cancel(self) -> bool: ...


class WatchedStream(Generic[ResponseT]):
    """The responses of a call. Waiting for one longer than *timeout* seconds cancels the call and sets `stalled`."""

    def __init__(self, call: CancellableCall[ResponseT], timeout: float) -> None:
        self._call = call
        self._responses = iter(call)
        self._waiting_since: float | None = None
        self.timeout = timeout
        self.stalled = False

    def next(self) -> ResponseT:
        """The next response. Raises StopIteration at the end, and gRPC's errors."""
        self._waiting_since = time.monotonic()
        try:
            return next(self._responses)
        finally:
            self._waiting_since = None

    def end(self) -> None:
        """Cancels the call unless it has ended."""
        self._call.cancel()

    def check(self, now: float) -> None:
        """Cancels the call if its next response is overdue at *now*."""
        since = self._waiting_since
        if since is not None and now - since > self.timeout:
            self.stalled = True
            self._call.cancel()


class StallWatch:
    """Watches calls, in one thread that lives from the first call until `close`."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._calls: set[WatchedStream[Any]] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def over(self, call: CancellableCall[ResponseT]) -> Iterator[WatchedStream[ResponseT]]:
        """*call*, watched; cancelled at the end of the block."""
        stream = WatchedStream(call, self._timeout)
        with self._lock:
            self._calls.add(stream)
            if self._thread is None:
                self._thread = threading.Thread(target=self._check_calls, name="containerd-stalls", daemon=True)
                self._thread.start()
        try:
            yield stream
        finally:
            with self._lock:
                self._calls.discard(stream)
            stream.end()

    def close(self) -> None:
        """Ends the thread."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def _check_calls(self) -> None:
        while not self._closed.wait(_TICK):
            with self._lock:
                calls = list(self._calls)
            for stream in calls:
                stream.check(time.monotonic())
