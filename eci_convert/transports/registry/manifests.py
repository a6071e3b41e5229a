"""Manifests pulled from and pushed to a registry. Their media type is determined from the content."""

from __future__ import annotations

from eci_convert.errors import DigestMismatchError, FormatError, ManifestRefusedError, TransportError
from eci_convert.oci import json_fields, media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import parse_manifest
from eci_convert.transports.registry.client import PUSH, RegistryClient
from eci_convert.transports.registry.http.errors import parse_error_body
from eci_convert.transports.registry.http.retry import RETRYABLE_STATUSES, RetryBudget

ACCEPT = ", ".join(sorted(media_types.DOCUMENTS))

_HANDLED = tuple(status for status in range(400, 500) if status not in (401, 403, *RETRYABLE_STATUSES))
_BLOB_UNKNOWN = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"})


class BlobLost(TransportError):
    """The registry lacks a blob that it reported to have."""


def get(client: RegistryClient, name: str) -> tuple[Descriptor, bytes]:
    """The manifest with the tag or digest *name*.

    Digests in headers are verified. Raises DigestMismatchError if the content does not match the requested digest or
    the `Docker-Content-Digest` header; NotFoundError, TransportError, FormatError.
    """
    url = client.url(f"manifests/{name}")
    response, content = client.read(url, accept=ACCEPT, limit=json_fields.MAX_DOCUMENT)
    media_type = response.media_type
    if response.is_html:
        raise TransportError(f"{url.shown}: HTML response instead of a manifest (captive portal or proxy?)")
    digest = _verified_digest(content, name, response.header("Docker-Content-Digest"))
    if media_type not in media_types.DOCUMENTS | media_types.DOCKER_SCHEMA1:
        media_type = parse_manifest(content, "", where=str(client.reference)).media_type
    return Descriptor(media_type=media_type, digest=digest, size=len(content)), content


def exists(client: RegistryClient, name: str, *, budget: RetryBudget | None = None) -> bool:
    """Whether the registry says that there is a manifest with the tag or digest *name*. Raises TransportError."""
    headers = {"Accept": ACCEPT}
    url = client.url(f"manifests/{name}")
    with client.request("HEAD", url, headers=headers, accept=(200, *_HANDLED), budget=budget) as response:
        return response.status == 200 and not response.is_html


def put(client: RegistryClient, name: str, media_type: str, content: bytes) -> bool:
    """Pushes a manifest under the tag or digest *name*. Returns whether the registry processed its `subject`.

    Raises BlobLost, ManifestRefusedError, TransportError, and DigestMismatchError if the registry reports that it
    stored something else.
    """
    url = client.url(f"manifests/{name}")
    response = client.request(
        "PUT", url, headers={"Content-Type": media_type}, content=content, scope=PUSH, accept=(200, 201, 202, *_HANDLED)
    )
    with response:
        if response.status == 200 and response.is_html:
            raise TransportError(f"{url.shown}: HTML response to the push of a manifest (captive portal or proxy?)")
        if response.status < 400:
            _check_stored(content, response.header("Docker-Content-Digest"))
            return bool(response.header("OCI-Subject"))
        body = parse_error_body(response, client.redact)
        detail = ": ".join(filter(None, (body.code, body.reason)))
        text = f"{url.shown}: manifest refused: {response.status} {detail}".rstrip()
        if body.code in _BLOB_UNKNOWN:
            raise BlobLost(text)
        raise ManifestRefusedError(text, status=response.status, code=body.code, reason=body.reason)


def _check_stored(content: bytes, header: str) -> None:
    """Raises DigestMismatchError if *header* is the digest of something else than *content*."""
    try:
        stored = Digest.parse(header)
    except FormatError:
        return
    sent = Digest.of(content, stored.algorithm)
    if stored != sent:
        raise DigestMismatchError(sent, stored, "the manifest that the registry stored")


def _verified_digest(content: bytes, name: str, header: str) -> Digest:
    """The digest of *content*: the requested one, else the one in the header, else its sha256."""
    if ":" in name:
        requested = Digest.parse(name)
        requested.check(content, "the manifest")
        return requested
    try:
        claimed = Digest.parse(header)
    except FormatError:
        return Digest.of(content)
    computed = Digest.of(content, claimed.algorithm)
    if computed != claimed:
        raise DigestMismatchError(claimed, computed, "the manifest")
    return claimed
