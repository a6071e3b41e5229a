"""Limits on the memory and time that the entries of one image may take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from eci_convert.errors import LimitExceededError
from eci_convert.tar.input import ByteReader

MAX_EFFORT: Final = 12_000_000
"""The cost of reading the layers of an image in microseconds, roughly: some 800,000 entries."""
MAX_NODES: Final = 1_000_000
"""The number of nodes: one for a file, two for a directory, including those without entries of their own."""
MAX_TEXT: Final = 96 << 20
"""The number of characters in all names and link targets."""
MAX_PATH: Final = 4096
"""Characters in one name or link target, as in Linux."""
MAX_LINKS: Final = 40
"""Links that one lookup follows, as in Linux."""

_ENTRY = 11  # microseconds per entry
_BYTES = 6  # bytes of extension headers per microsecond


class Budget:
    """What is left of these limits for one image. All methods raise LimitExceededError when it is used up."""

    def __init__(self) -> None:
        self._nodes = MAX_NODES
        self._text = MAX_TEXT
        self._effort = MAX_EFFORT

    def node(self, weight: int = 1) -> None:
        """Charges one node."""
        self._nodes -= weight
        if self._nodes < 0:
            raise LimitExceededError(f"the layers of the image have more than {MAX_NODES} files")

    def entry(self, name: str, linkname: str) -> None:
        """Charges one entry and its texts."""
        self.spend(_ENTRY)
        if len(name) > MAX_PATH or len(linkname) > MAX_PATH:
            raise LimitExceededError(
                f"a path of {max(len(name), len(linkname))} characters (limit {MAX_PATH}): {name[:80]!r}"
            )
        self._text -= len(name) + len(linkname)
        if self._text < 0:
            raise LimitExceededError(f"the names in the image are longer than {MAX_TEXT} characters")

    def spend(self, count: int = 1) -> None:
        """Charges *count* path components, one microsecond each."""
        self._effort -= count
        if self._effort < 0:
            raise LimitExceededError("the image has more entries, longer paths or more links than can be followed")

    def metered(self, chunks: Iterable[bytes]) -> ByteReader:
        """A reader for the archive *chunks* that charges extension headers."""
        return _Metered(chunks, self)


class _Metered(ByteReader):
    """A ByteReader that charges structures. Entries are charged by the caller."""

    def __init__(self, chunks: Iterable[bytes], work: Budget) -> None:
        super().__init__(chunks)
        self._work = work

    def read_exactly(self, length: int) -> bytes:
        self._work.spend(length // _BYTES)
        return super().read_exactly(length)
