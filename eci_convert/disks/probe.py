"""What passing bytes show of a disk: its size, its type, and the other files that it needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from eci_convert.disks.detect import HEAD, TAIL, detect_disk_type
from eci_convert.disks.references import external_reference, extra_range
from eci_convert.model import DiskType


class ContentProbe:
    """*chunks* as they are; how many bytes, and what sort of disk, is known when they have gone by."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._head = self._tail = self._further = b""
        self._wanted = range(0)
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            if len(self._head) < HEAD:
                self._head += chunk[: HEAD - len(self._head)]
                self._wanted = extra_range(self._head) if len(self._head) == HEAD else range(0)
            if self.size < self._wanted.stop:
                self._further += chunk[max(0, self._wanted.start - self.size) : self._wanted.stop - self.size]
            self.size += len(chunk)
            self._tail = chunk[-TAIL:] if len(chunk) >= TAIL else (self._tail + chunk)[-TAIL:]
            yield chunk

    @property
    def disk_type(self) -> DiskType | None:
        """The type of disk that this is, None if it could be anything."""
        return detect_disk_type(self._head, self.size, self._tail)

    @property
    def foreign_reference(self) -> str | None:
        """What the disk wants read beside itself."""
        return external_reference(self._head, self.size, self._tail, self._further)
