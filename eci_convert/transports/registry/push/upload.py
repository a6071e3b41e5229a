"""Uploads a blob; data that the registry has confirmed is not sent again after a failure.

A small blob is sent in one request. A larger one is sent in chunks, each buffered until the registry has confirmed it;
after a failure the registry reports its offset, and the upload log lets another process resume. If the registry lost
data that is no longer buffered, the blob is sent again from the start, provided that the stream can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing

from eci_convert.errors import IntegrityError, UploadLostError
from eci_convert.oci.digest import Digest
from eci_convert.streams.repeatable import is_repeatable, is_single_pass
from eci_convert.transports.registry.client import RegistryClient
from eci_convert.transports.registry.http.retry import ConnectionLost, TrafficLimit, TransientError
from eci_convert.transports.registry.push.buffer import ExpectedBlob, UploadBuffer
from eci_convert.transports.registry.push.chunked import ChunkedUpload
from eci_convert.transports.registry.push.session import (
    BytesDiscarded,
    MonolithicOnly,
    SessionLost,
    TooLarge,
    UploadSession,
)
from eci_convert.transports.registry.push.upload_log import FINGERPRINTED, FinishedUpload, UploadRecord
from eci_convert.transports.registry.upload_plan import chunk_length

_MAX_RESTARTS = 3

BlobExists = Callable[[Digest], bool]
StartSession = Callable[[], UploadSession]


class Upload:
    """The upload of one blob. *blob_exists*: whether the registry holds a blob; *start* opens a session.

    Afterwards *record* is an entry of the upload log that is kept until the manifest was pushed, if there is one. Close
    it.
    """

    def __init__(
        self, client: RegistryClient, expected: ExpectedBlob, blob_exists: BlobExists, start: StartSession
    ) -> None:
        self.record: UploadRecord | None = None
        self._client = client
        self._expected = expected
        self._blob_exists = blob_exists
        self._start = start
        self._budget = client.retry_budget(expected.size)
        self._traffic = TrafficLimit()

    def send(self, chunks: Iterable[bytes]) -> tuple[Digest, int]:
        """Sends *chunks* and returns the digest and the size in bytes of the blob.

        Raises UploadLostError if they had to be sent again and cannot be repeated, IntegrityError if they do not have
        the expected digest or size, TransportError, and the exceptions of *chunks*.
        """
        restarts, chunk_size = 0, self._client.host.chunk_size
        shortened = chunk_size.shortened
        while True:
            try:
                buffer = UploadBuffer(chunks, self._expected)
                with self._client.host.uploading():
                    self._send_buffer(buffer, logged=not is_single_pass(chunks))
                buffer.sent(buffer.end)
                return buffer.digest, buffer.end
            except SessionLost as error:
                if not error.counted:
                    self._budget.wait_or_raise(TransientError(str(error)))
                restarts += 1
                if not is_repeatable(chunks) or restarts > _MAX_RESTARTS + chunk_size.shortened - shortened:
                    raise UploadLostError(f"{error}; the blob has to be uploaded again") from error

    def _send_buffer(self, buffer: UploadBuffer, *, logged: bool) -> None:
        """*logged*: an earlier run may have begun the upload, and a later one may go on with it. It reads and compares
        what that run sent, so a stream has to be there again if it differs."""
        buffer.fill(self._chunk)
        if buffer.ended and self._send_small(buffer):
            return
        with ExitStack() as stack:
            record = stack.enter_context(closing(self._open_record(buffer) if logged else UploadRecord()))
            try:
                if self._finished_before(buffer, record):
                    pass
                elif self._client.host.monolithic_only:
                    self._send_monolithic(buffer)
                else:
                    self._send_chunked(buffer, record)
            except BytesDiscarded:
                raise
            except (SessionLost, IntegrityError):
                record.delete()
                raise
            if self._expected.digest:  # the next run checks for such a blob before it sends it
                record.delete()
                return
            record.record_finished(buffer.digest, buffer.end)
            self.record = record
            stack.pop_all()

    @property
    def _chunk(self) -> int:
        return chunk_length(self._client.host.limits())

    def _finished_before(self, buffer: UploadBuffer, record: UploadRecord) -> bool:
        """Whether an earlier run finished this upload, verified by reading the stream.

        Raises SessionLost if it did, but of other data.
        """
        finished = record.read()
        if not isinstance(finished, FinishedUpload) or not self._blob_exists(finished.digest):
            return False
        if (
            buffer.skip_verified(finished.size, finished.checkpoints)
            and buffer.ended
            and buffer.digest == finished.digest
        ):
            return True
        raise SessionLost(f"{self._client.reference}: the data differs from that of the finished upload")

    def _open_record(self, buffer: UploadBuffer) -> UploadRecord:
        reference, expected = self._client.reference, self._expected
        fingerprint = Digest.of(b"".join(buffer.between(0, min(buffer.end, FINGERPRINTED))))
        key = (reference.host, reference.repository, expected.media_type, expected.digest, expected.size, fingerprint)
        return UploadRecord.of(self._client.settings, *key)

    def _send_small(self, buffer: UploadBuffer) -> bool:
        """Sends a fully buffered blob in one request; False if that is too large."""
        buffer.check()
        if self._expected.digest is None and self._blob_exists(buffer.digest):
            return True
        while True:
            self._traffic.spend(buffer.end, buffer.end)
            session = self._start()  # retried by itself: in the block below each of its retries would be a series
            try:
                session.finish(buffer.digest, buffer.end, buffer.blocks, buffer.sent)
                return True
            except TooLarge:
                if not self._client.host.too_large(buffer.end):
                    raise
                return False
            except (TransientError, SessionLost) as error:
                self._budget.wait_or_raise(error if isinstance(error, TransientError) else TransientError(str(error)))
                if self._blob_exists(buffer.digest):
                    return True
                if isinstance(error, ConnectionLost):
                    self._client.host.chunk_size.record_loss(buffer.end, lost=False)
                    if buffer.end > self._chunk:
                        return False

    def _send_chunked(self, buffer: UploadBuffer, record: UploadRecord) -> None:
        chunks = ChunkedUpload(self._client, buffer, record, self._budget, self._traffic, self._start)
        try:
            chunks.send()
        except MonolithicOnly:
            if buffer.start:
                raise
            self._send_monolithic(buffer)
            # Only after a success: a registry that refuses everything has another reason.
            self._client.host.remember(one_piece=True)
            return
        chunks.finish(self._blob_exists)

    def _send_monolithic(self, buffer: UploadBuffer) -> None:
        """Sends all data in one request, which cannot be resumed after a failure."""
        self._traffic.spend(self._expected.size or buffer.end, self._expected.size or buffer.end)
        session = self._start()
        try:
            session.stream(_remaining_data(buffer), self._expected.size, buffer.sent)
            buffer.check()
            session.finish(buffer.digest, buffer.end)
        except (MonolithicOnly, TooLarge) as error:
            if self._client.host.get("one_piece") is True:  # remembered, and no longer true
                self._client.host.remember(one_piece=False)
                raise SessionLost(str(error)) from error
            raise
        except TransientError as error:
            self._budget.wait_or_raise(error)
            if not (buffer.ended and self._blob_exists(buffer.digest)):
                lost = SessionLost(str(error))
                lost.counted = True
                raise lost from error


def _remaining_data(buffer: UploadBuffer) -> Iterator[bytes]:
    yield from buffer.blocks
    while not buffer.ended:
        at = buffer.end
        buffer.discard_before(at)
        buffer.fill(1024 * 1024)
        yield from buffer.blocks
