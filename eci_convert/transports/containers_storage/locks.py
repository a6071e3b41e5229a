"""Locks of a store, compatible with containers/storage: fcntl locks on *.lock files, which contain the last writer.

Open file description locks are used: they exclude the process-wide locks of podman and others, and other threads of
ours too, which process-wide locks do not.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from eci_convert.errors import FormatError, LocalError, TransportError
from eci_convert.files.errors import local_errors
from eci_convert.streams import interrupts

_PAUSE: Final = 0.02
_RANDOM: Final = 44


@contextmanager
def exclusive_lock(path: Path, timeout: float) -> Iterator[Callable[[], None]]:
    """Holds an exclusive lock on *path*. Calling the yielded function records a write.

    Raises LocalError, and TransportError if the lock is not available within *timeout* seconds.
    """
    with local_errors(path):
        descriptor = _open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _lock(descriptor, fcntl.F_WRLCK, path, timeout)
        yield lambda: _sign(descriptor, path)
    finally:
        os.close(descriptor)


@contextmanager
def shared_lock(path: Path, timeout: float) -> Iterator[None]:
    """Holds a shared lock on *path*. A store without the lock file, or one that cannot be locked, is read without."""
    try:
        descriptor = _open(path, os.O_RDONLY)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EACCES, errno.EROFS):
            raise LocalError(f"{path}: {error.strerror or error}") from error
        yield
        return
    try:
        _lock(descriptor, fcntl.F_RDLCK, path, timeout)
        yield
    finally:
        os.close(descriptor)


def try_exclusive(path: Path, *, make: bool) -> int | None:
    """A descriptor with an exclusive lock on *path*, which is created if *make*; None if another process holds it."""
    with local_errors(path):
        descriptor = _open(path, os.O_RDWR | (os.O_CREAT if make else 0), 0o600)
    if _try(descriptor, fcntl.F_WRLCK, path):
        return descriptor
    os.close(descriptor)
    return None


def _open(path: Path, flags: int, mode: int = 0) -> int:
    """A descriptor of the regular file *path*: a store of unknown origin may have a link or a pipe in its place, and
    locks are written to. Raises OSError, FormatError."""
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, mode)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise FormatError("the lock is not a regular file", where=str(path)) from error
        raise
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise FormatError("the lock is not a regular file", where=str(path))


def _lock(descriptor: int, kind: int, path: Path, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not _try(descriptor, kind, path):
        if time.monotonic() > deadline:
            raise TransportError(f"{path} timed out: locked by another process for {timeout:g} s")
        interrupts.sleep(_PAUSE)


def _try(descriptor: int, kind: int, path: Path) -> bool:
    lock_request = struct.pack("hhqqi0q", kind, os.SEEK_SET, 0, 0, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, lock_request)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise LocalError(f"{path}: {error.strerror or error}") from error
    return True


def _sign(descriptor: int, path: Path) -> None:
    """Records us as the last writer: time, a counter, the process, and a random part
    (docs/specs/containers-storage.md#8)."""
    fields = struct.pack("<QQI", time.time_ns(), 1, os.getpid()) + secrets.token_bytes(_RANDOM)
    with local_errors(path):
        os.pwrite(descriptor, fields, 0)
