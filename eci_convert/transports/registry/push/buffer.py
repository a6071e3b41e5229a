"""The data of an upload: counted and hashed, with the part buffered that may have to be sent again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from eci_convert.errors import DigestMismatchError, SizeMismatchError
from eci_convert.oci.digest import Digest
from eci_convert.tasks import current_task


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedBlob:
    """What is known of a blob before it is read: *digest* and *size* (bytes) are None if unknown."""

    media_type: str
    digest: Digest | None = None
    size: int | None = None


class UploadBuffer:
    """A stream, of which the bytes from offset *start* to *end* are buffered. *ended*: *end* is the end of the
    stream."""

    def __init__(self, chunks: Iterable[bytes], expected: ExpectedBlob) -> None:
        self.start = self.end = 0
        self.ended = False
        self._expected = expected
        self._chunks = iter(chunks)
        self._remainder = b""
        self._blocks: deque[bytes] = deque()
        self._algorithm = expected.digest.algorithm if expected.digest else "sha256"
        self._hasher = Digest(self._algorithm, "").hasher()
        self._sent = 0
        self._task = current_task()
        if self._task:
            self._task.travels(buffered=True)

    def sent(self, offset: int) -> None:
        """Reports everything before *offset* as sent; data that is only buffered here is not progress."""
        self._sent = max(offset, self._sent)
        if self._task:
            self._task.sent(self._sent, self.end, ended=self.ended)

    def fill(self, count: int) -> None:
        """Buffers *count* more bytes, fewer at the end. The end is recognised as soon as it is reached.

        Raises SizeMismatchError, and the exceptions of the stream.
        """
        for block in self._take(count):
            self._hasher.update(block)
            self._blocks.append(block)
            self.end += len(block)
        self.sent(self._sent)
        if self._expected.size is not None and self.end > self._expected.size:
            raise SizeMismatchError(self._expected.size, self.end)

    def discard_before(self, offset: int) -> None:
        """Drops buffered data before *offset*, in whole blocks."""
        while self._blocks and self.start + len(self._blocks[0]) <= offset:
            self.start += len(self._blocks.popleft())

    def between(self, first: int, last: int) -> tuple[bytes, ...]:
        """The buffered bytes from offset *first* to before *last*."""
        blocks, at = [], self.start
        for block in self._blocks:
            low, high = max(first - at, 0), min(last - at, len(block))
            if low < high:
                blocks.append(block if high - low == len(block) else block[low:high])
            at += len(block)
        return tuple(blocks)

    @property
    def size(self) -> int | None:
        """The expected size in bytes, None if unknown."""
        return self._expected.size

    @property
    def blocks(self) -> tuple[bytes, ...]:
        return tuple(self._blocks)

    @property
    def digest(self) -> Digest:
        """The digest of all data read so far."""
        return Digest(self._algorithm, self._hasher.hexdigest())

    def check(self) -> None:
        """Raises IntegrityError unless the stream, which has ended, has the expected digest and size."""
        size, digest = self._expected.size, self._expected.digest
        if size is not None and size != self.end:
            raise SizeMismatchError(size, self.end)
        if digest is not None and digest != self.digest:
            raise DigestMismatchError(digest, self.digest)

    def skip_verified(self, until: int, points: Mapping[int, str]) -> bool:
        """Reads up to offset *until* (or the end) and drops everything before it, including buffered data. Returns
        whether the data has the digests of *points*, by offset."""
        matches = all(self._digest_of(at) == digest for at, digest in points.items() if at <= min(self.end, until))
        while matches and self.end < until and not self.ended:
            stops = [at for at in (*points, until) if self.end < at <= until]
            self.discard_before(self.end)
            self.fill(min(*stops, self.end + 1024 * 1024) - self.end)
            matches = points.get(self.end, self.digest.hex) == self.digest.hex
        self.discard_before(until)
        return matches

    def _digest_of(self, count: int) -> str:
        """The hexadecimal digest of the first *count* bytes, which are all buffered."""
        hasher = Digest(self._algorithm, "").hasher()
        for block in self.between(0, count):
            hasher.update(block)
        return hasher.hexdigest()

    def _take(self, count: int) -> Iterator[bytes]:
        while count > 0 and not self.ended:
            block = self._remainder or self._next()
            self._remainder = block[count:]
            if self._remainder:
                block = block[:count]
            count -= len(block)
            if block:
                yield block
        if not self._remainder and not self.ended:
            self._remainder = self._next()

    def _next(self) -> bytes:
        for chunk in self._chunks:
            if chunk:
                return bytes(chunk)
        self.ended = True
        return b""
