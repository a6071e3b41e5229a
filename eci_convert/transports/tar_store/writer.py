"""A tar archive that is being written, into a file or into a stream; a member's size and name may come out last.

In a file a header is written when its content has gone by, and several threads write at once. In a stream, content of
unknown size or name is spooled first. Times are `SOURCE_DATE_EPOCH`, else 0, and owners are root. In a file the order
is said at the end, so the same members make the same bytes, whichever thread came first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Protocol

from eci_convert.errors import LocalError
from eci_convert.files.atomic import AtomicFiles
from eci_convert.files.errors import local_errors
from eci_convert.files.output_paths import inherited_descriptor
from eci_convert.files.safe_open import read_range
from eci_convert.files.sparse import write_data
from eci_convert.files.spool import Spool
from eci_convert.files.writeback import start_writeback
from eci_convert.oci.digest import Digest
from eci_convert.options import source_date_epoch
from eci_convert.tar import TarMember, member_header
from eci_convert.tar.header import TAR_BLOCK
from eci_convert.tar.writer import TRAILER
from eci_convert.transports.verified_input import VerifiedInput

NameOf = Callable[[Digest | None], str]
"""What a member is called by the digest of its content; asked with None, it answers "" if the digest must be known."""

_LARGEST_OCTAL = 8**11


class TarWriter(Protocol):
    """An archive in the making."""

    def add(self, received: VerifiedInput, named: NameOf) -> str:
        """Write a member and say what it is called. One of a name that is there already is not written again.

        May be called from several threads. Raises what *received* raises, and LocalError.
        """

    def finish(self, order: Sequence[str]) -> None:
        """End the archive, which is then in its place. *order* names all members that it is to have."""

    def close(self) -> None:
        """Let go of everything; of what is not finished nothing stays."""


def tar_output(path: str, environ: Mapping[str, str]) -> TarWriter:
    """An archive at *path*: in a stream if that is `-`, a pipe or a device, else in a file that appears when it is
    finished."""
    if path == "-":
        return StreamOutput(lambda data: _write(1, data), environ, "standard output")
    return PipeOutput(path, environ) if _is_stream(path) else FileOutput(Path(path), source_date_epoch(environ))


@dataclass(slots=True)
class _Slot:
    """Where a member lies in the file: its header at *start*, its content behind that. Without a name it is waste."""

    start: int
    size: int = 0
    name: str = ""

    @property
    def content(self) -> int:
        return self.start + TAR_BLOCK

    @property
    def end(self) -> int:
        return self.content + self.size + -self.size % TAR_BLOCK


class FileOutput:
    """An archive that takes the place of *path* when it is finished. *mtime* is every member's."""

    def __init__(self, path: Path, mtime: int = 0) -> None:
        self._path = path
        self._mtime = mtime
        self._staged = AtomicFiles()
        self._file: BinaryIO | None = None
        self._regions: list[_Slot] = []
        self._lock = Lock()
        self._tail = Lock()

    def add(self, received: VerifiedInput, named: NameOf) -> str:
        if received.expected_size is None:
            with self._tail:  # nobody can begin behind a member that is still growing
                return self._write(self._reserved(0), received, named)
        with self._tail:
            region = self._reserved(received.expected_size)
        return self._write(region, received, named)

    def finish(self, order: Sequence[str]) -> None:
        if [region.name for region in self._regions] != list(order):
            self._rearrange(order)
        with local_errors(self._path):
            os.ftruncate(self._descriptor(), self._end() + len(TRAILER))
        self._staged.commit()

    def close(self) -> None:
        self._staged.__exit__(None, None, None)

    def _reserved(self, size: int) -> _Slot:
        with self._lock:
            self._descriptor()
            region = _Slot(self._end(), size)
            self._regions.append(region)
            return region

    def _write(self, region: _Slot, received: VerifiedInput, named: NameOf) -> str:
        descriptor, at = self._descriptor(), region.content
        try:
            for chunk in start_writeback(received, descriptor, at):
                with local_errors(self._path):
                    write_data(descriptor, chunk, at)
                at += len(chunk)
        finally:
            region.size = max(region.size, at - region.content)  # also of what failed: it is not written over
        name = named(received.descriptor("").digest)
        with self._lock:
            if name not in (known.name for known in self._regions):
                region.name = name
        with local_errors(self._path):
            os.pwrite(descriptor, _header(name, received.size, self._mtime), region.start)
        return name

    def _rearrange(self, order: Sequence[str]) -> None:
        """Copy the members to another file in *order*, and leave the rest behind."""
        there = {region.name: region for region in self._regions if region.name}
        old, old_file = self._staged, self._descriptor()
        self._staged, self._file, self._regions = AtomicFiles(), None, []
        try:
            for name in order:
                source = there[name]
                region = self._reserved(source.size)
                for at, chunk in _placed(
                    read_range(old_file, source.start, source.content + source.size), region.start
                ):
                    with local_errors(self._path):
                        write_data(self._descriptor(), chunk, at)
                region.name = name
        finally:
            old.__exit__(None, None, None)

    def _descriptor(self) -> int:
        if self._file is None:
            self._file = self._staged.add(self._path)
        return self._file.fileno()

    def _end(self) -> int:
        return self._regions[-1].end if self._regions else 0


