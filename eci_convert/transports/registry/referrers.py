"""Manifests that refer to another (distribution-spec v1.1.1, "Listing Referrers")."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eci_convert.errors import FormatError, LimitExceededError, NotFoundError, TransportError
from eci_convert.oci import json_fields, media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import Manifest, parse_manifest, to_json
from eci_convert.oci.referrers import referrer
from eci_convert.progress import warn
from eci_convert.transports.registry import manifests
from eci_convert.transports.registry.client import RegistryClient
from eci_convert.transports.registry.http.connection import Request
from eci_convert.transports.registry.http.links import next_page
from eci_convert.transports.registry.http.response import Response
from eci_convert.transports.registry.http.retry import TransientError
from eci_convert.transports.registry.http.url import Url

_MAX_PAGES = 50
_MAX_TAGGED = 1000
_NO_API = (400, 404, 405, 406, 410, 415, 422, 501)
"""What registries answer that do not know of the API: the specification says 404, and not all do."""


def of(client: RegistryClient, subject: Digest) -> tuple[Descriptor, ...]:
    """What refers to *subject*: by the API, else by the tag in its stead. Raises TransportError, FormatError."""
    try:
        return tuple(_listed(client, subject))
    except NotFoundError:
        index = _tagged(client, subject)
    return tuple(_believable(client, subject, index.manifests if index is not None else ()))


def note(client: RegistryClient, descriptor: Descriptor, content: bytes) -> None:
    """Adds the manifest that *descriptor* promises to the tag's list of what refers to its subject, if it has one.

    For a registry that did not say that it keeps the list itself ("Pushing Manifests with Subject").
    """
    document = parse_manifest(content, descriptor.media_type)
    if document.subject is None:
        return
    kind = document.artifact_type or (document.config.media_type if isinstance(document, Manifest) else "")
    entry = Descriptor(
        media_type=descriptor.media_type,
        digest=descriptor.digest,
        size=descriptor.size,
        annotations=document.annotations,
        artifact_type=kind,
    )
    subject = document.subject.digest
    listed = _tagged(client, subject)
    if listed is None:
        warn(
            client.settings.reporter,
            f"{client.reference.host} has no referrers API, and its tag {fallback_tag(subject)} is no list of them: "
            f"it is left alone, and {descriptor.digest.short} is not listed among those of {subject.short}",
        )
        return
    known = listed.manifests
    if entry.digest not in {one.digest for one in known}:
        text = to_json(Index(manifests=(*known, entry)))
        manifests.put(client, fallback_tag(subject), media_types.OCI_INDEX, text)


def fallback_tag(subject: Digest) -> str:
    """The tag under which registries without the API keep the list ("Referrers Tag Schema")."""
    return f"{subject.algorithm}-{subject.hex}"[:128]


def _listed(client: RegistryClient, subject: Digest) -> Iterator[Descriptor]:
    """What the API lists. Raises NotFound where there is no API."""
    url: Url | None = client.url(f"referrers/{subject}")
    for number in range(_MAX_PAGES):
        if url is None:
            return
        status, answer, content = _page(client, url)
        if status in _NO_API and number:
            raise TransportError(f"{url.shown}: {status} in the middle of a list")
        if (
            status in _NO_API
            or answer.header("Content-Type").partition(";")[0].strip().lower() != media_types.OCI_INDEX
        ):
            raise NotFoundError(f"{url.shown}: no list of referrers")
        document = parse_manifest(content, media_types.OCI_INDEX, where="referrers")
        if not isinstance(document, Index):
            raise FormatError("is no index", where="referrers")
        yield from document.manifests
        url = next_page(url, ", ".join(answer.header_lines("Link")))
    raise LimitExceededError(f"the list of referrers has more than {_MAX_PAGES} pages", where=str(client.reference))


def _page(client: RegistryClient, url: Url) -> tuple[int, Response, bytes]:
    """The status of a page of a list, its answer, closed, and its content."""
    request = Request(method="GET", url=url, headers={"Accept": media_types.OCI_INDEX})
    patience = client.patience()
    while True:
        try:
            with client.send_once(request, accept=(200, *_NO_API)) as answer:
                return answer.status, answer, answer.read(json_fields.MAX_DOCUMENT) if answer.status == 200 else b""
        except TransientError as error:
            patience.wait_or_raise(error)


def _tagged(client: RegistryClient, subject: Digest) -> Index | None:
    """The list under the tag of *subject*, empty where there is none; None where something else stands there.

    GitLab takes the tag for the digest and hands out the subject itself. What is no valid index is no list ("Referrers
    Tag Schema").
    """
    try:
        descriptor, content = manifests.get(client, fallback_tag(subject))
    except NotFoundError:
        return Index(manifests=())
    except FormatError:
        return None
    if Digest.of(content, subject.algorithm) == subject or descriptor.media_type not in media_types.INDEXES:
        return None
    try:
        document = parse_manifest(content, descriptor.media_type, where="referrers")
    except FormatError:
        return None
    return document if isinstance(document, Index) else None


def _believable(client: RegistryClient, subject: Digest, entries: Sequence[Descriptor]) -> Iterator[Descriptor]:
    """Those of *entries*, listed under a tag that anybody may have pushed, whose manifest does refer to *subject*."""
    if len(entries) > _MAX_TAGGED:
        raise LimitExceededError(
            f"the list of referrers has more than {_MAX_TAGGED} entries", where=str(client.reference)
        )
    for entry in entries:
        try:
            _, content = manifests.get(client, str(entry.digest))
        except NotFoundError:
            warn(client.settings.reporter, f"{entry.digest.short}, which is to refer to an image, is not there")
            continue
        if (checked := referrer(entry, content, subject)) is not None:
            yield checked
