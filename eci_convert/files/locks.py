"""Advisory locks (flock), and removal of temporary files that no process holds any more.

A process that writes under a temporary name holds a lock on it, which the kernel releases however the process ends. So
a file that is not locked was abandoned.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from eci_convert.errors import LocalError
from eci_convert.streams import interrupts

StrPath = str | os.PathLike[str]

_PAUSE: Final = 0.01
_OPEN_EXISTING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def try_lock(descriptor: int) -> bool | None:
    """Locks an open file or directory without waiting.

    False: another process holds it. None: the filesystem does not support locks, so nothing is locked and nothing is
    swept.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def lock(descriptor: int, timeout: float) -> bool:
    """Locks an open file or directory; False if another process holds it for *timeout* seconds. Raises
    KeyboardInterrupt."""
    deadline = time.monotonic() + timeout
    while try_lock(descriptor) is False:
        if time.monotonic() > deadline:
            return False
        interrupts.sleep(_PAUSE)
    return True


@contextmanager
def exclusive(path: StrPath, timeout: float) -> Iterator[None]:
    """Holds an exclusive lock on the directory *path*. Raises LocalError if another process holds it for *timeout*
    seconds."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise LocalError(f"{os.fspath(path)}: {error.strerror}") from error
    try:
        if not lock(descriptor, timeout):
            raise LocalError(f"{os.fspath(path)} is locked by another process")
        yield
    finally:
        os.close(descriptor)


def hold_new(descriptor: int) -> bool:
    """Locks a file that was just created; False if a sweep has removed it, or is about to."""
    taken = try_lock(descriptor)
    return taken is None or (taken and os.fstat(descriptor).st_nlink > 0)


def try_hold(name: str, directory: int, flags: int = os.O_RDWR) -> int | None:
    """A locked descriptor of the file *name* in the open *directory*, created if it does not exist.

    None: another process holds it, or the filesystem does not support locks. Links are not followed. Raises OSError.
    """
    while True:
        descriptor = os.open(
            name, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600, dir_fd=directory
        )
        taken = try_lock(descriptor)
        if taken and os.fstat(descriptor).st_nlink > 0:
            return descriptor
        os.close(descriptor)
        if not taken:
            return None


def sweep_unheld(
    directory: StrPath, pattern: re.Pattern[str], remove: Callable[[str, int], None] | None = None
) -> None:
    """Removes from *directory* the files whose names match *pattern* and that no process holds; with *remove*,
    directories. *remove* is called with the path and a descriptor. Errors are ignored, but OSError is raised if
    *directory* cannot be read."""
    kind = stat.S_ISDIR if remove else stat.S_ISREG
    for name in os.listdir(directory):
        if pattern.fullmatch(name):
            with suppress(OSError):
                _remove_unheld(os.path.join(directory, name), kind, remove or _unlink)


def _remove_unheld(path: str, kind: Callable[[int], bool], remove: Callable[[str, int], None]) -> None:
    descriptor = os.open(path, _OPEN_EXISTING)
    try:
        if kind(os.fstat(descriptor).st_mode) and try_lock(descriptor):
            remove(path, descriptor)
    finally:
        os.close(descriptor)


def _unlink(path: str, descriptor: int) -> None:
    os.unlink(path)
