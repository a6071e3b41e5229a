"""The files in a tar archive by their names, wherever the archive comes from: a file, compressed or not, or a pipe.

An uncompressed file is indexed once, header by header, and read where it is. Anything else goes by once, and its files
are kept in a spool. Names are data: they are looked up among the members, never on this computer.
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
from eci_convert.tar.input import MemberContent

STANDARD: Final = "-"
"""The path that means standard input or output."""
MAX_MEMBERS: Final = 50_000
"""Members of an archive of images; a layer has more, an archive of layers has not."""
_MAX_NAME = 1024
_MAX_LINKS = 8
_MAX_TRAILING = 64 << 20
_PLACEHOLDER = bytes(64 << 20)  # never touched, so it takes no memory


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """Where a file's bytes lie, or which name it is a link to."""

    descriptor: int = -1
    start: int = 0
    size: int = 0
    link: str | None = None


class TarStore:
    """The archive at *path*, `-` being standard input. It is opened when something is asked of it.

    Of members with one name the last counts, as for tar. *environ* says where a spool may be. *descriptor* is a file
    that is open already, and *path* then what messages call it.
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
        """The names of all files and links, in the order of the archive, without `./` before them.

        Raises NotFound, LocalError, and what reading an archive raises.
        """
        return tuple(self._index())

    def check(self) -> None:
        """Raises FormatError where there is nothing in it, and as `names`."""
        if self._index():
            return
        error = FormatError("there is nothing in it", where=self.path)
        if self.path == STANDARD:
            error.add_note("hint: what was to write into the pipe may have failed")
        raise error

    def __contains__(self, name: str) -> bool:
        """Whether there is a file or a link of that name. Raises as `names`."""
        return name in self._index()

    def size(self, name: str) -> int:
        """The size in bytes of the file *name*. Raises as `read`."""
        return self._member(name).size

    def place(self, name: str) -> tuple[int, int, int]:
        """What two names of one file have in common. Raises as `read`."""
        member = self._member(name)
        return member.descriptor, member.start, member.size

    def chunks(self, name: str, skip: int = 0) -> Iterator[bytes]:
        """The bytes of the file *name* from offset *skip*. Raises as `read`."""
        member = self._member(name)
        return read_range(member.descriptor, member.start + min(skip, member.size), member.start + member.size)

    def read(self, name: str) -> bytes:
        """The whole of a small file. Raises NotFound, FormatError for a link that leads nowhere, LimitExceeded."""
        size = self.size(name)
        if size > MAX_DOCUMENT:
            raise LimitExceededError(f"{name!r} is {size} bytes (limit {MAX_DOCUMENT})", where=self.path)
        return b"".join(self.chunks(name))

    def close(self) -> None:
        """Let go of the file and of the spool."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            if self._spool:
                self._spool.close()
            self._descriptor, self._spool, self._members = -1, None, None

    def _member(self, name: str) -> _Member:
        members = self._index()
        wanted = name
        for _ in range(_MAX_LINKS):
            if wanted not in members:
                raise NotFoundError(f"{self.path}: there is no {wanted!r} in it")
            member = members[wanted]
            if member.link is None:
                return member
            if member.link.startswith("/"):
                raise FormatError(f"{wanted!r} is a link that leads out of the archive", where=self.path)
            wanted = member.link
        raise FormatError(f"{name!r} is a link to a link to a link", where=self.path)

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
                return self._gathered(_TrailingDataLimit(blocks), blocks)
            return self._gathered(
                _TrailingDataLimit(prefetch(decompressed(prefetch(read_chunks(descriptor)), None))), None
            )
        except CorruptStreamError as error:
            raise CorruptStreamError(f"no tar archive, or a damaged one: {error}", where=self.path) from error

    def _open(self) -> int:
        if self._descriptor < 0:
            try:
                self._descriptor = (
                    os.dup(0) if self._location == STANDARD else os.open(self._location, os.O_RDONLY | os.O_CLOEXEC)
                )
            except FileNotFoundError as error:
                raise NotFoundError(f"{self.path}: there is no such file") from error
            except OSError as error:
                raise LocalError(f"{self.path}: {error.strerror or error}") from error
            if stat.S_ISDIR(os.fstat(self._descriptor).st_mode):
                raise UsageError(f"{self.path!r} is a directory and no archive")
        return self._descriptor

    def _gathered(self, tape: _TrailingDataLimit, blocks: _HeaderOnlyReader | None) -> dict[str, _Member]:
        found: dict[str, _Member] = {}
        for entry in entries(tape, limit=MAX_MEMBERS):
            tape.extend(0)
            name = _inside(entry.name, self.path)
            if entry.type in (EntryType.SYMLINK, EntryType.HARDLINK):
                below = name.rpartition("/")[0] if entry.type is EntryType.SYMLINK else ""
                found[name] = _Member(link=_target(below, entry.linkname))
            elif entry.type in (EntryType.FILE, EntryType.OTHER):
                found[name] = self._file(entry, tape, blocks)
        return found

    def _file(self, entry: TarEntry, tape: _TrailingDataLimit, blocks: _HeaderOnlyReader | None) -> _Member:
        if blocks and isinstance(
            entry.chunks, MemberContent
        ):  # as stored: not a sparse member, whose holes are left out
            start = blocks.position
            blocks.pass_over(entry.size)
            tape.extend(entry.size)
            return _Member(descriptor=blocks.descriptor, start=start, size=entry.size)
        if not self._spool:
            self._spool = Spool(self._environ)
        start, size = self._spool.append(tape.track(entry.chunks))
        return _Member(descriptor=self._spool.descriptor, start=start, size=size)


