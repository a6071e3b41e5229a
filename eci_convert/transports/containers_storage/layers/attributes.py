"""File metadata from tar members: owner, mode, time, extended attributes.

Root creates files with the image's owners, as podman does and as containers need; the store's directories are
accessible to root only. Other users, and root in a user namespace that lacks those ids, own all files, as in a rootless
store; the archive rebuilt from tar-split data has the image's owners all the same.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Self

from eci_convert.errors import FormatError
from eci_convert.tar import EntryType, TarEntry

_XATTR: Final = "SCHILY.xattr."
_TAKEN: Final = ("user.", "security.capability")
_NOT_TAKEN: Final = ("user.overlay.", "user.containers.")
"""Attributes that are not of the file, but would be instructions to overlayfs or podman."""
_LAST_ID: Final = (1 << 32) - 2  # the largest id means "unchanged"
_NANOSECONDS: Final = 1_000_000_000
_FARTHEST: Final = 1 << 40
_FRACTION: Final = re.compile(r"-?[0-9]+\.([0-9]{1,9})[0-9]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAttributes:
    """*mtime* is in nanoseconds; *xattrs* are names and values."""

    mode: int
    uid: int
    gid: int
    mtime: int
    xattrs: tuple[tuple[str, bytes], ...] = ()

    @classmethod
    def of(cls, entry: TarEntry) -> Self:
        """The attributes of *entry*. Raises FormatError for invalid owners."""
        for owner in (entry.uid, entry.gid):
            if not 0 <= owner <= _LAST_ID:
                raise FormatError(f"{entry.name!r} has the owner {owner}, which is not a valid user or group id")
        xattrs = (
            (key.removeprefix(_XATTR), value.encode("utf-8", "surrogateescape"))
            for key, value in entry.pax.items()
            if key.startswith(_XATTR)
        )
        return cls(
            mode=stat.S_IMODE(entry.mode),
            uid=entry.uid,
            gid=entry.gid,
            mtime=_nanoseconds(entry),
            xattrs=tuple((name, value) for name, value in xattrs if _is_applied(name)),
        )

    def apply(self, descriptor: int) -> None:
        """Applies the attributes to an open file or directory. Raises OSError."""
        with _own_if_not_given():
            os.fchown(descriptor, self.uid, self.gid)
        for name, value in self.xattrs:  # after chown, which removes capabilities; before a mode that forbids it
            try:
                os.setxattr(descriptor, name, value)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EPERM):
                    raise
        os.fchmod(descriptor, self.mode)
        os.utime(descriptor, ns=(self.mtime, self.mtime))

    def apply_by_name(self, name: str, directory: int, kind: EntryType) -> None:
        """The same for what cannot be opened: links, devices, pipes. The mode of a link is not set. Raises OSError."""
        with _own_if_not_given():
            os.chown(name, self.uid, self.gid, dir_fd=directory, follow_symlinks=False)
        if kind is not EntryType.SYMLINK:
            os.chmod(name, self.mode, dir_fd=directory)
        os.utime(name, ns=(self.mtime, self.mtime), dir_fd=directory, follow_symlinks=False)


@contextmanager
def _own_if_not_given() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EINVAL):  # not permitted; no such user in this namespace
            raise


def _is_applied(name: str) -> bool:
    return name.startswith(_TAKEN) and not name.startswith(_NOT_TAKEN) and "\0" not in name


def _nanoseconds(entry: TarEntry) -> int:
    """The member's time with its fraction, clamped to the range of the kernel; filesystems may have a smaller one."""
    fraction = _FRACTION.fullmatch(entry.pax.get("mtime", ""))
    seconds = max(min(entry.mtime, _FARTHEST), -_FARTHEST)
    return seconds * _NANOSECONDS + (int(fraction[1].ljust(9, "0")) if fraction and entry.mtime >= 0 else 0)
