"""An upload in chunks: what the registry confirmed is let go of, what it did not is sent again.

What the next request is, `upload_plan` says; where a session is after a fault, the registry is asked, and not believed
blindly: a success counts more than any count, and a count that leads nowhere is followed once.
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
    """The talk about one upload. *entry* is its line in the ledger, *begin* begins a session."""

    def __init__(
        self,
        client: RegistryClient,
        outgoing: UploadBuffer,
        entry: UploadRecord,
        patience: RetryBudget,
        traffic: TrafficLimit,
        begin: Callable[[], UploadSession],
    ) -> None:
        self._client = client
        self._begin = begin
        self._outgoing = outgoing
        self._entry = entry
        self._patience = patience
        self._traffic = traffic
        self._pace = Pace()
        self._fault: TransportError | None = None
        self._strides = client.host.strides
        self._strides.begun()
        self._refused = frozenset[int]()
        self._reopened = False
        self._session = self._resume() or begin()
        self._confirmed = self._sent = self._session.offset

    def send(self) -> None:
        """Sends everything. Raises SessionLost, OnePieceOnly, TransportError, and what the stream raises.

        While one chunk is on its way, the one before it is written down, and the next is gathered and hashed.
        """
        outgoing, confirmed = self._outgoing, (str(self._session.location), 0, "")
        with ThreadPoolExecutor(1, thread_name_prefix="upload") as sender:
            while True:
                outgoing.fill(self._plan.missing)
                plan = self._plan
                request = plan.next_request()
                if request is None:
                    break
                if not request.held:
                    self._entry.write(*confirmed)
                    self._send_long(request)
                    confirmed = (str(self._session.location), request.last, outgoing.digest.hex)
                    continue
                blocks = outgoing.between(request.first, request.last)
                aligned, digest = request.last == outgoing.end, outgoing.digest
                under_way = sender.submit(self._deliver, request, blocks)
                try:
                    self._entry.write(*confirmed)
                    outgoing.fill(plan.ahead)
                finally:
                    interrupts.result(under_way)
                if self._reopened:
                    self._entry.delete()
                    self._reopened = False
                arrived = self._confirmed == request.last  # where it only seems so, all of it is kept for now
                if arrived and self._session.pieces > 1:
                    self._forget(request)
                confirmed = (str(self._session.location), request.last if aligned and arrived else 0, digest.hex)
        self._entry.write(*confirmed)

    @property
    def _plan(self) -> UploadPlan:
        session, outgoing = self._session, self._outgoing
        return UploadPlan(
            offset=session.offset,
            end=outgoing.end,
            ended=outgoing.ended,
            size=outgoing.size,
            taken=session.pieces,
            pace=self._pace,
            limits=self._client.host.limits(session.smallest),
        )

    def _spend(self, length: int) -> None:
        self._traffic.spend(length, self._outgoing.size or self._outgoing.end)

    def _send_long(self, request: NextRequest) -> None:
        """Sends a long request. Raises LetGo where it does not arrive, and what the stream raises."""
        session, begun = self._session, time.monotonic()
        self._spend(request.length)
        try:
            session.send(self._long_body(request.last), request.length, self._outgoing.sent)
        except TransportError as error:
            if error is self._fault:
                raise
            self._client.host.long_requests = False
            raise BytesDiscarded(f"{error}; it has to be sent again in smaller pieces") from error
        self._arrived(request, time.monotonic() - begun)

    def _long_body(self, target: int) -> Iterator[bytes]:
        outgoing = self._outgoing
        yield from outgoing.between(self._session.offset, outgoing.end)
        while outgoing.end < target:
            outgoing.discard_before(outgoing.end)
            try:
                outgoing.fill(min(MIB, target - outgoing.end))
                if outgoing.ended and outgoing.end < target:
                    outgoing.check()
            except TransportError as error:
                self._fault = error
                raise
            yield from outgoing.blocks
        outgoing.discard_before(target)

    def finish(self, is_there: Callable[[Digest], bool]) -> None:
        """Makes a blob of what was sent. Where the answer is lost, the blob may be there all the same."""
        outgoing, session = self._outgoing, self._session
        try:
            outgoing.check()
        except IntegrityError:
            session.cancel()
            raise
        while True:
            try:
                session.finish(outgoing.digest, outgoing.end)
                return
            except (SessionLost, OutOfPlace) as error:
                if is_there(outgoing.digest):
                    return
                raise SessionLost(str(error)) from error
            except TransientError as error:
                self._patience.wait_or_raise(error)
                if is_there(outgoing.digest):
                    return
                self._ask(session)

    def _deliver(self, request: NextRequest, blocks: tuple[bytes, ...]) -> None:
        """Tries to bring the session on by *blocks*, of *request*; it may be anywhere up to their end afterwards."""
        session, begun = self._session, time.monotonic()
        self._spend(request.length)
        try:
            session.send(blocks, request.length, self._outgoing.sent)
        except TooLarge:
            if not self._client.host.too_large(request.length, session.smallest):
                raise
        except TransientError as error:
            self._recover(error, request)
        except SessionLost as error:
            self._reopen(error)
        else:
            self._arrived(request, time.monotonic() - begun)
            self._strides.record_success(request.length)

    def _arrived(self, request: NextRequest, seconds: float) -> None:
        self._pace = Pace.of(request.length, seconds)
        self._refused = frozenset()
        self._confirmed = self._sent = request.last
        self._patience.reached(request.last)

    def _forget(self, request: NextRequest) -> None:
        """Lets go of what was confirmed, but for what the registry, which may be right, counts as missing of the last
        chunk. The first is held until it is known that the host takes a second."""
        counted = self._session.counted
        self._outgoing.discard_before(
            request.last if counted is None else min(request.last, max(request.first, counted))
        )

    def _recover(self, error: TransientError, request: NextRequest) -> None:
        """After *error*: waits, and goes to where the session is, or on in a new one. Where connections break, the next
        chunks are shorter."""
        session, lost = self._session, None
        self._patience.wait_or_raise(error)
        if isinstance(error, OutOfPlace):
            self._refused |= {request.first}
        else:
            self._sent = max(self._sent, request.last)
        try:
            self._ask(session)
            if session.counted in (request.last, request.last + 1):
                self._sent = max(self._sent, request.last)
            self._go_on(session, error)
        except SessionLost as reason:
            lost = reason
        if isinstance(error, ConnectionLost) and (lost or session.offset < request.last):
            self._strides.record_loss(request.length, lost=lost is not None)
        if lost:
            lost.counted = True
            self._reopen(lost)

    def _go_on(self, session: UploadSession, error: TransientError) -> None:
        """Moves *session* to where it most likely is. Raises SessionLost where it has been everywhere."""
        counted = session.counted
        if counted is not None and counted > self._sent + 1:
            raise SessionLost(f"{session.location.shown}: it has more bytes than it was sent")
        offsets = positions(
            counted=counted,
            floor=self._confirmed,
            expected=self._sent,
            held=self._outgoing.start,
            refused=self._refused,
            one_more=session.counts_one_more,
        )
        if not offsets:
            raise SessionLost(f"{error}; the registry does not say where the upload is to go on")
        session.offset = offsets[0]
        if session.offset == counted:
            self._patience.reached(counted)

    def _reopen(self, error: SessionLost) -> None:
        """Goes on in a new session where all that was sent is still held. Raises *error* where it is not."""
        if self._outgoing.start:
            raise error
        if not error.counted:
            self._patience.wait_or_raise(TransientError(str(error)))
        self._refused, self._reopened = frozenset(), True
        self._session = self._begin()
        self._confirmed = self._sent = 0

    def _ask(self, session: UploadSession) -> None:
        """Learns what the registry counts. Raises SessionLost."""
        while True:
            try:
                session.send_request()
                return
            except TransientError as error:
                self._patience.wait_or_raise(error)

    def _resume(self) -> UploadSession | None:
        """The session that an earlier run left, with the stream read to where it is; None where there is none."""
        unfinished = self._entry.read()
        if not isinstance(unfinished, OpenUpload):
            return None
        floor = max(unfinished.checkpoints, default=0)
        try:
            location = Url.parse(unfinished.location)
            if location.origin != self._client.url("").origin:  # who can write there would be sent the blob
                raise TransportError(f"{location.shown}: not a place of this registry")
            session = UploadSession(self._client, location)
            self._ask(session)
        except TransportError:
            self._entry.delete()
            return None
        session.pieces = 2
        counted = floor if session.counted is None else session.counted
        session.offset = floor if counted <= floor + 1 else counted  # nobody stops after one byte
        outgoing = self._outgoing
        if not outgoing.skip_verified(session.offset, unfinished.checkpoints) or session.offset > outgoing.end:
            session.cancel()
            raise SessionLost(f"{session.location.shown}: what was begun is not what is sent now")
        self._patience.reached(session.offset)
        return session
