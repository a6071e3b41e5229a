"""A stream on its way out: counted, hashed, and the part of it kept that may have to be sent again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from eci_convert.errors import DigestMismatchError, SizeMismatchError
from eci_convert.oci.digest import Digest
from eci_convert.tasks import current_task


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedBlob:
    """What is known of a blob before its bytes. *size* is in bytes."""

    media_type: str
    digest: Digest | None = None
    size: int | None = None


class UploadBuffer:
    """A stream, of which the bytes from offset *start* to *end* are held here. *ended*: nothing comes after *end*."""

    def __init__(self, chunks: Iterable[bytes], promise: ExpectedBlob) -> None:
        self.start = self.end = 0
        self.ended = False
        self._promise = promise
        self._chunks = iter(chunks)
        self._left = b""
        self._blocks: deque[bytes] = deque()
        self._algorithm = promise.digest.algorithm if promise.digest else "sha256"
        self._hasher = Digest(self._algorithm, "").hasher()
        self._sent = 0
        self._task = current_task()
        if self._task:
            self._task.travels(buffered=True)

    def sent(self, offset: int) -> None:
        """Reports that everything before *offset* went out: what is only held here is not progress."""
        self._sent = max(offset, self._sent)
        if self._task:
            self._task.sent(self._sent, self.end, ended=self.ended)

    def fill(self, count: int) -> None:
        """Takes *count* more bytes, fewer at the end, which is noticed when it is reached and not a call later.

        Raises SizeMismatch, and what the stream raises.
        """
        for block in self._take(count):
            self._hasher.update(block)
            self._blocks.append(block)
            self.end += len(block)
        self.sent(self._sent)
        if self._promise.size is not None and self.end > self._promise.size:
            raise SizeMismatchError(self._promise.size, self.end)

    def discard_before(self, offset: int) -> None:
        """Lets go of what lies before *offset*, in whole blocks."""
        while self._blocks and self.start + len(self._blocks[0]) <= offset:
            self.start += len(self._blocks.popleft())

    def between(self, first: int, last: int) -> tuple[bytes, ...]:
        """The bytes from offset *first* to before *last*, both of which are held."""
        found, at = [], self.start
        for block in self._blocks:
            low, high = max(first - at, 0), min(last - at, len(block))
            if low < high:
                found.append(block if high - low == len(block) else block[low:high])
            at += len(block)
        return tuple(found)

    @property
    def size(self) -> int | None:
        """How many bytes there will be, if that is promised."""
        return self._promise.size

    @property
    def blocks(self) -> tuple[bytes, ...]:
        return tuple(self._blocks)

    @property
    def digest(self) -> Digest:
        """The digest of everything so far."""
        return Digest(self._algorithm, self._hasher.hexdigest())

    def check(self) -> None:
        """Raises IntegrityError unless the stream, which has ended, is what was promised."""
        size, digest = self._promise.size, self._promise.digest
        if size is not None and size != self.end:
            raise SizeMismatchError(size, self.end)
        if digest is not None and digest != self.digest:
            raise DigestMismatchError(digest, self.digest)

    def skip_verified(self, until: int, points: Mapping[int, str]) -> bool:
        """Reads on to offset *until* (or the end), keeping nothing, all that is held included. Whether the content so
        far has, at each offset of *points* up to there, the digest that stands there."""
        same = all(self._digest_of(at) == known for at, known in points.items() if at <= min(self.end, until))
        while same and self.end < until and not self.ended:
            ahead = [at for at in (*points, until) if self.end < at <= until]
            self.discard_before(self.end)
            self.fill(min(*ahead, self.end + 1024 * 1024) - self.end)
            same = points.get(self.end, self.digest.hex) == self.digest.hex
        self.discard_before(until)
        return same

    def _digest_of(self, count: int) -> str:
        """The digits of the digest of the first *count* bytes, which are all held."""
        hasher = Digest(self._algorithm, "").hasher()
        for block in self.between(0, count):
            hasher.update(block)
        return hasher.hexdigest()

    def _take(self, count: int) -> Iterator[bytes]:
        while count > 0 and not self.ended:
            block = self._left or self._next()
            self._left = block[count:]
            if self._left:
                block = block[:count]
            count -= len(block)
            if block:
                yield block
        if not self._left and not self.ended:
            self._left = self._next()

    def _next(self) -> bytes:
        for chunk in self._chunks:
            if chunk:
                return bytes(chunk)
        self.ended = True
        return b""
