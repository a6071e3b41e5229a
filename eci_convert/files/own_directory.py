"""A private directory for state and caches, safe against other users.

With `sudo -E`, or in a CI step, HOME and the XDG directories may belong to another user, who can put links, pipes and
files there. So no link below the base directory is followed, directories of other users are not used, files are created
with random names and private modes, and only regular files of this user are read.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from eci_convert.files import leftovers, locks

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_EXISTING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TEMPORARY = r"\.(?:[0-9a-f]{16}|\d{1,7})\.part"  # the second pattern was used by an earlier version
_ABANDONED = 3600.0
"""Seconds after which a temporary file is considered left by a killed process."""

_warned = False


class NotOursError(PermissionError):
    """The directory or file belongs to another user, or is a link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnDirectory:
    """The directory *names* below *base*, created when needed. It is opened and checked for each use.

    *warn* is called once in the life of the process if the directory cannot be trusted and is not used. Errors of the
    operating system are ignored, as if files did not exist.
    """

    base: Path
    names: tuple[str, ...]
    warn: Callable[[str], None] = field(default=lambda _: None, compare=False)

    @property
    def path(self) -> Path:
        return self.base.joinpath(*self.names)

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of the directory. Raises OSError, including NotOursError."""
        try:
            descriptor = self._descend()
        except NotOursError as error:
            _warn_once(self.warn, f"{error}: not used")
            raise
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def read(self, name: str, limit: int) -> bytes | None:
        """The content of the file *name*; None if it does not exist, is not ours, or is longer than *limit* bytes."""
        try:
            with self.opened() as directory:
                descriptor = os.open(name, _EXISTING, dir_fd=directory)
                try:
                    check_ours(descriptor, self.path / name)
                    content = b""
                    while len(content) <= limit and (piece := os.read(descriptor, limit + 1 - len(content))):
                        content += piece
                finally:
                    os.close(descriptor)
        except OSError:
            return None
        return content if len(content) <= limit else None

    def write(self, name: str, content: bytes) -> None:
        """Atomically replaces the file *name* with *content*."""
        with suppress(OSError), self.opened() as directory:
            part = f"{name}.{secrets.token_hex(8)}.part"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with leftovers.creating(self.path / part):
                descriptor = os.open(part, flags, 0o600, dir_fd=directory)
            try:
                try:
                    with open(descriptor, "wb") as file:
                        file.write(content)
                    os.rename(part, name, src_dir_fd=directory, dst_dir_fd=directory)
                except OSError:
                    os.unlink(part, dir_fd=directory)
                    raise
            finally:
                leftovers.forget(self.path / part)

    def remove(self, name: str) -> None:
        """Removes the file *name*, if it exists."""
        with suppress(OSError), self.opened() as directory:
            os.unlink(name, dir_fd=directory)

    def age(self, name: str) -> float:
        """The seconds since the file *name* was written; infinite if it does not exist."""
        try:
            with self.opened() as directory:
                return time.time() - os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime
        except OSError:
            return float("inf")

    def sweep(self, pattern: str, seconds: float) -> None:
        """Removes our files whose names match the regular expression *pattern* and that are older than *seconds*, and
        abandoned temporary files."""
        names, parts = re.compile(pattern), re.compile(f"(?:{pattern}){_TEMPORARY}")
        now = time.time()
        with suppress(OSError), self.opened() as directory:
            for name in os.listdir(directory):
                oldest = seconds if names.fullmatch(name) else _ABANDONED if parts.fullmatch(name) else None
                if oldest is not None:
                    with suppress(OSError):
                        state = os.stat(name, dir_fd=directory, follow_symlinks=False)
                        if _is_ours(state) and now - state.st_mtime > oldest:
                            os.unlink(name, dir_fd=directory)

    @contextmanager
    def locked(self, timeout: float) -> Iterator[None]:
        """Holds the lock of the directory, or goes on without it after *timeout* seconds."""
        with ExitStack() as stack:
            with suppress(OSError):
                locks.lock(stack.enter_context(self.opened()), timeout)
            yield

    def hold(self, name: str) -> int | None:
        """A locked descriptor of the file *name*, created if it does not exist; None if another process holds it, or it
        is not ours."""
        with suppress(OSError), self.opened() as directory:
            descriptor = locks.try_hold(name, directory)
            if descriptor is None or _is_ours(os.fstat(descriptor)):
                return descriptor
            os.close(descriptor)
        return None

    def _descend(self) -> int:
        """Opens the directory. Raises OSError, and NotOursError for anything that another user could control."""
        _check_base(self.base)
        self.base.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, path = os.open(self.base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), self.base
        try:
            for name in self.names:
                path /= name
                with suppress(OSError):  # it exists, or the open below reports why not
                    os.mkdir(name, 0o700, dir_fd=descriptor)
                below = _open_own(name, descriptor, path)
                os.close(descriptor)
                descriptor = below
        except OSError:
            os.close(descriptor)
            raise
        return descriptor


def _warn_once(warn: Callable[[str], None], message: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        warn(message)


def check_ours(descriptor: int, path: Path) -> os.stat_result:
    """The state of an open file. Raises NotOursError unless it is a regular file of this user with a single name."""
    state = os.fstat(descriptor)
    if not _is_ours(state):
        raise NotOursError(f"{path} is not a regular file of this user")
    return state


def _is_ours(state: os.stat_result) -> bool:
    return stat.S_ISREG(state.st_mode) and state.st_uid == os.geteuid() and state.st_nlink == 1


def _check_base(base: Path) -> None:
    """Raises NotOursError if *base*, or its nearest existing parent, belongs to another user than this one and root."""
    existing = next((path for path in (base, *base.parents) if os.path.exists(path)), base)
    owner = existing.stat().st_uid
    if owner not in (os.geteuid(), 0):
        raise NotOursError(f"the directory {existing} belongs to another user (uid {owner})")


def _open_own(name: str, parent: int, path: Path) -> int:
    try:
        descriptor = os.open(name, _DIRECTORY, dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        raise NotOursError(f"{path} is a symbolic link or not a directory") from error
    state = os.fstat(descriptor)
    if state.st_uid != os.geteuid():
        os.close(descriptor)
        raise NotOursError(f"the directory {path} belongs to another user (uid {state.st_uid})")
    if state.st_mode & 0o022:  # created with a lax umask by an earlier version
        with suppress(OSError):
            os.fchmod(descriptor, 0o700)
    return descriptor
