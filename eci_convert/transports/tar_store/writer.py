"""A tar archive being written to a file or a stream; size and name of a member may be known only at its end.

In a file a header is written after its content, and several threads write at once. In a stream, content of unknown size
or name is spooled first. Times are `SOURCE_DATE_EPOCH`, else 0, and owners are root. The order of members in a file is
set at the end, so that the same members result in the same bytes, whatever the order of threads.
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
"""The name of a member by the digest of its content; called with None, it returns "" if the digest is required."""

_LARGEST_OCTAL = 8**11


class TarWriter(Protocol):
    """An archive being written."""

    def add(self, received: VerifiedInput, named: NameOf) -> str:
        """Writes a member and returns its name. A member whose name exists already is not written again.

        Thread-safe. Raises what *received* raises, and LocalError.
        """

    def finish(self, order: Sequence[str]) -> None:
        """Completes the archive and puts it into place. *order* lists the names of all members to keep."""

    def close(self) -> None:
        """Releases all resources; an unfinished archive is discarded."""


def tar_output(path: str, environ: Mapping[str, str]) -> TarWriter:
    """An archive at *path*: a stream if that is `-`, a pipe or a device, else a file that appears when it is
    complete."""
    if path == "-":
        return StreamOutput(lambda data: _write(1, data), environ, "standard output")
    return PipeOutput(path, environ) if _is_stream(path) else FileOutput(Path(path), source_date_epoch(environ))


@dataclass(slots=True)
class _Slot:
    """The position of a member in the file: its header at *start*, its content behind it. Without a name it is
    garbage."""

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
    """An archive that replaces *path* when it is complete. *mtime* is that of every member."""

    def __init__(self, path: Path, mtime: int = 0) -> None:
        self._path = path
        self._mtime = mtime
        self._staged = AtomicFiles()
        self._file: BinaryIO | None = None
        self._slots: list[_Slot] = []
        self._lock = Lock()
        self._tail = Lock()

    def add(self, received: VerifiedInput, named: NameOf) -> str:
        if received.expected_size is None:
            with self._tail:  # no other member can begin behind one that is still growing
                return self._write(self._reserve(0), received, named)
        with self._tail:
            slot = self._reserve(received.expected_size)
        return self._write(slot, received, named)

    def finish(self, order: Sequence[str]) -> None:
        if [slot.name for slot in self._slots] != list(order):
            self._rearrange(order)
        with local_errors(self._path):
            os.ftruncate(self._descriptor(), self._end() + len(TRAILER))
        self._staged.commit()

    def close(self) -> None:
        self._staged.__exit__(None, None, None)

    def _reserve(self, size: int) -> _Slot:
        with self._lock:
            self._descriptor()
            slot = _Slot(self._end(), size)
            self._slots.append(slot)
            return slot

    def _write(self, slot: _Slot, received: VerifiedInput, named: NameOf) -> str:
        descriptor, at = self._descriptor(), slot.content
        try:
            for chunk in start_writeback(received, descriptor, at):
                with local_errors(self._path):
                    write_data(descriptor, chunk, at)
                at += len(chunk)
        finally:
            slot.size = max(slot.size, at - slot.content)  # also after a failure: it is not overwritten
        name = named(received.descriptor("").digest)
        with self._lock:
            if name not in (other.name for other in self._slots):
                slot.name = name
        with local_errors(self._path):
            os.pwrite(descriptor, _header(name, received.size, self._mtime), slot.start)
        return name

    def _rearrange(self, order: Sequence[str]) -> None:
        """Copies the members to another file in *order*, leaving out the rest."""
        slots = {slot.name: slot for slot in self._slots if slot.name}
        old, old_file = self._staged, self._descriptor()
        self._staged, self._file, self._slots = AtomicFiles(), None, []
        try:
            for name in order:
                source = slots[name]
                slot = self._reserve(source.size)
                for at, chunk in _with_offsets(
                    read_range(old_file, source.start, source.content + source.size), slot.start
                ):
                    with local_errors(self._path):
                        write_data(self._descriptor(), chunk, at)
                slot.name = name
        finally:
            old.__exit__(None, None, None)

    def _descriptor(self) -> int:
        if self._file is None:
            self._file = self._staged.add(self._path)
        return self._file.fileno()

    def _end(self) -> int:
        return self._slots[-1].end if self._slots else 0


class StreamOutput:
    """An archive that is passed to *write* in chunks; *what* is its name in errors."""

    def __init__(self, write: Callable[[bytes], object], environ: Mapping[str, str], what: str) -> None:
        self._write = write
        self._environ = environ
        self._mtime = source_date_epoch(environ)
        self._what = what
        self._names: set[str] = set()
        self._lock = Lock()
        self._incomplete = False

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
        self._incomplete = True  # until the member is complete
        with local_errors(self._what):
            self._write(_header(name, size, self._mtime))
        for chunk in chunks:
            with local_errors(self._what):
                self._write(chunk)
        with local_errors(self._what):
            self._write(bytes(-size % TAR_BLOCK))
        self._incomplete = False

    def _check(self) -> None:
        if self._incomplete:
            raise LocalError(f"{self._what}: an earlier error left the archive incomplete")


class PipeOutput(StreamOutput):
    """An archive written to a pipe or a device at *path*, which is opened with the first write.

    If *path* refers to an open file, other output to it before and after the archive is kept.
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
    """Whether *path* is a pipe or a device, or one of the names of this process's own files (`/dev/stdout`), which must
    not be replaced."""
    directory = os.path.realpath(os.path.dirname(path))
    if directory == "/dev" or directory.startswith(("/dev/fd/", "/proc/")):
        return True
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _with_offsets(chunks: Iterable[bytes], at: int) -> Iterable[tuple[int, bytes]]:
    for chunk in chunks:
        yield at, chunk
        at += len(chunk)


def _header(name: str, size: int, mtime: int = 0) -> bytes:
    """A header of one block, whatever the size: from 8 GiB on the size is in base 256, which all readers of these
    archives support."""
    octal = size if size < _LARGEST_OCTAL else 0
    block = bytearray(member_header(TarMember(name=name, size=octal, mtime=min(mtime, _LARGEST_OCTAL - 1))))
    if size >= _LARGEST_OCTAL:
        block[124:136] = b"\x80" + size.to_bytes(11, "big")
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)
