"""A blob on its way into a registry: whatever breaks, bytes that arrived are not sent again.

A small blob goes in one request. A larger one goes in chunks, each kept until the registry has confirmed it; after a
fault the registry is asked where it is, and the ledger lets another process go on. Where a registry has lost what we
no longer hold, the blob is sent again from its first byte, if it can be had again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing

from eci_convert.errors import IntegrityError, UploadLostError
from eci_convert.oci.digest import Digest
from eci_convert.streams.repeatable import is_repeatable
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

IsThere = Callable[[Digest], bool]
Begin = Callable[[], UploadSession]


class Upload:
    """One blob to send. *is_there* asks the registry whether it has a blob by now; *begin* begins a session.

    Afterwards *entry* is a line of the ledger that is of use until the image is whole, if there is one. Close it.
    """

    def __init__(self, client: RegistryClient, promise: ExpectedBlob, is_there: IsThere, begin: Begin) -> None:
        self.entry: UploadRecord | None = None
        self._client = client
        self._promise = promise
        self._is_there = is_there
        self._begin = begin
        self._patience = client.patience(promise.size)
        self._traffic = TrafficLimit()

    def send(self, chunks: Iterable[bytes]) -> tuple[Digest, int]:
        """Sends *chunks*; the digest and the size in bytes of what is in the registry now.

        Raises UploadLost where they had to be sent again and cannot be had again, IntegrityError where they are not
        what was promised, TransportError, and what *chunks* raise.
        """
        restarts, strides = 0, self._client.host.strides
        shortened = strides.shortened
        while True:
            try:
                outgoing = UploadBuffer(chunks, self._promise)
                with self._client.host.uploading():
                    self._sent(outgoing)
                outgoing.sent(outgoing.end)
                return outgoing.digest, outgoing.end
            except SessionLost as error:
                if not error.counted:
                    self._patience.wait_or_raise(TransientError(str(error)))
                restarts += 1
                if not is_repeatable(chunks) or restarts > _MAX_RESTARTS + strides.shortened - shortened:
                    raise UploadLostError(f"{error}; the blob has to be sent again") from error

    def _sent(self, outgoing: UploadBuffer) -> None:
        outgoing.fill(self._chunk)
        if outgoing.ended and self._sent_at_once(outgoing):
            return
        with ExitStack() as stack:
            entry = stack.enter_context(closing(self._entry(outgoing)))
            try:
                if self._arrived_before(outgoing, entry):
                    pass
                elif self._client.host.monolithic_only:
                    self._send_in_one_piece(outgoing)
                else:
                    self._send_in_chunks(outgoing, entry)
            except BytesDiscarded:
                raise
            except (SessionLost, IntegrityError):
                entry.delete()
                raise
            if self._promise.digest:  # the next run asks for such a blob before it sends it
                entry.delete()
                return
            entry.record_finished(outgoing.digest, outgoing.end)
            self.entry = entry
            stack.pop_all()

    @property
    def _chunk(self) -> int:
        return chunk_length(self._client.host.limits())

    def _arrived_before(self, outgoing: UploadBuffer, entry: UploadRecord) -> bool:
        """Whether a run that was killed later sent all of this. That it is the same is seen by reading it.

        Raises SessionLost, when some of it has gone by, where it is not.
        """
        known = entry.read()
        if not isinstance(known, FinishedUpload) or not self._is_there(known.digest):
            return False
        if outgoing.skip_verified(known.size, known.checkpoints) and outgoing.ended and outgoing.digest == known.digest:
            return True
        raise SessionLost(f"{self._client.reference}: what was sent before is not what is sent now")

    def _entry(self, outgoing: UploadBuffer) -> UploadRecord:
        reference, promise = self._client.reference, self._promise
        fingerprint = Digest.of(b"".join(outgoing.between(0, min(outgoing.end, FINGERPRINTED))))
        key = (reference.host, reference.repository, promise.media_type, promise.digest, promise.size, fingerprint)
        return UploadRecord.of(self._client.settings, *key)

    def _sent_at_once(self, outgoing: UploadBuffer) -> bool:
        """Sends a blob that is held as a whole; False where that is too large for one request."""
        outgoing.check()
        if self._promise.digest is None and self._is_there(outgoing.digest):
            return True
        while True:
            self._traffic.spend(outgoing.end, outgoing.end)
            try:
                self._begin().finish(outgoing.digest, outgoing.end, outgoing.blocks, outgoing.sent)
                return True
            except TooLarge:
                if not self._client.host.too_large(outgoing.end):
                    raise
                return False
            except (TransientError, SessionLost) as error:
                self._patience.wait_or_raise(error if isinstance(error, TransientError) else TransientError(str(error)))
                if self._is_there(outgoing.digest):
                    return True
                if isinstance(error, ConnectionLost):
                    self._client.host.strides.record_loss(outgoing.end, lost=False)
                    if outgoing.end > self._chunk:
                        return False

    def _send_in_chunks(self, outgoing: UploadBuffer, entry: UploadRecord) -> None:
        chunks = ChunkedUpload(self._client, outgoing, entry, self._patience, self._traffic, self._begin)
        try:
            chunks.send()
        except MonolithicOnly:
            if outgoing.start:
                raise
            self._send_in_one_piece(outgoing)
            self._client.host.remember(one_piece=True)  # not sooner: what refuses every piece has another reason
            return
        chunks.finish(self._is_there)

    def _send_in_one_piece(self, outgoing: UploadBuffer) -> None:
        """Sends what is held and what is still to come in one request; after a fault there is no going on."""
        self._traffic.spend(self._promise.size or outgoing.end, self._promise.size or outgoing.end)
        session = self._begin()
        try:
            session.stream(_streamed(outgoing), self._promise.size, outgoing.sent)
            outgoing.check()
            session.finish(outgoing.digest, outgoing.end)
        except (MonolithicOnly, TooLarge) as error:
            if self._client.host.get("one_piece") is True:  # it was found out once, and is so no longer
                self._client.host.remember(one_piece=False)
                raise SessionLost(str(error)) from error
            raise
        except TransientError as error:
            self._patience.wait_or_raise(error)
            if not (outgoing.ended and self._is_there(outgoing.digest)):
                lost = SessionLost(str(error))
                lost.counted = True
                raise lost from error


def _streamed(outgoing: UploadBuffer) -> Iterator[bytes]:
    yield from outgoing.blocks
    while not outgoing.ended:
        at = outgoing.end
        outgoing.discard_before(at)
        outgoing.fill(1024 * 1024)
        yield from outgoing.blocks
