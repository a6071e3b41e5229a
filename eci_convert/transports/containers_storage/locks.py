"""Locks of a store, as containers/storage takes them: fcntl locks on *.lock files, and who wrote last in their content.

Open file description locks are used: they exclude the process-wide ones of podman and its kin, and those of our own
threads too, which process-wide ones do not.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from eci_convert.errors import LocalError, TransportError
from eci_convert.files.errors import local_errors
from eci_convert.streams import interrupts

_PAUSE: Final = 0.02
_RANDOM: Final = 44


@contextmanager
def exclusive(path: Path, patience: float) -> Iterator[Callable[[], None]]:
    """Nobody else reads or writes what *path* protects. Calling what is yielded says that it was written.

    Raises LocalError, and TransportError if it is not to be had within *patience* seconds.
    """
    with local_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _lock(descriptor, fcntl.F_WRLCK, path, patience)
        yield lambda: _sign(descriptor, path)
    finally:
        os.close(descriptor)


@contextmanager
def shared(path: Path, patience: float) -> Iterator[None]:
    """Nobody writes what *path* protects. A store without that lock, or one that cannot be locked, is just read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EACCES, errno.EROFS):
            raise LocalError(f"{path}: {error.strerror or error}") from error
        yield
        return
    try:
        _lock(descriptor, fcntl.F_RDLCK, path, patience)
        yield
    finally:
        os.close(descriptor)


def held(path: Path, *, make: bool) -> int | None:
    """A descriptor with an exclusive lock on *path*, which is there or to be made; None if somebody else has it."""
    with local_errors(path):
        descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if make else 0) | os.O_CLOEXEC, 0o600)
    if _try(descriptor, fcntl.F_WRLCK, path):
        return descriptor
    os.close(descriptor)
    return None


def _lock(descriptor: int, kind: int, path: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while not _try(descriptor, kind, path):
        if time.monotonic() > deadline:
            raise TransportError(f"{path} timed out: locked by another process for {patience:g} s")
        interrupts.sleep(_PAUSE)


def _try(descriptor: int, kind: int, path: Path) -> bool:
    wanted = struct.pack("hhqqi0q", kind, os.SEEK_SET, 0, 0, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, wanted)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise LocalError(f"{path}: {error.strerror or error}") from error
    return True


def _sign(descriptor: int, path: Path) -> None:
    """Say that we wrote last: time, a count, process, and what nobody else says
    (docs/specs/containers-storage.md#8)."""
    words = struct.pack("<QQI", time.time_ns(), 1, os.getpid()) + secrets.token_bytes(_RANDOM)
    with local_errors(path):
        os.pwrite(descriptor, words, 0)
