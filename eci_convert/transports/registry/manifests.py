"""Manifests as a registry hands them out and takes them: bytes, which say themselves which they are."""

from __future__ import annotations

from eci_convert.errors import DigestMismatchError, FormatError, ManifestRefusedError, TransportError
from eci_convert.oci import json_fields, media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import parse_manifest
from eci_convert.transports.registry.client import PUSH, RegistryClient
from eci_convert.transports.registry.http.errors import parse_error_body
from eci_convert.transports.registry.http.response import Response
from eci_convert.transports.registry.http.retry import RETRYABLE_STATUSES

ACCEPT = ", ".join(sorted(media_types.DOCUMENTS))

_JUDGED = tuple(status for status in range(400, 500) if status not in (401, 403, *RETRYABLE_STATUSES))
_BLOB_IS_LOST = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"})


class BlobLost(TransportError):
    """The registry lacks a blob that it has said to have."""


def get(client: RegistryClient, name: str) -> tuple[Descriptor, bytes]:
    """The manifest under the tag or digest *name*.

    Its bytes say what it is: headers are checked, never believed. Raises DigestMismatch where the bytes are not those
    of the digest that was asked for, or of the server's own claim; NotFound, TransportError, FormatError.
    """
    url = client.url(f"manifests/{name}")
    answer, content = client.read(url, accept=ACCEPT, limit=json_fields.MAX_DOCUMENT)
    media_type = _media_type(answer)
    if is_page(answer):
        raise TransportError(f"{url.shown}: a web page where a manifest was expected")
    digest = _checked(content, name, answer.header("Docker-Content-Digest"))
    if media_type not in media_types.DOCUMENTS | media_types.DOCKER_SCHEMA1:
        media_type = parse_manifest(content, "", where=str(client.reference)).media_type
    return Descriptor(media_type=media_type, digest=digest, size=len(content)), content


def put(client: RegistryClient, name: str, media_type: str, content: bytes) -> bool:
    """Stores a manifest under the tag or digest *name*; whether the registry noted what it refers to (`subject`).

    Raises BlobLost, ManifestRefused, TransportError.
    """
    url = client.url(f"manifests/{name}")
    answer = client.request(
        "PUT", url, headers={"Content-Type": media_type}, content=content, scope=PUSH, accept=(200, 201, 202, *_JUDGED)
    )
    with answer:
        if answer.status == 200 and is_page(answer):
            raise TransportError(f"{url.shown}: a web page where a manifest was to be stored")
        if answer.status < 400:
            return bool(answer.header("OCI-Subject"))
        said = parse_error_body(answer, client.redact)
        detail = ": ".join(filter(None, (said.code, said.reason)))
        text = f"{url.shown}: the manifest is refused: {answer.status} {detail}".rstrip()
        if said.code in _BLOB_IS_LOST:
            raise BlobLost(text)
        raise ManifestRefusedError(text, status=answer.status, code=said.code, reason=said.reason)


def is_page(answer: Response) -> bool:
    """Whether *answer* is for people: of a proxy, or of the network that one logs in to, which says 200 to anything."""
    return _media_type(answer) == "text/html"


def _media_type(answer: Response) -> str:
    return answer.header("Content-Type").partition(";")[0].strip().lower()


def _checked(content: bytes, name: str, said: str) -> Digest:
    """The digest of *content*: the one that was asked for, else the one the server names it by, else its sha256."""
    if ":" in name:
        asked = Digest.parse(name)
        asked.check(content, "the manifest")
        return asked
    try:
        claimed = Digest.parse(said)
    except FormatError:
        return Digest.of(content)
    actual = Digest.of(content, claimed.algorithm)
    if actual != claimed:
        raise DigestMismatchError(claimed, actual, "the manifest")
    return claimed
