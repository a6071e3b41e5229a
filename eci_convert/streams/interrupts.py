"""A request to stop, as a flag: loops and waits check it, and raise KeyboardInterrupt.

A signal handler that raises does so between any two instructions of the main thread, also while it holds the lock of a
Future or a queue, which then stays locked for ever. So the command line's handlers raise nothing: they have `request`
called. In a program that does not call it (a user of the library), nothing here ever raises.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Final, Protocol, TypeVar
from weakref import WeakSet

_POLL: Final = 0.1  # seconds between two checks of the flag while waiting for something else

T = TypeVar("T")


class Abortable(Protocol):
    """An object that another thread may be blocked on."""

    def abort(self) -> None: ...


_requested = threading.Event()
_lock = threading.Lock()
_abortable: WeakSet[Abortable] = WeakSet()


def requested() -> bool:
    """Whether the program was asked to stop."""
    return _requested.is_set()


def check() -> None:
    """Raises KeyboardInterrupt if the program was asked to stop."""
    if _requested.is_set():
        raise KeyboardInterrupt


def sleep(seconds: float) -> None:
    """Waits for *seconds*. Raises KeyboardInterrupt."""
    if _requested.wait(seconds):
        raise KeyboardInterrupt


def wait_for(condition: threading.Condition, predicate: Callable[[], object]) -> None:
    """Waits until *predicate* is true; the lock of *condition* is held. Raises KeyboardInterrupt."""
    while not predicate():
        check()
        condition.wait(_POLL)


def result(future: Future[T]) -> T:
    """The result of *future*. Raises its exception, and KeyboardInterrupt."""
    while True:
        try:
            return future.result(_POLL)
        except FutureTimeoutError:
            if future.done():  # the future's own exception is a TimeoutError
                return future.result()
            check()


def join(thread: threading.Thread) -> None:
    """Waits until *thread* ends. Raises KeyboardInterrupt."""
    while thread.is_alive():
        thread.join(_POLL)
        if thread.is_alive():
            check()


def abort_on_request(one: Abortable) -> None:
    """Registers *one* to be aborted, by another thread, when the program is asked to stop, for as long as it is
    referenced."""
    with _lock:
        _abortable.add(one)


def request() -> None:
    """Tells the program to stop. Called from a thread of its own, never from a signal handler."""
    _requested.set()
    with _lock:
        blocked = list(_abortable)
    for one in blocked:
        one.abort()


def reset() -> None:
    """Clears the request, for tests in the same process."""
    _requested.clear()
