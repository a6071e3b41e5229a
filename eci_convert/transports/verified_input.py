"""What a sink is given: passed on as it comes, measured, and held to what was promised about it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from eci_convert.errors import DigestMismatchError, SizeMismatchError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest, Hasher
from eci_convert.streams import interrupts

_WORTH_A_THREAD: Final = 1 << 18


class VerifiedInput:
    """*chunks* once over, as they are, and then what they turned out to be: every `Sink.put` reads through one.

    *promised* and *promised_size* (bytes) are the promises, None where there are none. Iterating raises SizeMismatch as
    soon as there are more bytes than that, and at the end SizeMismatch or DigestMismatch; so whoever reads to the end
    without an error has what was promised. Large chunks are hashed while whoever took them writes them.
    """

    def __init__(self, chunks: Iterable[bytes], digest: Digest | None, size: int | None) -> None:
        self._chunks = chunks
        self.promised = digest
        self.promised_size = size
        self._digest: Digest | None = None
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        hasher = self.promised.hasher() if self.promised else hashlib.sha256()
        hashing = _BackgroundHash(hasher)
        try:
            for chunk in self._chunks:
                interrupts.check()
                self.size += len(chunk)
                if self.promised_size is not None and self.size > self.promised_size:
                    raise SizeMismatchError(self.promised_size, self.size)
                hashing.begin(chunk)
                yield chunk
        finally:
            hashing.end()
        self._judge(Digest(self.promised.algorithm if self.promised else "sha256", hasher.hexdigest()))

    def descriptor(self, media_type: str) -> Descriptor:
        """What went by, as a blob of *media_type*. Raises ValueError before all of it has."""
        if self._digest is None:
            raise ValueError("not everything has gone by yet")
        return Descriptor(media_type=media_type, digest=self._digest, size=self.size)

    def _judge(self, digest: Digest) -> None:
        if self.promised_size is not None and self.size != self.promised_size:
            raise SizeMismatchError(self.promised_size, self.size)
        if self.promised is not None and digest != self.promised:
            raise DigestMismatchError(self.promised, digest)
        self._digest = digest


class _BackgroundHash:
    """A hash that is one large chunk behind, at most, in a thread of its own."""

    def __init__(self, hasher: Hasher) -> None:
        self._hasher = hasher
        self._thread: ThreadPoolExecutor | None = None
        self._pending: Future[None] | None = None

    def begin(self, chunk: bytes) -> None:
        """Hash *chunk*, once the one before it has been."""
        if self._pending:
            self._pending.result()
            self._pending = None
        if len(chunk) < _WORTH_A_THREAD:
            self._hasher.update(chunk)
            return
        self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="hash")
        self._pending = self._thread.submit(self._hasher.update, chunk)

    def end(self) -> None:
        """Wait for what has been begun.

        The thread, which has nothing left to do, ends by itself: where nobody took all chunks, the garbage collector
        may call this within any other thread's code, and joining takes a lock of all threads.
        """
        if self._pending:
            self._pending.result()
        if self._thread:
            self._thread.shutdown(wait=False)
