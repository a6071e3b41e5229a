"""A blob's bytes in order, however often the connection is cut (RFC 9110 §14).

After a cut the rest is asked for with `Range`. A server that ignores it, or says that it sends something else than was
asked, is sent back to the beginning, and what is known already is read past. A slow stream is let go of for several.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from types import TracebackType

from eci_convert.oci.descriptor import Descriptor
from eci_convert.transports.registry.client import RegistryClient
from eci_convert.transports.registry.http.response import Response
from eci_convert.transports.registry.http.retry import TransientError
from eci_convert.transports.registry.pull.blob_endpoint import BlobEndpoint, matches_range
from eci_convert.transports.registry.pull.parallel_ranges import RANGE, SLOW, ParallelRanges, RangesUnsupported

_SAMPLE_SECONDS = 0.25
_MIN_PARALLEL_SIZE = 4 * RANGE


class _SlowConnection(Exception):
    """One connection gives so little that several may give more: *speed* bytes a second."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self.speed = speed


class Download:
    """A context manager whose value is the iterator of a blob's bytes from offset *skip*, unverified.

    Entering it asks for the blob, so that a missing one is missed at once.
    """

    def __init__(self, client: RegistryClient, blob: Descriptor, skip: int) -> None:
        self._client = client
        self._target = BlobEndpoint(client, client.url(f"blobs/{blob.digest}"))
        self._size = blob.size
        self._offset = skip
        self._answer: Response | None = None
        self._ranges = True
        self._stopped = False
        self._several = client.settings.concurrency > 1

    def __enter__(self) -> Iterator[bytes]:
        patience = self._client.patience(self._size)
        while self._offset < self._size and self._answer is None:
            try:
                self._answer = self._opened()
            except TransientError as error:
                patience.wait_or_raise(error)
        self._stream = self._pieces()
        return self._stream

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stream.close()
        except ValueError:  # another thread is in it, and is told by its connection
            self._stopped = True
            if self._answer is not None:
                self._answer.abort()
            return
        self._close()

    def _pieces(self) -> Generator[bytes]:
        patience = self._client.patience(self._size)
        while self._offset < self._size:
            try:
                for piece in self._rest():
                    self._offset += len(piece)
                    patience.record_progress(len(piece))
                    yield piece
                return
            except TransientError as error:
                self._close()
                if self._stopped:
                    raise
                patience.wait_or_raise(error)
            except _SlowConnection as slow:
                self._close()
                yield from self._in_ranges(slow.speed)

    def _rest(self) -> Iterator[bytes]:
        """What one connection gives from where we are, and a byte more than promised at most, which tells on it.

        Raises Transient where it gives less than it said it would, and _Slow.
        """
        answer = self._answer = self._answer or self._opened()
        at, ends = (self._offset, None) if answer.status == 206 else (0, answer.length)
        for piece in self._watched(answer):
            known = max(0, self._offset - at)
            at += len(piece)
            if len(piece) > known:
                yield piece[known : known + self._size - self._offset + 1] if known or at > self._size else piece
            if at > self._size:
                return
        if at < self._size and at != ends:
            raise TransientError(f"{answer.url.shown}: the answer ended after {at} of {self._size} bytes")

    def _watched(self, answer: Response) -> Iterator[bytes]:
        """The pieces of *answer*. The time that counts is what we wait for them, not what they wait for us."""
        waited, count, pieces = 0.0, 0, answer.iter_bytes()
        while True:
            begun = time.monotonic()
            piece = next(pieces, None)
            waited += time.monotonic() - begun
            if piece is None:
                return
            count += len(piece)
            yield piece
            if waited > _SAMPLE_SECONDS:
                if self._several and self._size - self._offset > _MIN_PARALLEL_SIZE and count < SLOW * waited:
                    raise _SlowConnection(count / waited)
                waited, count = 0.0, 0

    def _in_ranges(self, speed: float) -> Iterator[bytes]:
        self._several = False
        try:
            with ParallelRanges(self._client, self._target, self._offset, self._size, speed) as pieces:
                for piece in pieces:
                    self._offset += len(piece)
                    yield piece
        except RangesUnsupported as error:
            self._ranges = self._ranges and error.one_works

    def _opened(self) -> Response:
        answer = self._target.opened(f"bytes={self._offset}-" if self._offset and self._ranges else "")
        if answer.status == 200 or (answer.status == 206 and matches_range(answer, self._offset, None)):
            return answer
        answer.close()
        if not self._ranges:
            raise TransientError(f"{answer.url.shown}: {answer.status} where everything was asked for")
        self._ranges = False
        return self._opened()

    def _close(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.close()
