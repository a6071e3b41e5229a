"""An upload in chunks: what the registry confirmed is let go of, what it did not is sent again."""

from __future__ import annotations

from collections.abc import Callable

from eci_convert.errors import IntegrityError, TransportError
from eci_convert.oci.digest import Digest
from eci_convert.transports.registry import hosts
from eci_convert.transports.registry.client import Client
from eci_convert.transports.registry.ledger import Entry
from eci_convert.transports.registry.outgoing import Outgoing
from eci_convert.transports.registry.patience import Patience, Transient
from eci_convert.transports.registry.sessions import Session, SessionLost, TooLarge
from eci_convert.transports.registry.url import Url


class Chunks:
    """The talk about one upload. *entry* is its line in the ledger."""

    def __init__(self, client: Client, outgoing: Outgoing, entry: Entry, patience: Patience) -> None:
        self._client = client
        self._outgoing = outgoing
        self._entry = entry
        self._patience = patience
        self._session = self._taken_up() or Session.opened(client)

    def send(self) -> None:
        """Sends everything. Raises SessionLost, OnePieceOnly, TransportError, and what the stream raises."""
        outgoing = self._outgoing
        while True:
            limit = self._limit
            outgoing.gather(limit - (outgoing.end - self._session.offset))
            while self._session.offset < outgoing.end:
                self._deliver(min(self._session.offset + limit, outgoing.end))
                limit = self._limit
            self._entry.write(str(self._session.location), outgoing.end, outgoing.digest.hex)
            if outgoing.ended:
                return
            if self._session.pieces > 1:  # the first is kept until it is known that the host takes a second
                outgoing.forget(outgoing.end)

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
                    self._ask(error)
                except SessionLost:
                    if is_there(outgoing.digest):
                        return
                    raise
                if session.offset != outgoing.end:
                    raise SessionLost(f"{session.location.shown}: it has lost what it had") from error

    @property
    def _limit(self) -> int:
        return self._client.host.chunk(self._session.smallest)

    def _deliver(self, until: int) -> None:
        """Tries to bring the session to offset *until*; it may be anywhere afterwards."""
        session, outgoing = self._session, self._outgoing
        before = session.offset
        try:
            if before < outgoing.start:
                raise SessionLost(f"{session.location.shown}: it has less than it had")
            session.send(outgoing.between(before, until))
            if session.offset <= before:
                raise Transient(f"{session.location.shown}: it keeps nothing of what it is sent")
            self._patience.progressed(session.offset - before)
        except TooLarge as error:
            self._shrink(until - before, error)
        except Transient as error:
            self._ask(error)
        except SessionLost as error:
            if outgoing.start:
                raise
            self._patience.after(Transient(str(error)))
            self._session = Session.opened(self._client)

    def _ask(self, error: Transient) -> None:
        """After *error*: waits, and learns from the registry how much of what was sent arrived."""
        session = self._session
        before = session.offset
        self._patience.after(error)
        self._asked(session)
        if session.offset > self._outgoing.end:
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
        if unfinished is None:
            return None
        try:
            session = Session(self._client, Url.parse(unfinished.location))
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
