"""Manifests that refer to another (distribution-spec v1.1.1, "Listing Referrers")."""

from __future__ import annotations

import re
from collections.abc import Iterator

from eci_convert.errors import FormatError, LimitExceeded, NotFound, TransportError
from eci_convert.oci import fields, manifest, mediatype
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Descriptor, Index, Manifest, rendered
from eci_convert.transports.registry import manifests
from eci_convert.transports.registry.client import Client
from eci_convert.transports.registry.url import Url

_MAX_PAGES = 50
_NEXT = re.compile(r"<([^<>]*)>\s*;[^,]*\brel\s*=\s*\"?next\b", re.ASCII | re.IGNORECASE)


def of(client: Client, subject: Digest) -> tuple[Descriptor, ...]:
    """What refers to *subject*: by the API, else by the tag in its stead. Raises TransportError, FormatError."""
    try:
        return tuple(_listed(client, subject))
    except NotFound:
        return _tagged(client, subject).manifests


def note(client: Client, descriptor: Descriptor, content: bytes) -> None:
    """Adds the manifest that *descriptor* promises to the tag's list of what refers to its subject, if it has one.

    For a registry that did not say that it keeps the list itself ("Pushing Manifests with Subject").
    """
    document = manifest.parse(content, descriptor.media_type)
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
    known = _tagged(client, document.subject.digest).manifests
    if entry.digest not in {one.digest for one in known}:
        text = rendered(Index(manifests=(*known, entry)))
        manifests.put(client, fallback_tag(document.subject.digest), mediatype.OCI_INDEX, text)


def fallback_tag(subject: Digest) -> str:
    """The tag under which registries without the API keep the list ("Referrers Tag Schema")."""
    return f"{subject.algorithm}-{subject.hex}"[:128]


def next_page(url: Url, link: str) -> Url | None:
    """Where a Link header says that the list goes on: on the same server, or TransportError."""
    found = _NEXT.search(link[:16384])
    if found is None:
        return None
    following = url.joined(found[1])
    following = following.secured(url, url) or following
    if following.origin != url.origin:
        raise TransportError(f"{url.authority} says that its list goes on at {following.authority}: refused")
    return following


def _listed(client: Client, subject: Digest) -> Iterator[Descriptor]:
    url: Url | None = client.url(f"referrers/{subject}")
    for _ in range(_MAX_PAGES):
        if url is None:
            return
        answer, content = client.read(url, accept=mediatype.OCI_INDEX, limit=fields.MAX_DOCUMENT)
        if answer.header("Content-Type").partition(";")[0].strip() != mediatype.OCI_INDEX:
            raise NotFound(f"{url.shown}: no list of referrers")
        yield from _index(content).manifests
        url = next_page(url, answer.header("Link"))
    raise LimitExceeded(f"the list of referrers has more than {_MAX_PAGES} pages", where=str(client.reference))


def _tagged(client: Client, subject: Digest) -> Index:
    try:
        return _index(manifests.get(client, fallback_tag(subject))[1])
    except NotFound:
        return Index(manifests=())


def _index(content: bytes) -> Index:
    document = manifest.parse(content, mediatype.OCI_INDEX, where="referrers")
    if not isinstance(document, Index):
        raise FormatError("is no index", where="referrers")
    return document
