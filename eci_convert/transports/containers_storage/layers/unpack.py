"""Unpacks a layer's archive for containers/storage: the only code that creates files from an image.

Nothing outside the directory can be modified, whatever the archive contains (docs/explanation/security.md#A): paths are
walked from an open directory, and no link is followed, neither in a path nor at its end; existing files are never
written through, and files with content are never replaced, because the archive could not be rebuilt then. As root,
files get the image's owners and modes, and devices are created, as by podman, in directories that only root can access.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from typing import Final

from eci_convert.errors import FormatError, LocalError
from eci_convert.files.safe_tree import SafeTree, components_of
from eci_convert.files.sparse import write_sparse
from eci_convert.files.writeback import start_writeback
from eci_convert.progress import Reporter, warn
from eci_convert.tar import EntryType, TarEntry, entries
from eci_convert.tar.header import number
from eci_convert.tar.input import ExtensionBudget
from eci_convert.transports.containers_storage.drivers.whiteouts import Whiteouts, is_whiteout
from eci_convert.transports.containers_storage.layers.attributes import FileAttributes
from eci_convert.transports.containers_storage.layers.crc64 import Crc64
from eci_convert.transports.containers_storage.layers.tar_split import SplitInput, SplitWriter

_MARK: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_AUFS: Final = ".wh..wh."

PathComponents = tuple[str, ...]


class Unpacking:
    """The members of one archive, being unpacked into *tree*. *uids* and *gids* collect the owners."""

    def __init__(self, tree: SafeTree, split: SplitWriter, whiteouts: Whiteouts, reporter: Reporter) -> None:
        self._tree = tree
        self._split = split
        self._whiteouts = whiteouts
        self._reporter = reporter
        self._directories: dict[PathComponents, FileAttributes] = {}
        self._with_content: set[PathComponents] = set()
        self.uids: set[int] = set()
        self.gids: set[int] = set()

    def run(self, chunks: Iterator[bytes], budget: ExtensionBudget | None = None) -> None:
        """Unpacks the archive *chunks*, whose extension headers count towards *budget*.

        Raises FormatError, LimitExceededError, LocalError and the errors of *chunks*.
        """
        source = SplitInput(chunks, self._split)
        for entry in entries(source, budget=budget):
            try:
                self._member(entry, components_of(entry.name), source)
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise LocalError(f"cannot unpack {entry.name!r}: {reason}") from error
        self._split.close()
        try:
            for parts in sorted(self._directories, key=len, reverse=True):
                self._directories[parts].apply(self._tree.directory(parts))
        except OSError as error:
            raise LocalError(f"cannot unpack {'/'.join(parts)!r}: {error.strerror or error}") from error

    def _member(self, entry: TarEntry, parts: PathComponents, source: SplitInput) -> None:
        base = parts[-1] if parts else ""
        if any(part.startswith(_MARK) for part in parts[:-1]):
            raise FormatError(f"the layer has {entry.name!r} below a whiteout")
        if not parts:
            if entry.type is not EntryType.DIR:
                raise FormatError(f"the layer has a {entry.type} in place of its top directory")
        elif base == _OPAQUE:
            self._whiteouts.hide_below(self._tree, parts[:-1])
        elif base.startswith(_MARK) and not base.startswith(_AUFS):
            self._whiteouts.hide(self._tree, (*parts[:-1], _whiteout_target(base, entry)))
        elif not base.startswith(_AUFS):
            self._owners(entry)
            self._create_member(entry, parts, source)
            return
        if not entry.size:
            self._split.file(entry.name)

    def _owners(self, entry: TarEntry) -> None:
        self.uids.add(entry.uid)
        self.gids.add(entry.gid)

    def _create_member(self, entry: TarEntry, parts: PathComponents, source: SplitInput) -> None:
        attributes = FileAttributes.of(entry)
        self._make_way(entry, parts)
        match entry.type:
            case EntryType.FILE:
                self._file(entry, parts, attributes, source)
                return
            case EntryType.DIR:
                self._tree.directory(parts, make=True)
                self._directories[parts] = attributes
            case EntryType.HARDLINK:
                self._hard_link(entry, parts)
            case _:
                self._special(entry, parts, attributes, source)
        if not entry.size:
            self._split.file(entry.name)

    def _make_way(self, entry: TarEntry, parts: PathComponents) -> None:
        """Removes what exists at *parts*. Content must not be lost, because the archive could not be rebuilt then."""
        mode = self._tree.mode(parts)
        if mode is None or (stat.S_ISDIR(mode) and entry.type is EntryType.DIR):
            return
        directory, base = self._tree.parent(parts), parts[-1]
        hidden = is_whiteout(base, directory)
        if parts in self._with_content:
            raise _duplicate_error(entry)
        try:
            os.rmdir(base, dir_fd=directory) if stat.S_ISDIR(mode) else os.unlink(base, dir_fd=directory)
        except OSError as error:
            if error.errno == errno.ENOTEMPTY:
                raise _duplicate_error(entry) from error
            raise
        self._directories.pop(parts, None)
        if hidden and entry.type is EntryType.DIR:
            self._tree.directory(parts, make=True)
            self._whiteouts.hide_below(self._tree, parts)

    def _file(self, entry: TarEntry, parts: PathComponents, attributes: FileAttributes, source: SplitInput) -> None:
        directory, crc = self._tree.parent(parts, make=True), Crc64()
        source.packed = not entry.stored_contiguously or self._split.has(entry.name)
        with open(repr(entry.name), "xb", buffering=0, opener=lambda *_: _new(parts[-1], directory)) as file:
            write_sparse(file, start_writeback(_counted(entry.chunks, crc), file.fileno()), entry.size)
            attributes.apply(file.fileno())
        if not source.packed:
            self._split.file(entry.name, entry.size, crc.digest())
        source.packed = False
        if entry.size:
            self._with_content.add(parts)

    def _hard_link(self, entry: TarEntry, parts: PathComponents) -> None:
        target = components_of(entry.linkname)
        mode = self._tree.mode(target)
        if mode is None or stat.S_ISDIR(mode) or is_whiteout(target[-1], self._tree.parent(target)):
            raise FormatError(f"{entry.name!r} is a link to {entry.linkname!r}, which is not a file in the layer")
        target_directory = os.dup(self._tree.parent(target))
        try:
            here = self._tree.parent(parts, make=True)
            os.link(target[-1], parts[-1], src_dir_fd=target_directory, dst_dir_fd=here, follow_symlinks=False)
        finally:
            os.close(target_directory)

    def _special(self, entry: TarEntry, parts: PathComponents, attributes: FileAttributes, source: SplitInput) -> None:
        directory, base = self._tree.parent(parts, make=True), parts[-1]
        match entry.type:
            case EntryType.SYMLINK if entry.linkname:
                os.symlink(entry.linkname, base, dir_fd=directory)
            case EntryType.SYMLINK:
                raise FormatError(f"{entry.name!r} is a link with an empty target")
            case EntryType.FIFO:
                os.mkfifo(base, 0o600, dir_fd=directory)
            case EntryType.CHAR | EntryType.BLOCK:
                if reason := _create_device(entry, directory, base, source.header):
                    warn(self._reporter, f"device {entry.name!r} is not created in the store: {reason}")
                    return
            case _:
                warn(
                    self._reporter,
                    f"{entry.name!r} is left out of the store: members of type {entry.type} are not supported",
                )
                return
        attributes.apply_by_name(base, directory, entry.type)


def _new(name: str, directory: int) -> int:
    """A descriptor of the new file *name*."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, 0o600, dir_fd=directory)


def _whiteout_target(base: str, entry: TarEntry) -> str:
    name = base.removeprefix(_MARK)
    if name in ("", ".", ".."):
        raise FormatError(f"the layer has {entry.name!r}, a whiteout of its own parent directory")
    return name


def _duplicate_error(entry: TarEntry) -> FormatError:
    return FormatError(f"the layer has {entry.name!r} twice, or a parent that is not a directory")


def _create_device(entry: TarEntry, directory: int, base: str, header: bytes) -> str:
    """Creates the device with the number in *header*. Returns "", or the reason why it was not created: overlayfs would
    interpret it as a deletion, or it is not permitted."""
    device = os.makedev(number(header[329:337], "device number"), number(header[337:345], "device number"))
    if not device:
        return "overlayfs would interpret it as a deletion"
    try:
        os.mknod(
            base, (stat.S_IFCHR if entry.type is EntryType.CHAR else stat.S_IFBLK) | 0o600, device, dir_fd=directory
        )
    except PermissionError:
        return "only root can create devices"
    return ""


def _counted(chunks: Iterator[bytes], crc: Crc64) -> Iterator[bytes]:
    for chunk in chunks:
        crc.update(chunk)
        yield chunk
