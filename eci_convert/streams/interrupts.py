"""A request to stop, as a flag: whoever loops or waits reads it, and raises KeyboardInterrupt at a place of its own.

A signal handler that raises does so between any two instructions of the main thread, also while it holds the lock of a
Future or a queue, which then stays locked for ever. So the handlers of the command line raise nothing: they have
`request` called. In a program that does not call it (a user of the library), nothing here ever raises.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Final, Protocol, TypeVar
from weakref import WeakSet

_POLL: Final = 0.1  # seconds between two looks at the flag of whoever waits for something else

T = TypeVar("T")


class Abortable(Protocol):
    """Something that another thread may be blocked on."""

    def abort(self) -> None: ...


_requested = threading.Event()
_lock = threading.Lock()
_abortable: WeakSet[Abortable] = WeakSet()


def requested() -> bool:
    """Whether the program has been told to stop."""
    return _requested.is_set()


def check() -> None:
    """Raise KeyboardInterrupt if the program has been told to stop."""
    if _requested.is_set():
        raise KeyboardInterrupt


def sleep(seconds: float) -> None:
    """Wait for *seconds*. Raises KeyboardInterrupt."""
    if _requested.wait(seconds):
        raise KeyboardInterrupt


def wait_for(condition: threading.Condition, predicate: Callable[[], object]) -> None:
    """Wait until *predicate* is true of what *condition*, whose lock is held, protects. Raises KeyboardInterrupt."""
    while not predicate():
        check()
        condition.wait(_POLL)


def result(future: Future[T]) -> T:
    """What *future* comes to, as its `result` says. Raises KeyboardInterrupt."""
    while True:
        try:
            return future.result(_POLL)
        except FutureTimeoutError:
            if future.done():  # the work itself timed out
                return future.result()
            check()


def join(thread: threading.Thread) -> None:
    """Wait until *thread* ends. Raises KeyboardInterrupt."""
    while thread.is_alive():
        thread.join(_POLL)
        if thread.is_alive():
            check()


def abort_on_request(one: Abortable) -> None:
    """Have *one* aborted, from another thread, when the program is told to stop; for as long as it is in use."""
    with _lock:
        _abortable.add(one)


def request() -> None:
    """Tell the program to stop. Called from a thread of its own, never from a signal handler."""
    _requested.set()
    with _lock:
        blocked = list(_abortable)
    for one in blocked:
        one.abort()


def reset() -> None:
    """Forget the request, for a test that goes on in the same process."""
    _requested.clear()
