"""An upload session at a registry (distribution-spec v1.1.1, "Pushing a blob in chunks")."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Self

from eci_convert.errors import TransportError
from eci_convert.oci.digest import Digest
from eci_convert.transports.registry.client import PUSH, RegistryClient
from eci_convert.transports.registry.http import errors
from eci_convert.transports.registry.http.connection import Request
from eci_convert.transports.registry.http.errors import ErrorBody, parse_error_body, status_and_reason
from eci_convert.transports.registry.http.response import Response
from eci_convert.transports.registry.http.retry import RETRYABLE_STATUSES, TransientError
from eci_convert.transports.registry.http.url import Url

OnSent = Callable[[int], None]

_RANGE = re.compile(r"(?:bytes[= ])?(\d{1,19})-(\d{1,19})", re.ASCII)
_TOO_LARGE = re.compile(
    r"too ?(?:large|big|long)|exceed\w*\b.*\b(?:maximum|limit|permissible|allowed)|"
    r"maximum (?:permissible|allowed|size)|\b(?:size|length|body) limit",
    re.IGNORECASE,
)
_ABOUT_BODY = re.compile(r"\b(?:body|request|payload|chunk|content|entity|upload)\b(?!.*header)", re.IGNORECASE)
_OCTETS = {"Content-Type": "application/octet-stream"}
_SETTLING = 20 * 1024 * 1024
"""Bytes a second at which a registry is expected to commit a finished blob."""


class SessionLost(TransportError):
    """The session no longer exists, or its offset cannot be resumed from. *counted*: the retry budget was charged for
    it."""

    counted = False


class BytesDiscarded(SessionLost):
    """The data that the session lacks is no longer buffered: the upload needs the stream from its start."""


class TooLarge(TransportError):
    """The registry, or a proxy in front of it, refuses a request body of this size."""


class MonolithicOnly(TransportError):
    """The registry accepts only a single request without `Content-Range`."""


class OutOfPlace(TransientError):
    """The chunk does not begin at the registry's offset (416)."""


class UploadSession:
    """One upload. *offset*: the bytes that the registry has, as confirmed by a success or as reported by it.

    *counted* is the count in its last response, None without one. It may be stale (Amazon ECR), that of the last chunk
    alone, or one byte too many (*counts_one_more*).
    """

    def __init__(self, client: RegistryClient, location: Url, offset: int = 0) -> None:
        self.location = location
        self.offset = offset
        self.smallest = 0
        self.counted: int | None = None
        self.counts_one_more = False
        self._client = client
        self.chunks_sent = 0

    @classmethod
    def start(cls, client: RegistryClient) -> Self:
        """A new session. Raises AccessDeniedError, TransportError."""
        url = client.url("blobs/uploads/")
        with client.request("POST", url, accept=(200, 201, 202), scope=PUSH) as response:
            return cls.from_response(client, response)

    @classmethod
    def from_response(cls, client: RegistryClient, response: Response) -> Self:
        """The session that *response* started. Raises TransportError."""
        session = cls(client, location(client, response))
        smallest = response.header("OCI-Chunk-Min-Length")
        session.smallest = int(smallest) if smallest.isascii() and smallest.isdigit() and len(smallest) < 12 else 0
        return session

    def request_offset(self) -> None:
        """Requests what the registry has into `counted`; `offset` is unchanged. Raises SessionLost, TransientError,
        AccessDeniedError."""
        request = Request(method="GET", url=self.location)
        with self._client.send_once(
            request, accept=(200, 202, 204, 400, 404, 405, 410, 416, 501), scope=PUSH
        ) as response:
            self.counted = _confirmed(response)
            if response.status in (405, 501):
                self.counted = None
                return
            if response.status >= 400:
                raise SessionLost(f"{self.location.shown}: the upload session no longer exists ({response.status})")
            self._update_location(response)

    def send(self, blocks: Iterable[bytes], length: int, on_sent: OnSent | None = None) -> None:
        """Sends the next *length* bytes. A success means that all were stored, whatever the registry counts. *on_sent*
        is called with the offset reached so far.

        Raises OutOfPlace, SessionLost, TooLarge, MonolithicOnly; and TransientError, after which call `request_offset`.
        """
        headers = _OCTETS | {"Content-Range": f"{self.offset}-{self.offset + length - 1}"}
        request = Request(
            method="PATCH",
            url=self.location,
            headers=headers,
            body=blocks,
            length=length,
            own_connection=self._own_connection,
            on_sent=_from(self.offset, on_sent),
        )
        with self._client.send_once(request, accept=_not_retried(), scope=PUSH) as response:
            self._check(response)
            self.counted = _confirmed(response)
            self._update_location(response)
        self.offset += length
        self.counts_one_more = self.counted == self.offset + 1
        if self.counts_one_more:
            self.counted = self.offset
        self.chunks_sent += 1

    def stream(self, blocks: Iterable[bytes], length: int | None, on_sent: OnSent | None = None) -> None:
        """Sends everything in one request, which cannot be resumed. *length* None: chunked transfer coding."""
        request = Request(
            method="PATCH", url=self.location, headers=_OCTETS, body=blocks, length=length, on_sent=on_sent
        )
        with self._client.send_once(request, accept=_not_retried(), scope=PUSH) as response:
            self._check(response)
            self._update_location(response)

    def finish(
        self, digest: Digest, size: int, blocks: tuple[bytes, ...] | None = None, on_sent: OnSent | None = None
    ) -> None:
        """Commits what was sent, with *blocks* appended. Raises as `send` does."""
        request = Request(
            method="PUT",
            url=self.location.with_query("digest", str(digest)),
            headers=_OCTETS,
            body=blocks,
            length=None if blocks is None else sum(map(len, blocks)),
            extra_timeout=size / _SETTLING,
            own_connection=blocks is not None and self._own_connection,
            on_sent=on_sent,
        )
        with self._client.send_once(request, accept=_not_retried(), scope=PUSH) as response:
            self._check(response)

    def cancel(self) -> None:
        """Deletes the session at the registry; errors are ignored."""
        try:
            self._client.send_once(
                Request(method="DELETE", url=self.location), accept=range(200, 500), scope=PUSH
            ).close()
        except TransportError:
            return

    @property
    def _own_connection(self) -> bool:
        return self._client.host.chunk_size.lossy

    def _check(self, response: Response) -> None:
        if response.status in (200, 201, 202, 204):
            return
        body = parse_error_body(response, self._client.redact)
        detail = (
            f"{response.status} {body.code} {body.reason}" if body.code else status_and_reason(response.status, body)
        )
        text = f"{response.method} {response.url.shown}: {detail}".rstrip()
        elsewhere = response.status == 416 and _confirmed(response) not in (None, self.offset)
        if response.status == 413 or (not elsewhere and _is_too_large(response.status, body)):
            raise TooLarge(text)
        if (
            response.method == "PATCH"
            and not self.chunks_sent
            and not self.offset
            and _may_take_a_stream(response.status, body)
        ):
            raise MonolithicOnly(text)
        if response.status == 416:
            raise OutOfPlace(text, 0.0)
        if response.status in (404, 410) or body.code in (
            "BLOB_UPLOAD_UNKNOWN",
            "BLOB_UPLOAD_INVALID",
            "DIGEST_INVALID",
        ):
            raise SessionLost(text)
        if response.method == "PATCH" and self.chunks_sent:
            raise MonolithicOnly(text)
        raise TransportError(text)

    def _update_location(self, response: Response) -> None:
        if response.header("Location"):
            self.location = location(self._client, response)


