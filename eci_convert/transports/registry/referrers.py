"""Manifests that refer to another (distribution-spec v1.1.1, "Listing Referrers")."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from eci_convert.errors import LimitExceeded, NotFound, TransportError
from eci_convert.oci import fields, manifest, mediatype
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Descriptor, Index
from eci_convert.transports.registry.client import Client
from eci_convert.transports.registry.url import Url

_MAX_PAGES = 50
_NEXT = re.compile(r"<([^<>]*)>\s*;[^,]*\brel\s*=\s*\"?next\b", re.ASCII | re.IGNORECASE)

Fetched = Callable[[str], tuple[Descriptor, bytes]]


def of(client: Client, fetched: Fetched, subject: Digest) -> tuple[Descriptor, ...]:
    """What refers to *subject*: by the API, else by the tag in its stead. Raises TransportError, FormatError."""
    try:
        return tuple(_listed(client, subject))
    except NotFound:
        pass
    try:
        _, content = fetched(fallback_tag(subject))
    except NotFound:
        return ()
    return _entries(content)


def fallback_tag(subject: Digest) -> str:
    """The tag under which registries without the API keep the list ("Referrers Tag Schema")."""
    return f"{subject.algorithm}-{subject.hex}"[:128]


def _listed(client: Client, subject: Digest) -> Iterator[Descriptor]:
    url: Url | None = client.url(f"referrers/{subject}")
    for _ in range(_MAX_PAGES):
        if url is None:
            return
        answer, content = client.read(url, accept=mediatype.OCI_INDEX, limit=fields.MAX_DOCUMENT)
        if answer.header("Content-Type").partition(";")[0].strip() != mediatype.OCI_INDEX:
            raise NotFound(f"{url.shown}: no list of referrers")
        yield from _entries(content)
        url = next_page(url, answer.header("Link"))
    raise LimitExceeded(f"the list of referrers has more than {_MAX_PAGES} pages", where=str(client.reference))


def next_page(url: Url, link: str) -> Url | None:
    """Where a Link header says that the list goes on: on the same server, or TransportError."""
    found = _NEXT.search(link[:16384])
    if found is None:
        return None
    following = url.joined(found[1])
    if following.origin != url.origin:
        raise TransportError(f"{url.authority} says that its list goes on at {following.authority}: refused")
    return following


def _entries(content: bytes) -> tuple[Descriptor, ...]:
    document = manifest.parse(content, mediatype.OCI_INDEX, where="referrers")
    return document.manifests if isinstance(document, Index) else ()
