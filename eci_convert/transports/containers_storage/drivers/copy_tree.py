"""Copies and merges directory trees with owners, modes, times, extended attributes, hard links and holes.

For the vfs driver only. Paths are joined from names read from the directory itself; no link is followed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from eci_convert.errors import LocalError
from eci_convert.files.errors import local_errors
from eci_convert.files.sparse import extents
from eci_convert.transports.containers_storage.drivers.staging import remove_tree
from eci_convert.transports.containers_storage.drivers.whiteouts import DeletionList

_FICLONE: Final = 0x40049409
_PIECE: Final = 1 << 30


def copy_tree(source: Path, target: Path) -> None:
    """Copies the directory *source* to *target*, to which more can be added. Raises LocalError."""
    with local_errors(source):
        _copy_directory(source, target, {})
        os.chmod(target, 0o700)


def merge_tree(upper: Path, lower: Path, deleted: DeletionList) -> None:
    """Moves *upper* on top of *lower*, after removing *deleted* from it. Raises LocalError."""
    with local_errors(lower):
        for parts in deleted.hidden:
            if _leads_to_directory(lower, parts[:-1]):
                _drop(lower.joinpath(*parts))
        for parts in deleted.hidden_below:
            if _leads_to_directory(lower, parts):
                for path in lower.joinpath(*parts).iterdir():
                    _drop(path)
        _merge(upper, lower)


def _leads_to_directory(top: Path, parts: tuple[str, ...]) -> bool:
    """Whether *parts* is a directory below *top*, without following links."""
    path = top
    for part in parts:
        path /= part
        try:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                return False
        except FileNotFoundError:
            return False
    return True


def _merge(upper: Path, lower: Path) -> None:
    for entry in os.scandir(upper):
        path, target = Path(entry.path), lower / entry.name
        if not entry.is_dir(follow_symlinks=False) or not _leads_to_directory(lower, (entry.name,)):
            _drop(target)
            _move(path, target)
            continue
        attributes = _Attributes(path)
        for directory in (path, target):
            os.chmod(directory, 0o700)
        _merge(path, target)
        attributes.apply(target)


def _move(path: Path, target: Path) -> None:
    """Renames *path*. Only root can move a directory that is not writable, so it is made writable."""
    mode = os.lstat(path).st_mode
    if stat.S_ISDIR(mode) and os.geteuid() != 0:
        os.chmod(path, 0o700)
        os.rename(path, target)
        os.chmod(target, stat.S_IMODE(mode))
    else:
        os.rename(path, target)


def _drop(path: Path) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    remove_tree(path) if stat.S_ISDIR(mode) else path.unlink()


def _copy_directory(source: Path, target: Path, links: dict[tuple[int, int], Path]) -> None:
    target.mkdir(mode=0o700)
    for entry in os.scandir(source):
        copy = target / entry.name
        state = entry.stat(follow_symlinks=False)
        key = (state.st_dev, state.st_ino)
        if stat.S_ISDIR(state.st_mode):
            _copy_directory(Path(entry.path), copy, links)
            continue
        if state.st_nlink > 1 and key in links:
            os.link(links[key], copy, follow_symlinks=False)
            continue
        links[key] = copy
        _copy_one(entry.path, copy, state)
    _Attributes(source).apply(target)


def _copy_one(source: str, target: Path, state: os.stat_result) -> None:
    if stat.S_ISREG(state.st_mode):
        _copy_content(source, target)
    elif stat.S_ISLNK(state.st_mode):
        os.symlink(os.readlink(source), target)
    else:
        os.mknod(target, state.st_mode, state.st_rdev)
    _Attributes(source).apply(target)


def _copy_content(source: str, target: Path) -> None:
    with open(source, "rb", buffering=0) as old, open(target, "xb", buffering=0) as new:
        try:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.EPERM):
                raise
            _copy_extents(old.fileno(), new.fileno())


def _copy_extents(old: int, new: int) -> None:
    os.ftruncate(new, os.fstat(old).st_size)
    for start, length in extents(old):
        done = 0
        while done < length:
            count = os.copy_file_range(old, new, min(length - done, _PIECE), start + done, start + done)
            if not count:
                raise LocalError("a file was truncated while it was copied")
            done += count


class _Attributes:
    """The metadata of a file at the time of construction."""

    def __init__(self, path: str | Path) -> None:
        self._stat = os.stat(path, follow_symlinks=False)
        names = os.listxattr(path, follow_symlinks=False)
        self._xattrs = {name: os.getxattr(path, name, follow_symlinks=False) for name in names}

    def apply(self, target: Path) -> None:
        state = self._stat
        with suppress(PermissionError):
            os.chown(target, state.st_uid, state.st_gid, follow_symlinks=False)
        for name, value in self._xattrs.items():
            with suppress(OSError):  # managed by the filesystem, such as security.selinux
                os.setxattr(target, name, value, follow_symlinks=False)
        if not stat.S_ISLNK(state.st_mode):
            os.chmod(target, stat.S_IMODE(state.st_mode))
        os.utime(target, ns=(state.st_atime_ns, state.st_mtime_ns), follow_symlinks=False)
