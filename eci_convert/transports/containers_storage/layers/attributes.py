"""What a member says about a file besides its content: owner, mode, time, extended attributes.

Root makes everything as the image has it, which is what podman does and what a container needs; the directories of the
store let nobody else in. Others, and a root whom the kernel does not give those users, own what they write, as in a
rootless store; the archive that tar-split makes again has the image's owners all the same.
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
"""What would not be an attribute of the file but a word to overlayfs, or to podman."""
_LAST_ID: Final = (1 << 32) - 2  # the one above means "leave it"
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
        """What *entry* says. Raises FormatError for owners that there cannot be."""
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
            xattrs=tuple((name, value) for name, value in xattrs if _wanted(name)),
        )

    def apply(self, descriptor: int) -> None:
        """Give the open file or directory these attributes. Raises OSError."""
        with _own_if_not_given():
            os.fchown(descriptor, self.uid, self.gid)
        for name, value in self.xattrs:  # behind chown, which takes capabilities away; before a mode that forbids it
            try:
                os.setxattr(descriptor, name, value)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EPERM):
                    raise
        os.fchmod(descriptor, self.mode)
        os.utime(descriptor, ns=(self.mtime, self.mtime))

    def apply_by_name(self, name: str, directory: int, kind: EntryType) -> None:
        """The same for what cannot be opened: a link, a device, a pipe. A link's mode stays. Raises OSError."""
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
        if error.errno not in (errno.EPERM, errno.EINVAL):  # not ours to give; no such user in our namespace
            raise


def _wanted(name: str) -> bool:
    return name.startswith(_TAKEN) and not name.startswith(_NOT_TAKEN) and "\0" not in name


def _nanoseconds(entry: TarEntry) -> int:
    """The member's time with its fraction, held within what the kernel takes; it may hold it within less."""
    fraction = _FRACTION.fullmatch(entry.pax.get("mtime", ""))
    seconds = max(min(entry.mtime, _FARTHEST), -_FARTHEST)
    return seconds * _NANOSECONDS + (int(fraction[1].ljust(9, "0")) if fraction and entry.mtime >= 0 else 0)
