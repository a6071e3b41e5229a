"""Downloads a blob in order, resuming after lost connections (RFC 9110 §14).

After a failure the rest is requested with `Range`. If the server ignores it, or sends another range, the download
starts over and skips the bytes received before. A slow connection is replaced by several parallel ones.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from types import TracebackType

from eci_convert.errors import TransportError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.transports.registry.client import RegistryClient
from eci_convert.transports.registry.http.response import Response
from eci_convert.transports.registry.http.retry import TrafficLimit, TransientError
from eci_convert.transports.registry.pull.blob_endpoint import BlobEndpoint, matches_range
from eci_convert.transports.registry.pull.parallel_ranges import RANGE, SLOW, ParallelRanges, RangesUnsupported

_SAMPLE_SECONDS = 0.25
_MIN_PARALLEL_SIZE = 4 * RANGE


class _SlowConnection(Exception):
    """One connection gives only *speed* bytes a second, so that several may be faster."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self.speed = speed


class Download:
    """A context manager whose value is an iterator over a blob's bytes from offset *skip*, unverified.

    Entering it sends the first request, so that a missing blob raises NotFoundError at once.
    """

    def __init__(self, client: RegistryClient, blob: Descriptor, skip: int) -> None:
        self._client = client
        self._endpoint = BlobEndpoint(client, client.url(f"blobs/{blob.digest}"))
        self._size = blob.size
        self._offset = skip
        self._response: Response | None = None
        self._ranges = True
        self._traffic = TrafficLimit(received=True)
        self._stopped = False
        self._may_parallelise = client.settings.concurrency > 1

    def __enter__(self) -> Iterator[bytes]:
        budget = self._client.retry_budget(self._size)
        while self._offset < self._size and self._response is None:
            try:
                self._response = self._open()
            except TransientError as error:
                budget.wait_or_raise(error)
        self._stream = self._pieces()
        return self._stream

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stream.close()
        except ValueError:  # another thread is iterating: abort its connection
            self._stopped = True
            if self._response is not None:
                self._response.abort()
            return
        self._close()

    def _pieces(self) -> Generator[bytes]:
        budget = self._client.retry_budget(self._size)
        while self._offset < self._size:
            try:
                for piece in self._rest():
                    self._offset += len(piece)
                    budget.record_progress(len(piece))
                    yield piece
                return
            except TransientError as error:
                self._close()
                if self._stopped:
                    raise
                budget.wait_or_raise(error)
            except _SlowConnection as slow:
                self._close()
                yield from self._parallel_pieces(slow.speed)

    def _rest(self) -> Iterator[bytes]:
        """What one connection yields from the current offset, and at most one byte too many, which reveals a size
        mismatch.

        Raises TransientError if it ends early, TransportError if the blob was received too many times, and
        _SlowConnection.
        """
        response = self._response = self._response or self._open()
        at, ends = (self._offset, None) if response.status == 206 else (0, response.length)
        for piece in self._monitored(response):
            self._traffic.spend(len(piece), self._size)
            skipped = max(0, self._offset - at)
            at += len(piece)
            if len(piece) > skipped:
                yield piece[skipped : skipped + self._size - self._offset + 1] if skipped or at > self._size else piece
            if at > self._size:
                return
        if at < self._size and at != ends:
            raise TransientError(f"{response.url.shown}: unexpected EOF after {at} of {self._size} bytes")

    def _monitored(self, response: Response) -> Iterator[bytes]:
        """The chunks of *response*, measuring the time spent waiting for the network only."""
        waited, count, pieces = 0.0, 0, response.iter_bytes()
        while True:
            started_at = time.monotonic()
            piece = next(pieces, None)
            waited += time.monotonic() - started_at
            if piece is None:
                return
            count += len(piece)
            yield piece
            if waited > _SAMPLE_SECONDS:
                if self._may_parallelise and self._size - self._offset > _MIN_PARALLEL_SIZE and count < SLOW * waited:
                    raise _SlowConnection(count / waited)
                waited, count = 0.0, 0

    def _parallel_pieces(self, speed: float) -> Iterator[bytes]:
        self._may_parallelise = False
        try:
            with ParallelRanges(self._client, self._endpoint, self._offset, self._size, speed) as pieces:
                for piece in pieces:
                    self._offset += len(piece)
                    yield piece
        except RangesUnsupported as error:
            self._ranges = self._ranges and error.one_works

    def _open(self) -> Response:
        response = self._endpoint.get(f"bytes={self._offset}-" if self._offset and self._ranges else "")
        if response.status == 200 and response.is_html and response.length != self._size:
            response.close()
            raise TransportError(f"{response.url.shown}: HTML response instead of a blob (captive portal or proxy?)")
        if response.status == 200 or (response.status == 206 and matches_range(response, self._offset, None)):
            return response
        response.close()
        if not self._ranges:
            raise TransientError(
                f"{response.url.shown}: {response.status} in response to a request without a Range header"
            )
        self._ranges = False
        return self._open()

    def _close(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.close()
