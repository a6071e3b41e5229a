"""An upload in chunks: what the registry confirmed is let go of, what it did not is sent again.

Where chunks arrive in no time, most of an upload is what each costs the registry, which syncs it and begins anew with
the next. What is left then goes in long requests, of which nothing is kept: after a fault it has to be had again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from eci_convert.errors import IntegrityError, TransportError
from eci_convert.oci.digest import Digest
from eci_convert.streams import interrupts
from eci_convert.transports.registry import hosts
from eci_convert.transports.registry.client import Client
from eci_convert.transports.registry.ledger import Entry, Unfinished
from eci_convert.transports.registry.outgoing import Outgoing
from eci_convert.transports.registry.patience import Cut, Patience, Transient
from eci_convert.transports.registry.sessions import LetGo, Session, SessionLost, TooLarge
from eci_convert.transports.registry.url import Url

_QUICK = 0.5
"""Seconds. A chunk that took longer is followed by a small one: where it is cut, what is lost is at least all of it."""


_SWIFT = 128 << 20
"""Bytes a second at which a chunk arrives where a long request is worth it, and soon made good."""
_LONG = 256 << 20
"""Bytes of a long request, which are lost with it: two seconds of such a way. None is less than a quarter of it."""


class Chunks:
    """The talk about one upload. *entry* is its line in the ledger, *begin* begins a session."""

    def __init__(
        self, client: Client, outgoing: Outgoing, entry: Entry, patience: Patience, begin: Callable[[], Session]
    ) -> None:
        self._client = client
        self._begin = begin
        self._outgoing = outgoing
        self._entry = entry
        self._patience = patience
        self._quick = self._swift = False
        self._fault: TransportError | None = None
        self._strides = client.host.strides
        self._strides.begun()
        self._session = self._taken_up() or begin()

    def send(self) -> None:
        """Sends everything. Raises SessionLost, OnePieceOnly, TransportError, and what the stream raises.

        While one chunk is on its way, the one before it is written down, and the next is gathered and hashed.
        """
        outgoing, confirmed = self._outgoing, (str(self._session.location), 0, "")
        outgoing.gather(self._limit - (outgoing.end - self._session.offset))
        with ThreadPoolExecutor(1, thread_name_prefix="upload") as sender:
            while self._session.offset < outgoing.end:
                if target := self._far():
                    self._entry.write(*confirmed)
                    self._flow(target)
                    confirmed = (str(self._session.location), target, outgoing.digest.hex)
                    outgoing.gather(self._limit)
                    continue
                target, digest = outgoing.end, outgoing.digest
                under_way = sender.submit(self._deliver, self._next(target), target)
                try:
                    self._entry.write(*confirmed)
                    outgoing.gather(self._limit)
                finally:
                    interrupts.result(under_way)
                while self._session.offset < target:
                    self._deliver(self._next(target), target)
                confirmed = (str(self._session.location), target, digest.hex)
                if self._session.pieces > 1:  # the first is kept until it is known that the host takes a second
                    outgoing.forget(target)
        self._entry.write(*confirmed)

    def _far(self) -> int:
        """The offset up to which the next request may go though nothing is kept of it; 0: it had better be kept."""
        size, offset, host = self._outgoing.size, self._session.offset, self._client.host
        if not (size and self._swift and self._session.pieces > 1 and host.takes_all):
            return 0
        return min(size, offset + _LONG) if size - offset >= _LONG // 4 else 0

    def _flow(self, target: int) -> None:
        """One request, up to offset *target*. Raises LetGo where it does not arrive, and what the stream raises."""
        session, begun, length = self._session, time.monotonic(), target - self._session.offset
        try:
            session.send(self._flowing(target), length)
        except TransportError as error:
            if error is self._fault:
                raise
            self._client.host.takes_all = False
            raise LetGo(f"{error}; it has to be sent again in smaller pieces") from error
        if session.offset != target:
            self._client.host.takes_all = False
            raise LetGo(f"{session.location.shown}: it has kept less than it was sent")
        self._swift = (time.monotonic() - begun) * _SWIFT < length
        self._patience.progressed(length)

    def _flowing(self, target: int) -> Iterator[bytes]:
        outgoing = self._outgoing
        yield from outgoing.between(self._session.offset, outgoing.end)
        while outgoing.end < target:
            outgoing.forget(outgoing.end)
            try:
                outgoing.gather(min(hosts.MIB, target - outgoing.end))
                if outgoing.ended and outgoing.end < target:
                    outgoing.check()
            except TransportError as error:
                self._fault = error
                raise
            yield from outgoing.held
        outgoing.forget(target)

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
            except (Transient, SessionLost) as error:
                try:
                    if isinstance(error, SessionLost):
                        raise
                    self._ask(error, outgoing.end)
                except SessionLost:
                    if is_there(outgoing.digest):
                        return
                    raise
                if session.offset != outgoing.end:
                    if is_there(outgoing.digest):
                        return
                    raise SessionLost(f"{session.location.shown}: it has lost what it had") from error

    @property
    def _limit(self) -> int:
        return self._client.host.chunk(self._session.smallest, quick=self._quick)

    def _next(self, target: int) -> tuple[bytes, ...]:
        """The chunk that the session lacks, which is before offset *target*. It leaves none that is too short."""
        first = self._session.offset
        if first < self._outgoing.start:
            raise SessionLost(f"{self._session.location.shown}: it has less than it had")
        last = first + self._limit
        return self._outgoing.between(first, target if target - last < self._session.smallest else last)

    def _deliver(self, blocks: tuple[bytes, ...], target: int) -> None:
        """Tries to bring the session on by *blocks*; it may be anywhere up to *target* afterwards."""
        session, begun, length = self._session, time.monotonic(), sum(map(len, blocks))
        before = session.offset
        try:
            session.send(blocks, length)
            taken = time.monotonic() - begun
            self._quick, self._swift = taken < _QUICK, taken * _SWIFT < length
            if session.offset <= before:
                raise Transient(f"{session.location.shown}: it keeps nothing of what it is sent")
            self._patience.progressed(session.offset - before)
            self._strides.arrived(session.offset - before)
        except TooLarge as error:
            self._shrink(length, error)
        except Transient as error:
            self._learn(error, before + length, target)
        except SessionLost as error:
            if not self._outgoing.start:
                self._patience.after(Transient(str(error)))
            self._reopen(error)

    def _learn(self, error: Transient, expected: int, target: int) -> None:
        """After *error*: where the session is, or a new one; and if it is not at *expected*, to send less at once."""
        before, lost = self._session.offset, None
        try:
            self._ask(error, target)
        except SessionLost as said:
            lost = said
        if isinstance(error, Cut) and (lost or self._session.offset < expected):
            self._strides.cut(expected - before, lost=lost is not None)
        if lost:
            self._reopen(lost)

    def _reopen(self, error: SessionLost) -> None:
        """Goes on in a new session where all that was sent is still held. Raises *error* where it is not."""
        if self._outgoing.start:
            raise error
        self._session = self._begin()

    def _ask(self, error: Transient, target: int) -> None:
        """After *error*: waits, and learns from the registry how much of what was sent arrived."""
        session = self._session
        before = session.offset
        self._patience.after(error)
        self._asked(session)
        if session.offset > target:
            raise SessionLost(f"{session.location.shown}: it has more bytes than it was sent")
        self._patience.progressed(max(0, session.offset - before))

    def _asked(self, session: Session) -> None:
        while True:
            try:
                session.ask()
                return
            except Transient as error:
                self._patience.after(error)

    def _shrink(self, length: int, error: TooLarge) -> None:
        """The next chunks are half as long as one that was too large."""
        least = max(self._session.smallest, hosts.SMALLEST)
        if length <= least:
            raise error
        self._client.host.note(largest=max(length // 2, least))

    def _taken_up(self) -> Session | None:
        """The session that an earlier run left, with the stream read to where it is; None where there is none."""
        unfinished = self._entry.read()
        if not isinstance(unfinished, Unfinished):
            return None
        try:
            location = Url.parse(unfinished.location)
            if location.origin != self._client.url("").origin:  # who can write there would be sent the blob
                raise TransportError(f"{location.shown}: not a place of this registry")
            session = Session(self._client, location)
            self._asked(session)
        except TransportError:
            self._entry.erase()
            return None
        session.pieces = 2
        if not self._outgoing.passed(session.offset, unfinished.checkpoints) or session.offset > self._outgoing.end:
            session.cancel()
            raise SessionLost(f"{session.location.shown}: what was begun is not what is sent now")
        self._patience.progressed(session.offset)
        return session