class _HeaderOnlyReader:
    """An archive in a file, block by block, for a reader that takes it block by block: *position* is the reader's.

    Contents can be passed over: zeros stand for them, and they are not read.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.position = 0
        self._size = os.fstat(descriptor).st_size
        self._resume = 0

    def pass_over(self, length: int) -> None:
        """The content that begins here, *length* bytes and its padding, is of no interest."""
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
    """Chunks up to 64 MiB behind the last of which use was made: so much may follow the archive's end, which nobody
    interprets, and whatever is longer is not worth reading."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._idle = 0

    def extend(self, length: int) -> None:
        """What has been read was of use, and so are the next *length* bytes."""
        self._idle = -length

    def track(self, content: Iterable[bytes]) -> Iterator[bytes]:
        """*content*, which comes out of these chunks."""
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
    """At most *length* bytes that nobody looks at: as many as cost nothing."""
    return _PLACEHOLDER if length >= len(_PLACEHOLDER) else ZERO_BLOCK[:length]


def _in_place(descriptor: int) -> bool:
    """Whether the archive can be read where it is: a regular file, at its beginning, not compressed."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return False
    with suppress(OSError):
        return (
            os.lseek(descriptor, 0, os.SEEK_CUR) == 0
            and detect_compression(os.pread(descriptor, 6, 0)) is Compression.NONE
        )
    return False


def _inside(name: str, where: str) -> str:
    """*name* as a path below the archive's root. Raises FormatError for one that leads out of it."""
    if len(name) > _MAX_NAME:
        raise LimitExceededError(f"a member's name is {len(name)} characters long (limit {_MAX_NAME})", where=where)
    steps = [step for step in name.split("/") if step not in ("", ".")]
    if ".." in steps:
        raise FormatError(f"the member {name!r} leads out of the archive", where=where)
    return "/".join(steps)


def _target(below: str, linkname: str) -> str:
    """The member that a link in the directory *below* leads to; with a slash before it where it leads out of them."""
    if linkname.startswith("/"):
        return linkname
    steps = [step for step in below.split("/") if step]
    for step in linkname.split("/"):
        if step == ".." and not steps:
            return "/" + linkname
        if step == "..":
            steps.pop()
        elif step not in ("", "."):
            steps.append(step)
    return "/".join(steps)