class StreamOutput:
    """An archive that is given to *write* piece by piece; *what* is what to call it in an error."""

    def __init__(self, write: Callable[[bytes], object], environ: Mapping[str, str], what: str) -> None:
        self._write = write
        self._environ = environ
        self._mtime = source_date_epoch(environ)
        self._what = what
        self._names: set[str] = set()
        self._lock = Lock()
        self._broken = False

    def add(self, received: VerifiedInput, named: NameOf) -> str:
        with self._lock:
            self._check()
            name = named(received.expected)
            if name in self._names:
                for _ in received:
                    pass
            elif name and received.expected_size is not None:
                self._member(name, received.expected_size, received)
            else:
                name = self._spooled(received, named)
            self._names.add(name)
            return name

    def finish(self, order: Sequence[str]) -> None:
        self._check()
        with local_errors(self._what):
            self._write(TRAILER)

    def close(self) -> None: ...

    def _spooled(self, received: VerifiedInput, named: NameOf) -> str:
        spool = Spool(self._environ)
        try:
            start, size = spool.append(received)
            name = named(received.descriptor("").digest)
            if name not in self._names:
                self._member(name, size, read_range(spool.descriptor, start, start + size))
            return name
        finally:
            spool.close()

    def _member(self, name: str, size: int, chunks: Iterable[bytes]) -> None:
        self._broken = True  # until all of it is there
        with local_errors(self._what):
            self._write(_header(name, size, self._mtime))
        for chunk in chunks:
            with local_errors(self._what):
                self._write(chunk)
        with local_errors(self._what):
            self._write(bytes(-size % TAR_BLOCK))
        self._broken = False

    def _check(self) -> None:
        if self._broken:
            raise LocalError(f"{self._what}: what has been written cannot be completed any more")


class PipeOutput(StreamOutput):
    """An archive that goes into a pipe or a device at *path*, which is opened when there is something to write.

    Where *path* stands for an open file, what others write to that comes before and behind the archive.
    """

    def __init__(self, path: str, environ: Mapping[str, str]) -> None:
        super().__init__(self._into, environ, path)
        self._path = path
        self._descriptor = -1

    def close(self) -> None:
        if self._descriptor >= 0:
            with suppress(OSError):
                os.close(self._descriptor)

    def _into(self, data: bytes) -> None:
        if self._descriptor < 0:
            number = inherited_descriptor(self._path)
            flags = os.O_WRONLY | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags) if number is None else os.dup(number)
        _write(self._descriptor, data)


def _is_stream(path: str) -> bool:
    """Whether there is a pipe or a device at *path*, or one of the names of this process's own files (`/dev/stdout`),
    which must not be replaced."""
    directory = os.path.realpath(os.path.dirname(path))
    if directory == "/dev" or directory.startswith(("/dev/fd/", "/proc/")):
        return True
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _placed(chunks: Iterable[bytes], at: int) -> Iterable[tuple[int, bytes]]:
    for chunk in chunks:
        yield at, chunk
        at += len(chunk)


def _header(name: str, size: int, mtime: int = 0) -> bytes:
    """One block, whatever the size: from 8 GiB on it is written in base 256, which every reader of these knows."""
    octal = size if size < _LARGEST_OCTAL else 0
    block = bytearray(member_header(TarMember(name=name, size=octal, mtime=min(mtime, _LARGEST_OCTAL - 1))))
    if size >= _LARGEST_OCTAL:
        block[124:136] = b"\x80" + size.to_bytes(11, "big")
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)
