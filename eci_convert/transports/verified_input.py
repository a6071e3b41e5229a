"""A stream that a sink receives: passed through, measured, and compared with the expected digest and size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from eci_convert.errors import DigestMismatchError, SizeMismatchError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest, Hasher
from eci_convert.streams import interrupts

_MIN_THREADED_SIZE: Final = 1 << 18


class VerifiedInput:
    """*chunks* once, unchanged, and afterwards their descriptor: every `Sink.put` reads through one.

    *expected* and *expected_size* (bytes) are None if unknown. Iterating raises SizeMismatchError as soon as there are
    more bytes, and at the end SizeMismatchError or DigestMismatchError; so who reads to the end without an error has
    the expected content. Large chunks are hashed by a thread while the consumer writes them.
    """

    def __init__(self, chunks: Iterable[bytes], digest: Digest | None, size: int | None) -> None:
        self._chunks = chunks
        self.expected = digest
        self.expected_size = size
        self._digest: Digest | None = None
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        hasher = self.expected.hasher() if self.expected else hashlib.sha256()
        hashing = _BackgroundHash(hasher)
        try:
            for chunk in self._chunks:
                interrupts.check()
                self.size += len(chunk)
                if self.expected_size is not None and self.size > self.expected_size:
                    raise SizeMismatchError(self.expected_size, self.size)
                hashing.begin(chunk)
                yield chunk
        finally:
            hashing.end()
        self._check(Digest(self.expected.algorithm if self.expected else "sha256", hasher.hexdigest()))

    def descriptor(self, media_type: str) -> Descriptor:
        """The descriptor of the content as a blob of *media_type*. Raises ValueError before the end."""
        if self._digest is None:
            raise ValueError("the stream was not read to its end")
        return Descriptor(media_type=media_type, digest=self._digest, size=self.size)

    def _check(self, digest: Digest) -> None:
        if self.expected_size is not None and self.size != self.expected_size:
            raise SizeMismatchError(self.expected_size, self.size)
        if self.expected is not None and digest != self.expected:
            raise DigestMismatchError(self.expected, digest)
        self._digest = digest


class _BackgroundHash:
    """A hash computed by a thread of its own, at most one large chunk behind."""

    def __init__(self, hasher: Hasher) -> None:
        self._hasher = hasher
        self._thread: ThreadPoolExecutor | None = None
        self._pending: Future[None] | None = None

    def begin(self, chunk: bytes) -> None:
        """Hashes *chunk* after the one before it."""
        if self._pending:
            self._pending.result()
            self._pending = None
        if len(chunk) < _MIN_THREADED_SIZE:
            self._hasher.update(chunk)
            return
        self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="hash")
        self._pending = self._thread.submit(self._hasher.update, chunk)

    def end(self) -> None:
        """Waits for pending work.

        The thread, which is idle then, ends by itself: if a consumer stopped early, the garbage collector may call this
        within any other thread's code, and joining takes a lock of all threads.
        """
        if self._pending:
            self._pending.result()
        if self._thread:
            self._thread.shutdown(wait=False)
