"""A chunked upload: data is dropped once the registry has confirmed it; after a failure the rest is sent again.

`upload_plan` decides on the next request. After a failure the session's offset is requested from the registry, but a
success counts more than any reported offset, and an offset that does not work is tried once only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from eci_convert.errors import IntegrityError, TransportError
from eci_convert.oci.digest import Digest
from eci_convert.streams import interrupts
from eci_convert.transports.registry.client import RegistryClient
from eci_convert.transports.registry.http.retry import ConnectionLost, RetryBudget, TrafficLimit, TransientError
from eci_convert.transports.registry.http.url import Url
from eci_convert.transports.registry.push.buffer import UploadBuffer
from eci_convert.transports.registry.push.session import (
    BytesDiscarded,
    OutOfPlace,
    SessionLost,
    TooLarge,
    UploadSession,
)
from eci_convert.transports.registry.push.upload_log import OpenUpload, UploadRecord
from eci_convert.transports.registry.upload_plan import MIB, NextRequest, Pace, UploadPlan, positions


class ChunkedUpload:
    """One chunked upload. *record* is its entry in the upload log; *start* opens a session."""

    def __init__(
        self,
        client: RegistryClient,
        buffer: UploadBuffer,
        record: UploadRecord,
        budget: RetryBudget,
        traffic: TrafficLimit,
        start: Callable[[], UploadSession],
    ) -> None:
        self._client = client
        self._start = start
        self._buffer = buffer
        self._record = record
        self._budget = budget
        self._traffic = traffic
        self._pace = Pace()
        self._stream_error: TransportError | None = None
        self._chunk_size = client.host.chunk_size
        self._chunk_size.start_upload()
        self._refused = frozenset[int]()
        self._started_over = False
        self._session = self._resume() or start()
        self._confirmed = self._sent = self._session.offset

    def send(self) -> None:
        """Sends everything. Raises SessionLost, MonolithicOnly, TransportError, and the exceptions of the stream.

        While one chunk is sent, the one before it is logged, and the next is read and hashed.
        """
        buffer, confirmed = self._buffer, (str(self._session.location), 0, "")
        with ThreadPoolExecutor(1, thread_name_prefix="upload") as sender:
            while True:
                buffer.fill(self._plan.missing)
                plan = self._plan
                request = plan.next_request()
                if request is None:
                    break
                if not request.held:
                    self._record.write(*confirmed)
                    self._send_long(request)
                    confirmed = (str(self._session.location), request.last, buffer.digest.hex)
                    continue
                blocks = buffer.between(request.first, request.last)
                aligned, digest = request.last == buffer.end, buffer.digest
                under_way = sender.submit(self._deliver, request, blocks)
                try:
                    self._record.write(*confirmed)
                    buffer.fill(plan.ahead)
                finally:
                    interrupts.result(under_way)
                if self._started_over:
                    self._record.delete()
                    self._started_over = False
                is_confirmed = self._confirmed == request.last  # else all of it stays buffered for now
                if is_confirmed and self._session.chunks_sent > 1:
                    self._discard_confirmed(request)
                confirmed = (str(self._session.location), request.last if aligned and is_confirmed else 0, digest.hex)
        self._record.write(*confirmed)

    @property
    def _plan(self) -> UploadPlan:
        session, buffer = self._session, self._buffer
        return UploadPlan(
            offset=session.offset,
            end=buffer.end,
            ended=buffer.ended,
            size=buffer.size,
            taken=session.chunks_sent,
            pace=self._pace,
            limits=self._client.host.limits(session.smallest),
        )

    def _spend(self, length: int) -> None:
        self._traffic.spend(length, self._buffer.size or self._buffer.end)

    def _send_long(self, request: NextRequest) -> None:
        """Sends a long request. Raises BytesDiscarded if it fails, and the exceptions of the stream."""
        session, started_at = self._session, time.monotonic()
        self._spend(request.length)
        try:
            session.send(self._long_body(request.last), request.length, self._buffer.sent)
        except TransportError as error:
            if error is self._stream_error:
                raise
            self._client.host.long_requests = False
            raise BytesDiscarded(f"{error}; the data has to be sent again in smaller chunks") from error
        self._record_success(request, time.monotonic() - started_at)

    def _long_body(self, last: int) -> Iterator[bytes]:
        buffer = self._buffer
        yield from buffer.between(self._session.offset, buffer.end)
        while buffer.end < last:
            buffer.discard_before(buffer.end)
            try:
                buffer.fill(min(MIB, last - buffer.end))
                if buffer.ended and buffer.end < last:
                    buffer.check()
            except TransportError as error:
                self._stream_error = error
                raise
            yield from buffer.blocks
        buffer.discard_before(last)

    def finish(self, blob_exists: Callable[[Digest], bool]) -> None:
        """Commits the upload. If the response is lost, the blob may exist all the same."""
        buffer, session = self._buffer, self._session
        try:
            buffer.check()
        except IntegrityError:
            session.cancel()
            raise
        while True:
            try:
                session.finish(buffer.digest, buffer.end)
                return
            except (SessionLost, OutOfPlace) as error:
                if blob_exists(buffer.digest):
                    return
                raise SessionLost(str(error)) from error
            except TransientError as error:
                self._budget.wait_or_raise(error)
                if blob_exists(buffer.digest):
                    return
                self._request_offset(session)

    def _deliver(self, request: NextRequest, blocks: tuple[bytes, ...]) -> None:
        """Sends *blocks* for *request*. After a failure the session may be at any offset up to their end."""
        session, started_at = self._session, time.monotonic()
        self._spend(request.length)
        try:
            session.send(blocks, request.length, self._buffer.sent)
        except TooLarge:
            if not self._client.host.too_large(request.length, session.smallest):
                raise
        except TransientError as error:
            self._recover(error, request)
        except SessionLost as error:
            self._start_over(error)
        else:
            self._record_success(request, time.monotonic() - started_at)
            self._chunk_size.record_success(request.length)

    def _record_success(self, request: NextRequest, seconds: float) -> None:
        self._pace = Pace.of(request.length, seconds)
        self._refused = frozenset()
        self._confirmed = self._sent = request.last
        self._budget.record_offset(request.last)

    def _discard_confirmed(self, request: NextRequest) -> None:
        """Drops confirmed data, except what the registry reports as missing of the last chunk, which may be true. The
        first chunk is kept until a second one was accepted."""
        counted = self._session.counted
        self._buffer.discard_before(request.last if counted is None else min(request.last, max(request.first, counted)))

    def _recover(self, error: TransientError, request: NextRequest) -> None:
        """After *error*: waits, and resumes where the session is, or in a new one. Lost connections reduce the chunk
        size."""
        session, lost = self._session, None
        self._budget.wait_or_raise(error)
        if isinstance(error, OutOfPlace):
            self._refused |= {request.first}
        else:
            self._sent = max(self._sent, request.last)
        try:
            self._request_offset(session)
            if session.counted in (request.last, request.last + 1):
                self._sent = max(self._sent, request.last)
            self._set_offset(session, error)
        except SessionLost as reason:
            lost = reason
        if isinstance(error, ConnectionLost) and (lost or session.offset < request.last):
            self._chunk_size.record_loss(request.length, lost=lost is not None)
        if lost:
            lost.counted = True
            self._start_over(lost)

    def _set_offset(self, session: UploadSession, error: TransientError) -> None:
        """Moves *session* to its most likely offset. Raises SessionLost if all were tried."""
        counted = session.counted
        if counted is not None and counted > self._sent + 1:
            raise SessionLost(f"{session.location.shown}: the registry reports more bytes than were sent")
        offsets = positions(
            counted=counted,
            floor=self._confirmed,
            expected=self._sent,
            held=self._buffer.start,
            refused=self._refused,
            one_more=session.counts_one_more,
        )
        if not offsets:
            raise SessionLost(f"{error}; the registry does not report at which offset to resume the upload")
        session.offset = offsets[0]
        if session.offset == counted:
            self._budget.record_offset(counted)

    def _start_over(self, error: SessionLost) -> None:
        """Starts over in a new session if all data is still buffered; else raises *error*."""
        if self._buffer.start:
            raise error
        if not error.counted:
            self._budget.wait_or_raise(TransientError(str(error)))
        self._refused, self._started_over = frozenset(), True
        self._session = self._start()
        self._confirmed = self._sent = 0

    def _request_offset(self, session: UploadSession) -> None:
        """Requests the session's offset. Raises SessionLost."""
        while True:
            try:
                session.request_offset()
                return
            except TransientError as error:
                self._budget.wait_or_raise(error)

    def _resume(self) -> UploadSession | None:
        """The session of an earlier run, with the stream skipped to its offset; None if there is none."""
        open_upload = self._record.read()
        if not isinstance(open_upload, OpenUpload):
            return None
        floor = max(open_upload.checkpoints, default=0)
        try:
            location = Url.parse(open_upload.location)
            if location.origin != self._client.url("").origin:  # the log must not redirect the blob to another server
                raise TransportError(f"{location.shown}: not a URL of this registry")
            session = UploadSession(self._client, location)
            self._request_offset(session)
        except TransportError:
            self._record.delete()
            return None
        session.chunks_sent = 2
        counted = floor if session.counted is None else session.counted
        session.offset = floor if counted <= floor + 1 else counted  # many registries report one byte for none
        buffer = self._buffer
        if not buffer.skip_verified(session.offset, open_upload.checkpoints) or session.offset > buffer.end:
            session.cancel()
            raise SessionLost(f"{session.location.shown}: the data differs from that of the unfinished upload")
        self._budget.record_offset(session.offset)
        return session
