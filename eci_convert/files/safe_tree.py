"""A directory tree accessed with untrusted names: every component is opened relative to its parent, no link is
followed.

Names from layers and tar-split data are paths in that tree and nothing else (docs/explanation/security.md#A).
"""

from __future__ import annotations

import errno
import os
import stat
from types import TracebackType
from typing import Final, Self

from eci_convert.errors import FormatError, LimitExceededError, LocalError, NotFoundError

MAX_TREE_PATH: Final = 3072
"""The longest path in a layer in bytes: with the store's path before it, it must not exceed the kernel's limit."""
MAX_DEPTH: Final = 400
"""The depth of directories: tools that remove the tree must not run out of descriptors."""

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_DIRECTORY: Final = (errno.ELOOP, errno.ENOTDIR)


def components_of(name: str) -> tuple[str, ...]:
    """The components of *name*, relative to the top however it is spelt; () is the top itself.

    Raises FormatError for a name with `..` or NUL, LimitExceededError for one that is too long.
    """
    if len(os.fsencode(name)) > MAX_TREE_PATH:
        raise LimitExceededError(f"the layer has a path of {len(os.fsencode(name))} bytes (limit {MAX_TREE_PATH})")
    components = tuple(part for part in name.split("/") if part not in ("", "."))
    if len(components) > MAX_DEPTH:
        raise LimitExceededError(f"the layer has a path of {len(components)} directories (limit {MAX_DEPTH})")
    if ".." in components or "\0" in name:
        raise FormatError(f"the layer has the path {name!r}, which points outside the layer")
    return components


class SafeTree:
    """The tree below *path*, a context manager. The last directory stays open, because consecutive names share it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.top = _open_top(self.path)
        self._parts: tuple[str, ...] = ()
        self._last = self.top

    def directory(self, parts: tuple[str, ...], *, make: bool = False) -> int:
        """A descriptor of the directory *parts*, valid until the next call; with *make*, missing directories are
        created (0755).

        Raises FormatError for a link or a file on the way, NotFoundError if it does not exist.
        """
        if parts == self._parts:
            return self._last
        descriptor = os.dup(self.top)
        try:
            for part in parts:
                descriptor = _open_below(descriptor, part, parts, make=make)
        except BaseException:
            os.close(descriptor)
            raise
        self._forget()
        self._parts, self._last = parts, descriptor
        return descriptor

    def parent(self, parts: tuple[str, ...], *, make: bool = False) -> int:
        """The parent directory of *parts*."""
        return self.directory(parts[:-1], make=make)

    def mode(self, parts: tuple[str, ...]) -> int | None:
        """The mode of *parts*, of a link its own; None if it or its parent directory does not exist."""
        if not parts:
            return os.fstat(self.top).st_mode
        try:
            return os.stat(parts[-1], dir_fd=self.parent(parts), follow_symlinks=False).st_mode
        except (FileNotFoundError, NotFoundError):
            return None

    def open_file(self, parts: tuple[str, ...]) -> int:
        """A descriptor of the regular file *parts*, for reading. Raises NotFoundError, and FormatError for other
        types."""
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


def _open_top(path: str) -> int:
    try:
        return os.open(path, _DIRECTORY)
    except OSError as error:
        raise _why_not(error, path) from error


def _open_below(directory: int, part: str, parts: tuple[str, ...], *, make: bool) -> int:
    """Opens the directory *part* of *directory*, which is closed on success."""
    try:
        is_new = make and _make_directory(directory, part)
        descriptor = os.open(part, _DIRECTORY, dir_fd=directory)
        if is_new:
            os.fchmod(descriptor, 0o755)
    except OSError as error:
        raise _why_not(error, "/".join(parts)) from error
    os.close(directory)
    return descriptor


def _make_directory(directory: int, part: str) -> bool:
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
