"""Small files of our own in a directory of the user: state and caches, which others must not be able to steer.

With `sudo -E`, or in a CI step, HOME and the XDG directories may be another user's, who can put links, pipes and files
of his making there. So nothing below the base directory is reached through a link, a directory that is not the user's
own is not used, files are created under random names for the user alone, and only regular files of the user are read.
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
_TEMPORARY = r"\.(?:[0-9a-f]{16}|\d{1,7})\.part"  # the second: of an earlier version
_ABANDONED = 3600.0
"""Seconds after which a temporary file, which is written at once, has been left by a killed process."""

_warned = False


class NotOursError(PermissionError):
    """A directory or file that another user owns, or that is a link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnDirectory:
    """The directory *names* below *base*, which is made when it is needed. It is opened, and checked, for each use.

    *warn* is told, once in the life of the process, that a directory cannot be trusted and is not used. What the system
    refuses is not an error: it is as if the file were not there.
    """

    base: Path
    names: tuple[str, ...]
    warn: Callable[[str], None] = field(default=lambda _: None, compare=False)

    @property
    def path(self) -> Path:
        return self.base.joinpath(*self.names)

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of the directory. Raises OSError, NotOurs among it, where there is none to be had."""
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
        """What is in the file *name*; None if there is none, or none of ours, or it is longer than *limit* bytes."""
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
        """Replace the file *name* by one that holds *content*, at once."""
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
        """Remove the file *name*, if it is there."""
        with suppress(OSError), self.opened() as directory:
            os.unlink(name, dir_fd=directory)

    def age(self, name: str) -> float:
        """The seconds since the file *name* was written; infinite where there is none."""
        try:
            with self.opened() as directory:
                return time.time() - os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime
        except OSError:
            return float("inf")

    def sweep(self, pattern: str, seconds: float) -> None:
        """Remove the files of ours whose names are *pattern*, a regular expression, and that are older than *seconds*;
        and those that were left half written."""
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
        """While no other process that asks for this changes what is in the directory; one that has not ended after
        *timeout* seconds is not waited for."""
        with ExitStack() as stack:
            with suppress(OSError):
                locks.lock(stack.enter_context(self.opened()), timeout)
            yield

    def hold(self, name: str) -> int | None:
        """A descriptor, locked, of the file *name*, which is created if it is not there; None where another process
        holds it, or it cannot be ours."""
        with suppress(OSError), self.opened() as directory:
            descriptor = locks.try_hold(name, directory)
            if descriptor is None or _is_ours(os.fstat(descriptor)):
                return descriptor
            os.close(descriptor)
        return None

    def _descend(self) -> int:
        """The open directory. Raises OSError, and NotOurs for what could be another user's doing."""
        _check_base(self.base)
        self.base.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, path = os.open(self.base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), self.base
        try:
            for name in self.names:
                path /= name
                with suppress(OSError):  # it is there, or else cannot be opened
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
    """The state of an open file. Raises NotOurs if it is not a regular file of this user that has one name."""
    state = os.fstat(descriptor)
    if not _is_ours(state):
        raise NotOursError(f"{path} is not a regular file of this user")
    return state


def _is_ours(state: os.stat_result) -> bool:
    return stat.S_ISREG(state.st_mode) and state.st_uid == os.geteuid() and state.st_nlink == 1


def _check_base(base: Path) -> None:
    """Raises NotOurs if *base*, or what it would be made in, is another user's; root's is as good as one's own."""
    existing = next((path for path in (base, *base.parents) if path.exists()), base)
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
    if state.st_mode & 0o022:  # made under a lax umask by an earlier version
        with suppress(OSError):
            os.fchmod(descriptor, 0o700)
    return descriptor
