"""Temporary files, written next to the final name."""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from eci_convert.errors import LocalError
from eci_convert.files import leftovers, locks
from eci_convert.files.errors import local_errors

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}
_MISSING = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_LONGEST = 255 - len("..0123456789abcdef.part")


def path_of(descriptor: int) -> str:
    """The path of the open file *descriptor*, for messages; a description if it has none."""
    try:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return "an open file"
    if path.endswith(" (deleted)"):
        return f"a temporary file in {os.path.dirname(path)}"
    return path if path.startswith("/") else f"a {path.partition(':')[0]}"


def resolve_path(path: str | os.PathLike[str], *, strict: bool = False) -> Path:
    """*path* without links on the way; what does not exist stays unresolved unless *strict*. Raises LocalError."""
    with local_errors(os.fspath(path)):
        return Path(os.path.realpath(path, strict=strict))


def is_directory(path: str | os.PathLike[str]) -> bool:
    """Whether *path* is a directory; False if it does not exist. Raises LocalError if that cannot be determined."""
    with local_errors(os.fspath(path)):
        status = status_of(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


def status_of(path: str | os.PathLike[str]) -> os.stat_result | None:
    """What stat(2) says of *path*, links followed; None if it does not exist. Raises OSError if that cannot be
    determined, as in a directory that is not accessible: Path.exists() and its like are False there from Python 3.14.
    """
    try:
        return os.stat(path)
    except OSError as error:
        if error.errno not in _MISSING:
            raise
    except ValueError:  # a NUL byte
        pass
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class TempFile:
    """*file* is open at *path*, and is to be renamed to *target*."""

    file: BinaryIO
    path: Path
    target: Path

    def complete(self) -> None:
        """Flushes everything to disk. Raises LocalError."""
        with local_errors(self.target):
            self.file.flush()
            os.fsync(self.file.fileno())

    def discard(self) -> None:
        """Closes the file, and removes it unless it was renamed."""
        with suppress(OSError, LocalError):
            self.file.close()
        with suppress(OSError):
            self.path.unlink()
        leftovers.forget(self.path)


def create_temp(target: Path) -> TempFile:
    """A new temporary file for *target*; abandoned ones for it are removed. Raises LocalError."""
    with local_errors(target):
        pattern = re.compile(re.escape(f".{_stem(target)}.") + r"[0-9a-f]{16}\.part")
        locks.sweep_unheld(target.parent, pattern)
        while True:
            path = _beside(target, "part")
            with leftovers.creating(path):
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            if locks.hold_new(descriptor):
                file = io.BufferedRandom(_Raw(descriptor, str(target)), 1 << 16)
                return TempFile(file=file, path=path, target=target)
            os.close(descriptor)
            leftovers.forget(path)


def back_up(target: Path) -> Path | None:
    """A second name for the file *target*; None if it does not exist. Raises OSError."""
    path = _beside(target, "part")
    try:
        os.link(target, path, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in _NO_LINKS or target.is_dir():
            raise
        path = _beside(target, "old")  # its only name then, so no sweep may remove it
        os.rename(target, path)
    return path


def restore(target: Path, saved: Path | None) -> None:
    """Undoes a rename: *target* is *saved* again, or does not exist."""
    with suppress(OSError):
        if saved:
            os.replace(saved, target)
            saved.unlink(missing_ok=True)  # rename(2) does nothing if both names are the same file
        else:
            target.unlink()


def flush_directory(path: Path) -> None:
    """Flushes the entries of the directory to disk, if the filesystem supports it."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class _Raw(io.FileIO):
    """A descriptor whose errors are LocalErrors about the final file."""

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__(descriptor, "r+b")
        self.name = name

    def write(self, data: ReadableBuffer, /) -> int:
        with local_errors(self.name):
            return super().write(data)


def _stem(target: Path) -> str:
    """The name of *target*, shortened so that it fits into a longer one."""
    return os.fsdecode(os.fsencode(target.name)[:_LONGEST])


def _beside(target: Path, suffix: str) -> Path:
    return target.with_name(f".{_stem(target)}.{secrets.token_hex(8)}.{suffix}")
