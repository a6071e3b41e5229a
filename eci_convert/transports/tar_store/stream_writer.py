"""A tar archive written as a stream: written data cannot be changed, and members may fail.

A member that fails is padded to its size before the next one begins; nothing refers to it then.
Content of unknown length is spooled, because a header precedes its content and holds the length. Holes that are known
beforehand are left out as a sparse member; the engine recreates them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from threading import Lock

from eci_convert.files.safe_open import read_range
from eci_convert.files.sparse import extents
from eci_convert.files.spool import Spool
from eci_convert.streams.blocks import ZERO_BLOCK
from eci_convert.tar import TarMember, member_header
from eci_convert.tar.header import TAR_BLOCK
from eci_convert.tar.sparse_write import only_data, packed_size, sparse_header, sparse_map
from eci_convert.tar.writer import TRAILER
from eci_convert.transports.verified_input import VerifiedInput


class StreamTarWriter:
    """An archive that is passed to *write* in chunks; *environ* has the directory for spools."""

    def __init__(self, write: Callable[[bytes], object], environ: Mapping[str, str]) -> None:
        self._write = write
        self._environ = environ
        self._lock = Lock()
        self._remaining = 0

    def add(self, name: str, received: VerifiedInput, data: Iterable[tuple[int, int]] | None = None) -> None:
        """Writes the member *name*; *data* are the non-zero regions (offset, length), if known.

        Thread-safe; callers wait for each other. Raises the errors of *received* and of *write*.
        """
        with self._lock:
            self._fill()
            if received.expected_size is not None:
                self._member(name, received.expected_size, received, data)
                return
            spool = Spool(self._environ)
            try:
                start, size = spool.append(received)
                self._member(name, size, read_range(spool.descriptor, start, start + size), extents(spool.descriptor))
            finally:
                spool.close()

    def finish(self) -> None:
        """Writes the end of the archive."""
        with self._lock:
            self._fill()
            self._write(TRAILER)

    def _member(
        self, name: str, size: int, chunks: Iterable[bytes], data: Iterable[tuple[int, int]] | None = None
    ) -> None:
        member, stored = TarMember(name=name, size=size), size
        if entries := sparse_map(data, size) if data else ():
            self._write(sparse_header(member, entries))
            chunks, stored = only_data(chunks, entries), packed_size(entries)
        else:
            self._write(member_header(member))
        self._remaining = stored + -stored % TAR_BLOCK
        for chunk in chunks:
            self._remaining -= len(chunk)
            self._write(chunk)
        self._fill()

    def _fill(self) -> None:
        """Pads a member; one that failed, to its full size."""
        while self._remaining:
            piece = ZERO_BLOCK[: min(self._remaining, len(ZERO_BLOCK))]
            self._remaining -= len(piece)
            self._write(piece)
