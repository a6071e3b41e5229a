"""The files in a tar archive by name, from a file, compressed or not, or from a pipe.

An uncompressed file is indexed once, header by header, and read in place. Anything else is read once, and its files are
spooled. Names are keys among the members, and never paths on this computer.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Final

from eci_convert.compression.codec import Compression, decompressed, detect_compression
from eci_convert.errors import (
    CorruptStreamError,
    FormatError,
    LimitExceededError,
    LocalError,
    NotFoundError,
    UsageError,
)
from eci_convert.files.errors import local_errors
from eci_convert.files.safe_open import read_chunks, read_range
from eci_convert.files.spool import Spool
from eci_convert.files.temp_files import path_of
from eci_convert.oci.json_fields import MAX_DOCUMENT
from eci_convert.streams.blocks import ZERO_BLOCK
from eci_convert.streams.threads import prefetch
from eci_convert.tar import EntryType, TarEntry, entries
from eci_convert.tar.header import TAR_BLOCK

STANDARD: Final = "-"
"""The path that means standard input or output."""
MAX_MEMBERS: Final = 50_000
"""The limit of members of an archive of images; a layer may have more."""
_MAX_NAME = 1024
_MAX_LINKS = 8
_MAX_TRAILING = 64 << 20
_PLACEHOLDER = bytes(64 << 20)  # never touched, so it takes no memory


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """The position of a file's content, or the name that a link refers to."""

    descriptor: int = -1
    start: int = 0
    size: int = 0
    link: str | None = None


class TarStore:
    """The archive at *path*, `-` for standard input. It is opened on first use.

    The last of several members with one name counts, as with tar. *environ* has the directory for spools. *descriptor*
    is a file that is open already; *path* is its name in messages then.
    """

    def __init__(self, path: str, environ: Mapping[str, str], *, descriptor: int = -1) -> None:
        self.path = path
        self._location = f"/proc/self/fd/{descriptor}" if descriptor >= 0 else path
        self._environ = environ
        self._lock = Lock()
        self._members: dict[str, _Member] | None = None
        self._descriptor = -1
        self._spool: Spool | None = None

    def names(self) -> tuple[str, ...]:
        """The names of all files and links, in the order of the archive, without a leading `./`.

        Raises NotFoundError, LocalError, and the errors of reading an archive.
        """
        return tuple(self._index())

    def check(self) -> None:
        """Raises FormatError if the archive is empty, and the errors of `names`."""
        if self._index():
            return
        error = FormatError("empty file", where=self.path)
        if self.path == STANDARD:
            error.add_note("hint: the command that writes to the pipe may have failed")
        raise error

    def __contains__(self, name: str) -> bool:
        """Whether there is a file or link with that name. Raises the errors of `names`."""
        return name in self._index()

    def size(self, name: str) -> int:
        """The size in bytes of the file *name*. Raises the errors of `read`."""
        return self._member(name).size

    def place(self, name: str) -> tuple[int, int, int]:
        """A key that is equal for all names of one file. Raises the errors of `read`."""
        member = self._member(name)
        return member.descriptor, member.start, member.size

    def chunks(self, name: str, skip: int = 0) -> Iterator[bytes]:
        """The bytes of the file *name* from offset *skip*. Raises the errors of `read`."""
        member = self._member(name)
        return read_range(member.descriptor, member.start + min(skip, member.size), member.start + member.size)

    def read(self, name: str) -> bytes:
        """The content of a small file. Raises NotFoundError, FormatError for a broken link, LimitExceededError."""
        size = self.size(name)
        if size > MAX_DOCUMENT:
            raise LimitExceededError(f"{name!r} is {size} bytes (limit {MAX_DOCUMENT})", where=self.path)
        return b"".join(self.chunks(name))

    def close(self) -> None:
        """Closes the file and the spool."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            if self._spool:
                self._spool.close()
            self._descriptor, self._spool, self._members = -1, None, None

    def _member(self, name: str) -> _Member:
        members = self._index()
        target = name
        for _ in range(_MAX_LINKS):
            if target not in members:
                raise NotFoundError(f"{self.path}: no {target!r} in the archive")
            member = members[target]
            if member.link is None:
                return member
            if member.link.startswith("/"):
                raise FormatError(f"{target!r} is a link to outside the archive", where=self.path)
            target = member.link
        raise FormatError(f"{name!r} has too many levels of links", where=self.path)

    def _index(self) -> dict[str, _Member]:
        with self._lock:
            if self._members is None:
                self._members = self._read()
            return self._members

    def _read(self) -> dict[str, _Member]:
        descriptor = self._open()
        try:
            if _in_place(descriptor):
                blocks = _HeaderOnlyReader(descriptor)
                return self._index_members(_TrailingDataLimit(blocks), blocks)
            return self._index_members(
                _TrailingDataLimit(prefetch(decompressed(prefetch(read_chunks(descriptor)), None))), None
            )
        except CorruptStreamError as error:
            raise CorruptStreamError(f"not a tar archive, or corrupt: {error}", where=self.path) from error

    def _open(self) -> int:
        if self._descriptor < 0:
            try:
                self._descriptor = (
                    os.dup(0) if self._location == STANDARD else os.open(self._location, os.O_RDONLY | os.O_CLOEXEC)
                )
            except FileNotFoundError as error:
                raise NotFoundError(f"{self.path}: no such file") from error
            except OSError as error:
                raise LocalError(f"{self.path}: {error.strerror or error}") from error
            if stat.S_ISDIR(os.fstat(self._descriptor).st_mode):
                raise UsageError(f"{self.path!r} is a directory, not an archive")
        return self._descriptor

    def _index_members(self, limited: _TrailingDataLimit, blocks: _HeaderOnlyReader | None) -> dict[str, _Member]:
        members: dict[str, _Member] = {}
        for entry in entries(limited, limit=MAX_MEMBERS):
            limited.extend(0)
            name = _inside(entry.name, self.path)
            if entry.type in (EntryType.SYMLINK, EntryType.HARDLINK):
                directory = name.rpartition("/")[0] if entry.type is EntryType.SYMLINK else ""
                members[name] = _Member(link=_target(directory, entry.linkname))
            elif entry.type in (EntryType.FILE, EntryType.OTHER):
                members[name] = self._file(entry, limited, blocks)
        return members

    def _file(self, entry: TarEntry, limited: _TrailingDataLimit, blocks: _HeaderOnlyReader | None) -> _Member:
        if blocks and entry.stored_contiguously:
            start = blocks.position
            blocks.pass_over(entry.size)
            limited.extend(entry.size)
            return _Member(descriptor=blocks.descriptor, start=start, size=entry.size)
        if not self._spool:
            self._spool = Spool(self._environ)
        start, size = self._spool.append(limited.track(entry.chunks))
        return _Member(descriptor=self._spool.descriptor, start=start, size=size)


class _HeaderOnlyReader:
    """Reads an archive in a file block by block, for a consumer that takes it block by block: *position* is the
    consumer's.

    Contents can be skipped: zeros are returned in their place, and they are not read.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.position = 0
        self._size = os.fstat(descriptor).st_size
        self._resume = 0

    def pass_over(self, length: int) -> None:
        """Skips the content that begins here, *length* bytes and the padding."""
        self._resume = self.position + length + -length % TAR_BLOCK

    def __iter__(self) -> Iterator[bytes]:
        while self.position < self._size:
            if self.position < self._resume:
                block = _placeholder(min(self._resume, self._size) - self.position)
            else:
                with local_errors(path_of(self.descriptor)):
                    block = os.pread(self.descriptor, TAR_BLOCK, self.position)
            self.position += len(block)
            yield block


