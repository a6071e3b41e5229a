"""An upload session, as the registry sees it (distribution-spec v1.1.1, "Pushing a blob in chunks")."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Self

from eci_convert.errors import TransportError
from eci_convert.oci.digest import Digest
from eci_convert.transports.registry.client import PUSH, RegistryClient
from eci_convert.transports.registry.http import errors
from eci_convert.transports.registry.http.connection import Request
from eci_convert.transports.registry.http.errors import ErrorBody, parse_error_body
from eci_convert.transports.registry.http.response import Response
from eci_convert.transports.registry.http.retry import RETRYABLE_STATUSES, TransientError
from eci_convert.transports.registry.http.url import Url

OnSent = Callable[[int], None]

_RANGE = re.compile(r"(?:bytes[= ])?(\d{1,19})-(\d{1,19})", re.ASCII)
_LARGE = re.compile(
    r"too ?(?:large|big|long)|exceed\w*\b.*\b(?:maximum|limit|permissible|allowed)|"
    r"maximum (?:permissible|allowed|size)|\b(?:size|length|body) limit",
    re.IGNORECASE,
)
_BODY = re.compile(r"\b(?:body|request|payload|chunk|content|entity|upload)\b(?!.*header)", re.IGNORECASE)
_OCTETS = {"Content-Type": "application/octet-stream"}
_SETTLING = 20 * 1024 * 1024
"""Bytes a second at which a registry is trusted to put a finished blob where it belongs."""


class SessionLost(TransportError):
    """The session is gone, or is not where it can be gone on with. *counted*: as a failure that was waited after."""

    counted = False


class BytesDiscarded(SessionLost):
    """The bytes that the session lacks were not kept: whoever can have them again goes on."""


class TooLarge(TransportError):
    """The registry, or a proxy before it, takes no request of this size."""


class MonolithicOnly(TransportError):
    """The registry takes a blob in one request without `Content-Range`, and this was another."""


class OutOfPlace(TransientError):
    """The registry says that it is not where the chunk begins (416)."""


class UploadSession:
    """One upload. *offset* is how many bytes the registry has: what it confirmed by a success, or as far as it said.

    *counted* is its own count in its last answer, None where it does not tell. It is not always to be believed: it may
    be stale (Amazon ECR), that of the last chunk alone, or one byte too many (*counts_one_more*).
    """

    def __init__(self, client: RegistryClient, at: Url, offset: int = 0) -> None:
        self.location = at
        self.offset = offset
        self.smallest = 0
        self.counted: int | None = None
        self.counts_one_more = False
        self._client = client
        self.pieces = 0

    @classmethod
    def start(cls, client: RegistryClient) -> Self:
        """A new session. Raises AccessDenied, TransportError."""
        url = client.url("blobs/uploads/")
        with client.request("POST", url, accept=(200, 201, 202), scope=PUSH) as answer:
            return cls.from_response(client, answer)

    @classmethod
    def from_response(cls, client: RegistryClient, answer: Response) -> Self:
        """The session that *answer* tells of. Raises TransportError."""
        session = cls(client, location(client, answer))
        smallest = answer.header("OCI-Chunk-Min-Length")
        session.smallest = int(smallest) if smallest.isascii() and smallest.isdigit() and len(smallest) < 12 else 0
        return session

    def send_request(self) -> None:
        """Learns from the registry what it counts, without going there. Raises SessionLost, Transient, AccessDenied."""
        request = Request(method="GET", url=self.location)
        with self._client.send_once(
            request, accept=(200, 202, 204, 400, 404, 405, 410, 416, 501), scope=PUSH
        ) as answer:
            self.counted = _confirmed(answer)
            if answer.status in (405, 501):
                self.counted = None
                return
            if answer.status >= 400:
                raise SessionLost(f"{self.location.shown}: the upload session is gone ({answer.status})")
            self._update_location(answer)

    def send(self, blocks: Iterable[bytes], length: int, on_sent: OnSent | None = None) -> None:
        """Sends the next bytes, *length* of them, all of which have arrived afterwards: a success is believed, whatever
        the registry counts. *on_sent* is called with the offset that was reached meanwhile.

        Raises OutOfPlace, SessionLost, TooLarge, OnePieceOnly; and Transient, after which one must `ask`.
        """
        headers = _OCTETS | {"Content-Range": f"{self.offset}-{self.offset + length - 1}"}
        request = Request(
            method="PATCH",
            url=self.location,
            headers=headers,
            body=blocks,
            length=length,
            own_connection=self._alone,
            on_sent=_from(self.offset, on_sent),
        )
        with self._client.send_once(request, accept=_not_retried(), scope=PUSH) as answer:
            self._check(answer)
            self.counted = _confirmed(answer)
            self._update_location(answer)
        self.offset += length
        self.counts_one_more = self.counted == self.offset + 1
        if self.counts_one_more:
            self.counted = self.offset
        self.pieces += 1

    def stream(self, blocks: Iterable[bytes], length: int | None, on_sent: OnSent | None = None) -> None:
        """Sends everything in one piece, which cannot be gone on with. *length* None: as long as it gets."""
        request = Request(
            method="PATCH", url=self.location, headers=_OCTETS, body=blocks, length=length, on_sent=on_sent
        )
        with self._client.send_once(request, accept=_not_retried(), scope=PUSH) as answer:
            self._check(answer)
            self._update_location(answer)

    def finish(
        self, digest: Digest, size: int, blocks: tuple[bytes, ...] | None = None, on_sent: OnSent | None = None
    ) -> None:
        """Makes a blob of what was sent, and *blocks*. Raises as `send` does."""
        request = Request(
            method="PUT",
            url=self.location.with_query("digest", str(digest)),
            headers=_OCTETS,
            body=blocks,
            length=None if blocks is None else sum(map(len, blocks)),
            extra_timeout=size / _SETTLING,
            own_connection=blocks is not None and self._alone,
            on_sent=on_sent,
        )
        with self._client.send_once(request, accept=_not_retried(), scope=PUSH) as answer:
            self._check(answer)

    def cancel(self) -> None:
        """Lets the registry forget the session, if it cares."""
        try:
            self._client.send_once(
                Request(method="DELETE", url=self.location), accept=range(200, 500), scope=PUSH
            ).close()
        except TransportError:
            return

    @property
    def _alone(self) -> bool:
        return self._client.host.strides.lossy

    def _check(self, answer: Response) -> None:
        if answer.status in (200, 201, 202, 204):
            return
        said = parse_error_body(answer, self._client.redact)
        text = f"{answer.method} {answer.url.shown}: {answer.status} {said.code} {said.reason}".rstrip()
        elsewhere = answer.status == 416 and _confirmed(answer) not in (None, self.offset)
        if answer.status == 413 or (not elsewhere and _is_too_large(answer.status, said)):
            raise TooLarge(text)
        if answer.method == "PATCH" and not self.pieces and not self.offset and _may_take_a_stream(answer.status, said):
            raise MonolithicOnly(text)
        if answer.status == 416:
            raise OutOfPlace(text, 0.0)
        if answer.status in (404, 410) or said.code in ("BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "DIGEST_INVALID"):
            raise SessionLost(text)
        if answer.method == "PATCH" and self.pieces:
            raise MonolithicOnly(text)
        raise TransportError(text)

    def _update_location(self, answer: Response) -> None:
        if answer.header("Location"):
            self.location = location(self._client, answer)


def _is_too_large(status: int, said: ErrorBody) -> bool:
    """Whether a refusal is of the request's size: GitHub's registries say so with 416."""
    text = f"{said.code} {said.reason}".replace("_", " ")
    if status == 416:
        return _LARGE.search(text) is not None
    return status in (400, 422) and re.search("too ?large", text, re.I) is not None and _BODY.search(text) is not None


def _may_take_a_stream(status: int, said: ErrorBody) -> bool:
    """Whether a refusal of the first chunk may be one of `Content-Range`, without which docker sends."""
    return status in (400, 405, 406, 411, 415, 416, 422, 501) and not errors.is_quota(said)


def _from(start: int, on_sent: OnSent | None) -> OnSent | None:
    return (lambda count: on_sent(start + count)) if on_sent else None


def _not_retried() -> tuple[int, ...]:
    """Every status of which we make something ourselves."""
    return (
        *range(200, 300),
        *(status for status in range(400, 500) if status not in (401, 403, *RETRYABLE_STATUSES)),
        501,
    )


def location(client: RegistryClient, answer: Response) -> Url:
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


def _confirmed(answer: Response) -> int | None:
    """How many bytes the registry says it has. `0-0` is how most say none; nobody stops after one byte."""
    said = _RANGE.fullmatch(answer.header("Range").strip())
    if said is None:
        return None
    return 0 if said[2] == "0" else int(said[2]) + 1
