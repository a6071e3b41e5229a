"""Manifests that refer to another one (distribution-spec v1.1.1, "Listing Referrers")."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from eci_convert.errors import EciError, FormatError, LimitExceededError, NotFoundError, TransportError
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
from eci_convert.transports.registry.http.retry import RetryBudget, TransientError
from eci_convert.transports.registry.http.url import Url

_MAX_PAGES = 50
_MAX_LISTED = 10_000
_MAX_TAGGED = 1000
_NO_API = (400, 404, 405, 406, 410, 415, 422, 501)
"""Statuses of registries without the API: the specification says 404, and not all comply."""
_COSIGN_TAGS = {"sig": "a signature", "att": "an attestation", "sbom": "an SBOM"}
"""The contents of cosign's tags before its version 3, by the suffix after the digest."""


def of(client: RegistryClient, subject: Digest) -> tuple[Descriptor, ...]:
    """The referrers of *subject*, from the API or else the fallback tag. Raises TransportError, FormatError."""
    try:
        return tuple(_list_referrers(client, subject))
    except NotFoundError:
        index = _read_tag(client, subject)
    return tuple(_verified(client, subject, index.manifests if index is not None else ()))


def warn_of_cosign_tags(client: RegistryClient, subject: Digest) -> None:
    """Warns of the tags that cosign before version 3 keeps for *subject*: their manifests have no `subject`.

    Sends requests without retries; if one fails, nothing is known of the tags, and that is no error.
    """
    for suffix, content in _COSIGN_TAGS.items() if subject.algorithm == "sha256" else ():
        tag = f"{fallback_tag(subject)}.{suffix}"
        try:
            found = manifests.exists(client, tag, budget=RetryBudget(0))
        except EciError:  # it was only for a warning
            return
        if found:
            warn(
                client.settings.reporter,
                f"the tag {tag} holds {content} of cosign's that is not a referrer: it is neither listed nor copied "
                "with the image; copy it by its tag",
            )


def add_to_tag(client: RegistryClient, descriptor: Descriptor, content: bytes) -> None:
    """Adds the manifest *content* to the fallback tag's list of referrers of its subject, if it has one.

    For registries that do not maintain the list themselves ("Pushing Manifests with Subject").
    """
    manifest = parse_manifest(content, descriptor.media_type)
    if manifest.subject is None:
        return
    artifact_type = manifest.artifact_type or (manifest.config.media_type if isinstance(manifest, Manifest) else "")
    entry = Descriptor(
        media_type=descriptor.media_type,
        digest=descriptor.digest,
        size=descriptor.size,
        annotations=manifest.annotations,
        artifact_type=artifact_type,
    )
    subject = manifest.subject.digest
    index = _read_tag(client, subject)
    if index is None:
        warn(
            client.settings.reporter,
            f"{client.reference.host} has no referrers API, and its tag {fallback_tag(subject)} is not a list of "
            f"referrers: not adding {descriptor.digest.short} to the referrers of {subject.short}",
        )
        return
    entries = index.manifests
    if entry.digest not in {existing.digest for existing in entries}:
        content = to_json(Index(manifests=(*entries, entry)))
        manifests.put(client, fallback_tag(subject), media_types.OCI_INDEX, content)


def without_referrer(client: RegistryClient, gone: Descriptor, content: bytes) -> tuple[Digest, Index] | None:
    """The subject of the deleted manifest *gone*, and the fallback tag's list of its referrers without *gone*.

    None if there is no such list, or *gone* is not in it. For registries that do not maintain the list themselves
    ("Deleting Manifests").
    """
    try:
        subject = parse_manifest(content, gone.media_type).subject
    except FormatError:
        return None
    index = _read_tag(client, subject.digest) if subject is not None else None
    if subject is None or index is None:
        return None
    left = tuple(entry for entry in index.manifests if entry.digest != gone.digest)
    return (subject.digest, replace(index, manifests=left)) if len(left) < len(index.manifests) else None


def fallback_tag(subject: Digest) -> str:
    """The tag under which registries without the API keep the list ("Referrers Tag Schema")."""
    return f"{subject.algorithm}-{subject.hex}"[:128]


def _list_referrers(client: RegistryClient, subject: Digest) -> Iterator[Descriptor]:
    """The referrers from the API. Raises NotFoundError if there is no API."""
    url: Url | None = client.url(f"referrers/{subject}")
    count = 0
    for number in range(_MAX_PAGES):
        if url is None:
            return
        status, response, content = _page(client, url)
        if status in _NO_API and number:
            raise TransportError(f"{url.shown}: {status} for a further page of referrers")
        if status in _NO_API or response.media_type != media_types.OCI_INDEX:
            raise NotFoundError(f"{url.shown}: the registry has no referrers API")
        index = parse_manifest(content, media_types.OCI_INDEX, where="referrers")
        if not isinstance(index, Index):
            raise FormatError("is not an index", where="referrers")
        count += len(index.manifests)
        if count > _MAX_LISTED:
            raise _too_many(client, _MAX_LISTED)
        yield from index.manifests
        url = next_page(url, ", ".join(response.header_lines("Link")))
    raise LimitExceededError(f"the list of referrers has more than {_MAX_PAGES} pages", where=str(client.reference))


def _page(client: RegistryClient, url: Url) -> tuple[int, Response, bytes]:
    """The status of one page, its response, closed, and its content."""
    request = Request(method="GET", url=url, headers={"Accept": media_types.OCI_INDEX})
    budget = client.retry_budget()
    while True:
        try:
            with client.send_once(request, accept=(200, *_NO_API)) as response:
                return (
                    response.status,
                    response,
                    response.read(json_fields.MAX_DOCUMENT) if response.status == 200 else b"",
                )
        except TransientError as error:
            budget.wait_or_raise(error)


def _read_tag(client: RegistryClient, subject: Digest) -> Index | None:
    """The list under the fallback tag of *subject*, empty if there is no such tag; None if it holds something else.

    GitLab reads the tag as the digest and returns the subject itself. An invalid index is not a list ("Referrers Tag
    Schema").
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
        index = parse_manifest(content, descriptor.media_type, where="referrers")
    except FormatError:
        return None
    return index if isinstance(index, Index) else None


def _verified(client: RegistryClient, subject: Digest, entries: Sequence[Descriptor]) -> Iterator[Descriptor]:
    """Those of *entries*, from a tag that anyone may have pushed, whose manifest does refer to *subject*."""
    if len(entries) > _MAX_TAGGED:
        raise _too_many(client, _MAX_TAGGED)
    for entry in entries:
        try:
            _, content = manifests.get(client, str(entry.digest))
        except NotFoundError:
            warn(client.settings.reporter, f"{entry.digest.short}, listed as a referrer, was not found")
            continue
        if (verified := referrer(entry, content, subject)) is not None:
            yield verified


def _too_many(client: RegistryClient, limit: int) -> LimitExceededError:
    return LimitExceededError(f"the list of referrers has more than {limit} entries", where=str(client.reference))