def _is_too_large(status: int, body: ErrorBody) -> bool:
    """Whether the request was refused for its size: GitHub's registries respond with 416."""
    text = f"{body.code} {body.reason}".replace("_", " ")
    if status == 416:
        return _TOO_LARGE.search(text) is not None
    return (
        status in (400, 422)
        and re.search("too ?large", text, re.I) is not None
        and _ABOUT_BODY.search(text) is not None
    )


def _may_take_a_stream(status: int, body: ErrorBody) -> bool:
    """Whether the refusal of the first chunk may be about `Content-Range`, which docker does not send."""
    return status in (400, 405, 406, 411, 415, 416, 422, 501) and not errors.is_quota(body)


def _from(start: int, on_sent: OnSent | None) -> OnSent | None:
    return (lambda count: on_sent(start + count)) if on_sent else None


def _not_retried() -> tuple[int, ...]:
    """The statuses that `_check` handles."""
    return (
        *range(200, 300),
        *(status for status in range(400, 500) if status not in (401, 403, *RETRYABLE_STATUSES)),
        501,
    )


def location(client: RegistryClient, response: Response) -> Url:
    """The URL in the Location header. Raises TransportError.

    A registry behind a TLS proxy may not know that it is: a plain URL of its own host means that registry over TLS. Any
    other downgrade from HTTPS to HTTP is refused. Other hosts receive the data, but never a credential.
    """
    text = response.header("Location")
    if not text:
        raise TransportError(f"{response.url.shown}: no Location header for the upload")
    url = response.url.joined(text)
    secured = url.secured(client.base, client.base)
    if secured is None and url.host == client.base.host:
        secured = client.base.at(url.target)
    if secured is None:
        raise TransportError(
            f"{response.url.shown}: the upload is redirected from https to http://{url.authority}: refused"
        )
    return secured


def _confirmed(response: Response) -> int | None:
    """The number of bytes in the Range header. Most registries report none as `0-0`."""
    byte_range = _RANGE.fullmatch(response.header("Range").strip())
    if byte_range is None:
        return None
    return 0 if byte_range[2] == "0" else int(byte_range[2]) + 1
