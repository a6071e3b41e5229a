"""A time limit on silence: gRPC has none between two messages of a stream."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

_TICK = 0.5

Answer_co = TypeVar("Answer_co", covariant=True)
Answer = TypeVar("Answer")


class CancellableCall(Protocol[Answer_co]):
    """What gRPC gives for a stream of answers."""

    def __iter__(self) -> Iterator[Answer_co]: ...

    def cancel(self) -> bool: ...


class WatchedStream(Generic[Answer]):
    """The answers of a call. Waiting for one longer than *patience* seconds ends the call and sets `stalled`."""

    def __init__(self, call: CancellableCall[Answer], patience: float) -> None:
        self._call = call
        self._answers = iter(call)
        self._waiting_since: float | None = None
        self.patience = patience
        self.stalled = False

    def next(self) -> Answer:
        """The next answer. Raises StopIteration at the end, and what gRPC raises."""
        self._waiting_since = time.monotonic()
        try:
            return next(self._answers)
        finally:
            self._waiting_since = None

    def end(self) -> None:
        """Let go of the call, finished or not."""
        self._call.cancel()

    def check(self, now: float) -> None:
        """End the call if its next answer is overdue at *now*."""
        since = self._waiting_since
        if since is not None and now - since > self.patience:
            self.stalled = True
            self._call.cancel()


class StallWatch:
    """Looks after calls, in one thread that lives from the first call until `close`."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._calls: set[WatchedStream[Any]] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def over(self, call: CancellableCall[Answer]) -> Iterator[WatchedStream[Answer]]:
        """*call*, watched; it is ended with the `with` block."""
        watched = WatchedStream(call, self._patience)
        with self._lock:
            self._calls.add(watched)
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="containerd-stalls", daemon=True)
                self._thread.start()
        try:
            yield watched
        finally:
            with self._lock:
                self._calls.discard(watched)
            watched.end()

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def _look(self) -> None:
        while not self._closed.wait(_TICK):
            with self._lock:
                calls = list(self._calls)
            for watched in calls:
                watched.check(time.monotonic())
