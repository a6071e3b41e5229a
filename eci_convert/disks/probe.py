"""ContentProbe: size, type and external references of a disk image that is streamed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from eci_convert.disks.detect import HEAD, TAIL, detect_disk_type
from eci_convert.disks.references import external_reference, extra_range
from eci_convert.model import DiskType


class ContentProbe:
    """*chunks* unchanged; size and disk type are known at the end.

    *head*, *tail* and *further* are the first bytes, the last, and those of `extra_range`, that tell them.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.head = self.tail = self.further = b""
        self._extra_range = range(0)
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            if len(self.head) < HEAD:
                self.head += chunk[: HEAD - len(self.head)]
                self._extra_range = extra_range(self.head) if len(self.head) == HEAD else range(0)
            if self.size < self._extra_range.stop:
                self.further += chunk[max(0, self._extra_range.start - self.size) : self._extra_range.stop - self.size]
            self.size += len(chunk)
            self.tail = chunk[-TAIL:] if len(chunk) >= TAIL else (self.tail + chunk)[-TAIL:]
            yield chunk

    @property
    def disk_type(self) -> DiskType | None:
        """The detected disk type, None if unknown."""
        return detect_disk_type(self.head, self.size, self.tail)

    @property
    def foreign_reference(self) -> str | None:
        """The external reference of the disk, for messages; None without one."""
        return external_reference(self.head, self.size, self.tail, self.further)
