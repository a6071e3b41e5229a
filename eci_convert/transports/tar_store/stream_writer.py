"""A tar archive that is written as it comes: nothing of it can be taken back, and members may fail.

A member that breaks off is filled up before the next one begins, if one does: it is waste, which nothing refers to.
Content of unknown length is spooled, since a header comes before its content and holds the length. Of content whose
holes are known beforehand they are left out; the engine makes them anew.
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
    """An archive that is given to *write* piece by piece; *environ* says where a spool may be."""

    def __init__(self, write: Callable[[bytes], object], environ: Mapping[str, str]) -> None:
        self._write = write
        self._environ = environ
        self._lock = Lock()
        self._owed = 0

    def add(self, name: str, received: VerifiedInput, data: Iterable[tuple[int, int]] | None = None) -> None:
        """Write the member *name*; *data* is where it is not zero, (offset, length), if that is known.

        May be called from several threads, which wait for each other. Raises what *received* and the writing raise.
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
        """End the archive."""
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
        self._owed = stored + -stored % TAR_BLOCK
        for chunk in chunks:
            self._owed -= len(chunk)
            self._write(chunk)
        self._fill()

    def _fill(self) -> None:
        """The padding of a member; or all that one which broke off still lacks."""
        while self._owed:
            piece = ZERO_BLOCK[: min(self._owed, len(ZERO_BLOCK))]
            self._owed -= len(piece)
            self._write(piece)
