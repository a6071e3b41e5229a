"""A directory tree that an image's names may not lead out of: each step is from an open directory, no link is followed.

Names from layers and from tar-split data are paths in that tree and nothing else (docs/explanation/security.md#A).
"""

from __future__ import annotations

import errno
import os
import stat
from types import TracebackType
from typing import Final, Self

from eci_convert.errors import FormatError, LimitExceededError, LocalError, NotFoundError

MAX_TREE_PATH: Final = 3072
"""Bytes that a path in a layer may have: with the store's own in front, tools can still say it to the kernel."""
MAX_DEPTH: Final = 400
"""Directories that a path may go down: what removes a tree again does not run out of descriptors."""

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_DIRECTORY: Final = (errno.ELOOP, errno.ENOTDIR)


def components_of(name: str) -> tuple[str, ...]:
    """The components of *name*, which is relative to the top however it is spelt; () is the top itself.

    Raises FormatError for a name that holds `..` or NUL, and LimitExceeded for one that is too long.
    """
    if len(os.fsencode(name)) > MAX_TREE_PATH:
        raise LimitExceededError(f"the layer has a path of {len(os.fsencode(name))} bytes (limit {MAX_TREE_PATH})")
    found = tuple(part for part in name.split("/") if part not in ("", "."))
    if len(found) > MAX_DEPTH:
        raise LimitExceededError(f"the layer has a path of {len(found)} directories (limit {MAX_DEPTH})")
    if ".." in found or "\0" in name:
        raise FormatError(f"the layer has the path {name!r}, which points outside the layer")
    return found


class SafeTree:
    """The tree below *path*, in a `with`. The directory that was used last stays open: neighbours come in a row."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.top = _opened(self.path)
        self._parts: tuple[str, ...] = ()
        self._last = self.top

    def directory(self, parts: tuple[str, ...], *, make: bool = False) -> int:
        """A descriptor of the directory *parts*, good until the next call; with *make*, what is missing is made (0755).

        Raises FormatError if a link or a file is in the way, and NotFound where there is no such directory.
        """
        if parts == self._parts:
            return self._last
        found = os.dup(self.top)
        try:
            for part in parts:
                found = _below(found, part, parts, make=make)
        except BaseException:
            os.close(found)
            raise
        self._forget()
        self._parts, self._last = parts, found
        return found

    def parent(self, parts: tuple[str, ...], *, make: bool = False) -> int:
        """The directory that holds *parts*."""
        return self.directory(parts[:-1], make=make)

    def mode(self, parts: tuple[str, ...]) -> int | None:
        """The mode of what is at *parts*, of a link its own; None if there is nothing, or no directory above it."""
        if not parts:
            return os.fstat(self.top).st_mode
        try:
            return os.stat(parts[-1], dir_fd=self.parent(parts), follow_symlinks=False).st_mode
        except (FileNotFoundError, NotFoundError):
            return None

    def open_file(self, parts: tuple[str, ...]) -> int:
        """A descriptor of the regular file *parts*, for reading. Raises NotFound, FormatError for what is no file."""
        if not parts:
            raise FormatError("the layer has a file in place of its top directory")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        name = "/".join(parts)
        try:
            descriptor = os.open(parts[-1], flags, dir_fd=self.parent(parts))
        except OSError as error:
            raise _why_not(error, name) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise FormatError(f"{name!r} is not a file in the unpacked layer")
        return descriptor

    def _forget(self) -> None:
        if self._last != self.top:
            os.close(self._last)
        self._parts, self._last = (), self.top

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forget()
        os.close(self.top)


def _opened(path: str) -> int:
    try:
        return os.open(path, _DIRECTORY)
    except OSError as error:
        raise _why_not(error, path) from error


def _below(directory: int, part: str, parts: tuple[str, ...], *, make: bool) -> int:
    """The directory *part* of *directory*, which is closed if that can be opened."""
    try:
        made = make and _made(directory, part)
        found = os.open(part, _DIRECTORY, dir_fd=directory)
        if made:
            os.fchmod(found, 0o755)
    except OSError as error:
        raise _why_not(error, "/".join(parts)) from error
    os.close(directory)
    return found


def _made(directory: int, part: str) -> bool:
    try:
        os.mkdir(part, 0o755, dir_fd=directory)
    except FileExistsError:
        return False
    return True


def _why_not(error: OSError, name: str) -> FormatError | NotFoundError | LocalError:
    if error.errno in _NO_DIRECTORY:
        return FormatError(f"the path {name!r} passes through a link or a file")
    if isinstance(error, FileNotFoundError):
        return NotFoundError(f"the unpacked layer has no {name!r}")
    return LocalError(f"{name!r}: {(error.strerror or str(error)).lower()}")