class _TrailingDataLimit:
    """Chunks up to 64 MiB after the last one that was used: so much data may follow the end of the archive. More is not
    read."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._idle = 0

    def extend(self, length: int) -> None:
        """Moves the limit: what was read was used, and so will be the next *length* bytes."""
        self._idle = -length

    def track(self, content: Iterable[bytes]) -> Iterator[bytes]:
        """*content*, which is read from these chunks."""
        for chunk in content:
            self.extend(0)
            yield chunk

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            yield chunk
            self._idle += len(chunk)
            if self._idle > _MAX_TRAILING:
                return


def _placeholder(length: int) -> bytes:
    """At most *length* bytes of zeros, as many as are free of cost."""
    return _PLACEHOLDER if length >= len(_PLACEHOLDER) else ZERO_BLOCK[:length]


def _in_place(descriptor: int) -> bool:
    """Whether the archive can be read in place: a regular file, at its beginning, not compressed."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return False
    with suppress(OSError):
        return (
            os.lseek(descriptor, 0, os.SEEK_CUR) == 0
            and detect_compression(os.pread(descriptor, 6, 0)) is Compression.NONE
        )
    return False


def _inside(name: str, where: str) -> str:
    """*name* as a path below the archive's root. Raises FormatError for one that points outside."""
    if len(name) > _MAX_NAME:
        raise LimitExceededError(
            f"the name of a member is {len(name)} characters long (limit {_MAX_NAME})", where=where
        )
    components = [component for component in name.split("/") if component not in ("", ".")]
    if ".." in components:
        raise FormatError(f"the member {name!r} points outside the archive", where=where)
    return "/".join(components)


def _target(directory: str, linkname: str) -> str:
    """The member that a link in the directory *directory* refers to; with a leading slash if that is outside the
    archive."""
    if linkname.startswith("/"):
        return linkname
    components = [component for component in directory.split("/") if component]
    for component in linkname.split("/"):
        if component == ".." and not components:
            return "/" + linkname
        if component == "..":
            components.pop()
        elif component not in ("", "."):
            components.append(component)
    return "/".join(components)
