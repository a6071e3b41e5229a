"""An upload session, as the registry sees it (distribution-spec v1.1.1, "Pushing a blob in chunks")."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Self

from eci_convert.errors import TransportError
from eci_convert.oci.digest import Digest
from eci_convert.transports.registry import faults
from eci_convert.transports.registry.answer import Answer
from eci_convert.transports.registry.client import PUSH, Client
from eci_convert.transports.registry.patience import RETRIED, Transient
from eci_convert.transports.registry.url import Url
from eci_convert.transports.registry.wire import Request

_RANGE = re.compile(r"(?:bytes[= ])?(\d{1,19})-(\d{1,19})", re.ASCII)
_OCTETS = {"Content-Type": "application/octet-stream"}
_SETTLING = 20 * 1024 * 1024
"""Bytes a second at which a registry is trusted to put a finished blob where it belongs."""


class SessionLost(TransportError):
    """The session is gone, or is not where it can be gone on with."""


class LetGo(SessionLost):
    """The bytes that the session lacks were not kept: whoever can have them again goes on."""


class TooLarge(TransportError):
    """The registry, or a proxy before it, takes no request of this size."""


class OnePieceOnly(TransportError):
    """The registry takes a blob in one piece, and this was another."""


class Session:
    """One upload. *offset* is how many bytes the registry has, as far as it has said."""

    def __init__(self, client: Client, at: Url, offset: int = 0) -> None:
        self.location = at
        self.offset = offset
        self.smallest = 0
        self._client = client
        self.pieces = 0

    @classmethod
    def opened(cls, client: Client) -> Self:
        """A new session. Raises AccessDenied, TransportError."""
        url = client.url("blobs/uploads/")
        with client.ask("POST", url, accept=(200, 201, 202), scope=PUSH) as answer:
            return cls.begun(client, answer)

    @classmethod
    def begun(cls, client: Client, answer: Answer) -> Self:
        """The session that *answer* tells of. Raises TransportError."""
        session = cls(client, location(client, answer))
        smallest = answer.header("OCI-Chunk-Min-Length")
        session.smallest = int(smallest) if smallest.isascii() and smallest.isdigit() and len(smallest) < 12 else 0
        return session

    def ask(self) -> None:
        """Learns from the registry where the session is. Raises SessionLost, Transient, AccessDenied."""
        request = Request(method="GET", url=self.location)
        with self._client.once(request, accept=(200, 202, 204, 400, 404, 405, 410, 416), scope=PUSH) as answer:
            confirmed = _confirmed(answer)
            if answer.status >= 400 or confirmed is None:
                raise SessionLost(f"{self.location.shown}: the upload session is gone ({answer.status})")
            self.offset = confirmed
            self._moved(answer)

    def send(self, blocks: Iterable[bytes], length: int) -> None:
        """Sends the next bytes, *length* of them; afterwards *offset* says how many arrived.

        Raises SessionLost, TooLarge, OnePieceOnly; and Transient, after which one must `ask`.
        """
        headers = _OCTETS | {"Content-Range": f"{self.offset}-{self.offset + length - 1}"}
        request = Request(
            method="PATCH", url=self.location, headers=headers, body=blocks, length=length, alone=self._alone
        )
        with self._client.once(request, accept=_not_retried(), scope=PUSH) as answer:
            self._judged(answer)
            confirmed = _confirmed(answer)
            expected = self.offset + length
            self._moved(answer)
        if confirmed == expected + 1:  # it counts the bytes instead of naming the last one, as some do
            confirmed = expected
        if confirmed is not None and confirmed > expected:
            raise SessionLost(f"{self.location.shown}: it has more bytes than it was sent")
        self.offset = expected if confirmed is None else confirmed
        self.pieces += 1

    def stream(self, blocks: Iterable[bytes], length: int | None) -> None:
        """Sends everything in one piece, which cannot be gone on with. *length* None: as long as it gets."""
        request = Request(method="PATCH", url=self.location, headers=_OCTETS, body=blocks, length=length)
        with self._client.once(request, accept=_not_retried(), scope=PUSH) as answer:
            self._judged(answer)
            self._moved(answer)

    def finish(self, digest: Digest, size: int, blocks: tuple[bytes, ...] | None = None) -> None:
        """Makes a blob of what was sent, and *blocks*. Raises as `send` does."""
        request = Request(
            method="PUT",
            url=self.location.with_query("digest", str(digest)),
            headers=_OCTETS,
            body=blocks,
            length=None if blocks is None else sum(map(len, blocks)),
            wait=size / _SETTLING,
            alone=blocks is not None and self._alone,
        )
        with self._client.once(request, accept=_not_retried(), scope=PUSH) as answer:
            self._judged(answer)

    def cancel(self) -> None:
        """Lets the registry forget the session, if it cares."""
        try:
            self._client.once(Request(method="DELETE", url=self.location), accept=range(200, 500), scope=PUSH).close()
        except TransportError:
            return

    @property
    def _alone(self) -> bool:
        return self._client.host.strides.careful

    def _judged(self, answer: Answer) -> None:
        if answer.status in (200, 201, 202, 204):
            return
        said = faults.fault(answer, self._client.redacted)
        text = f"{answer.method} {answer.url.shown}: {answer.status} {said.code} {said.reason}".rstrip()
        if answer.status == 413:
            raise TooLarge(text)
        if answer.status == 416:
            raise Transient(text, 0.0)
        if answer.status in (404, 410) or said.code in ("BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "DIGEST_INVALID"):
            raise SessionLost(text)
        if answer.method == "PATCH" and self.pieces:
            raise OnePieceOnly(text)
        raise TransportError(text)

    def _moved(self, answer: Answer) -> None:
        if answer.header("Location"):
            self.location = location(self._client, answer)


def _not_retried() -> tuple[int, ...]:
    """Every status of which we make something ourselves."""
    return (*range(200, 300), *(status for status in range(400, 500) if status not in (401, 403, *RETRIED)))


def location(client: Client, answer: Answer) -> Url:
    """Where the upload goes on. Raises TransportError.

    A registry behind a TLS proxy may not know that it is: a plain URL on its own host means that very registry. To
    go from TLS to plain text anywhere else is refused. Another host gets the bytes, but never a credential.
    """
    text = answer.header("Location")
    if not text:
        raise TransportError(f"{answer.url.shown}: the registry does not say where to upload to")
    url = answer.url.joined(text)
    secured = url.secured(client.base, client.base)
    if secured is None and url.host == client.base.host:
        secured = client.base.at(url.target)
    if secured is None:
        raise TransportError(f"{answer.url.shown}: uploads are to go to {url.authority} without TLS: refused")
    return secured


def _confirmed(answer: Answer) -> int | None:
    """How many bytes the registry says it has. `0-0` is how most say none; nobody stops after one byte."""
    said = _RANGE.fullmatch(answer.header("Range").strip())
    if said is None:
        return None
    return 0 if said[2] == "0" else int(said[2]) + 1
