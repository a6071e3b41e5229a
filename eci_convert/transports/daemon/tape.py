"""A tar archive that is written as it comes: nothing of it can be taken back, and members may fail.

A member that breaks off is filled up before the next one begins, if one does: it is waste, which nothing refers to.
Content of unknown length is spooled, since a header comes before its content and holds the length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from threading import Lock

from eci_convert.streams.tar import TarMember, header
from eci_convert.streams.tar_header import BLOCK
from eci_convert.streams.tar_write import TRAILER
from eci_convert.streams.zeros import ZEROS
from eci_convert.transports.received import Received
from eci_convert.transports.regular import between
from eci_convert.transports.spool import Spool


class Tape:
    """An archive that is given to *write* piece by piece; *environ* says where a spool may be."""

    def __init__(self, write: Callable[[bytes], object], environ: Mapping[str, str]) -> None:
        self._write = write
        self._environ = environ
        self._lock = Lock()
        self._owed = 0

    def add(self, name: str, received: Received) -> None:
        """Write the member *name*. May be called from several threads, which wait for each other. Raises what
        *received* and the writing raise."""
        with self._lock:
            self._fill()
            if received.promised_size is not None:
                self._member(name, received.promised_size, received)
                return
            spool = Spool(self._environ)
            try:
                start, size = spool.append(received)
                self._member(name, size, between(spool.descriptor, start, start + size))
            finally:
                spool.close()

    def finish(self) -> None:
        """End the archive."""
        with self._lock:
            self._fill()
            self._write(TRAILER)

    def _member(self, name: str, size: int, chunks: Iterable[bytes]) -> None:
        self._write(header(TarMember(name=name, size=size)))
        self._owed = size + -size % BLOCK
        for chunk in chunks:
            self._owed -= len(chunk)
            self._write(chunk)
        self._fill()

    def _fill(self) -> None:
        """The padding of a member; or all that one which broke off still lacks."""
        while self._owed:
            piece = ZEROS[: min(self._owed, len(ZEROS))]
            self._owed -= len(piece)
            self._write(piece)
