"""Finds the blobs of a layout that can be deleted: those of removed images that are not referenced any more.

If a manifest of a remaining image cannot be read, no blob is deleted: it may refer to any of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from eci_convert.errors import EciError, FormatError, IntegrityError, LimitExceededError, NotFoundError
from eci_convert.oci import json_fields
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import Manifest, parse_manifest
from eci_convert.transports.layout.index import Read, blob_path

_MENTION = re.compile(rb"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})", re.ASCII)
_MAX_READ = 256 << 20
"""The limit in bytes of the manifests read to find references."""


def owned_blobs(read: Read, entries: Iterable[Descriptor]) -> set[Digest]:
    """The blobs of the images *entries*: manifests, configs and layers, as far as the manifests can be read."""
    owned: set[Digest] = set()
    waiting = list(entries)
    while waiting:
        entry = waiting.pop()
        if entry.digest in owned:
            continue
        owned.add(entry.digest)
        document = _document(read, entry)
        if isinstance(document, Index):
            waiting += document.manifests
        elif document:
            owned |= {document.config.digest, *(layer.digest for layer in document.layers)}
    return owned


def mentioned_blobs(read: Read, entries: Iterable[Descriptor]) -> set[Digest]:
    """Every digest in any field of *entries* and of the manifests and indexes below them.

    Missing manifests that only an index lists are ignored. Raises NotFoundError if one of *entries* is missing,
    FormatError, IntegrityError and LocalError for a manifest that cannot be read, and LimitExceededError if they are
    too large in total.
    """
    mentioned: set[Digest] = set()
    waiting, budget = list(entries), _MAX_READ
    listed = {entry.digest for entry in waiting}
    while waiting:
        entry = waiting.pop()
        if entry.digest in mentioned:
            continue
        mentioned.add(entry.digest)
        try:
            content = read(blob_path(entry.digest))
        except NotFoundError:
            if entry.digest in listed:
                raise
            continue
        entry.digest.check(content, f"manifest {entry.digest.short}")
        budget -= len(content)
        if budget < 0:
            raise LimitExceededError(f"more than {_MAX_READ} bytes of manifests")
        below = {child.digest: child for child in _documents_below(json_fields.document(content, entry.digest.short))}
        waiting += [child for child in below.values() if child.digest not in mentioned]
        mentioned |= {Digest.parse(text.decode()) for text in _MENTION.findall(content)} - below.keys()
    return mentioned


def referring_digests(read: Read, entries: Iterable[Descriptor], subjects: set[Digest]) -> set[Digest]:
    """Those of *entries* that refer (`subject`) to one of *subjects*, directly or through other referrers."""
    documents = {entry.digest: _document(read, entry) for entry in entries}
    subjects_of = {
        digest: document.subject.digest for digest, document in documents.items() if document and document.subject
    }
    referring: set[Digest] = set()
    while more := {digest for digest, subject in subjects_of.items() if subject in subjects | referring} - referring:
        referring |= more
    return referring


def superseded_blobs(read: Read, before: Iterable[Descriptor], after: Iterable[Descriptor]) -> set[Digest]:
    """The blobs of images that an index listed *before* and does not list *after*; none if a remaining entry refers to
    such an image, or cannot be read."""
    kept = tuple(after)
    listed = {entry.digest for entry in kept}
    gone = [entry for entry in before if entry.digest not in listed]
    try:
        if not gone or referring_digests(read, kept, {entry.digest for entry in gone}):
            return set()
        return owned_blobs(read, gone)
    except EciError:
        return set()


def _document(read: Read, entry: Descriptor) -> Manifest | Index | None:
    """The manifest or index *entry*; None if it cannot be read or is neither."""
    try:
        content = read(blob_path(entry.digest))
        entry.digest.check(content, f"manifest {entry.digest.short}")
        return parse_manifest(content, entry.media_type)
    except (FormatError, IntegrityError, NotFoundError):
        return None


def _documents_below(data: Mapping[str, Any]) -> Iterator[Descriptor]:
    """The entries of an index, parsed as JSON; none for other documents."""
    for entry in json_fields.optional(data, "manifests", list, "index", []):
        if isinstance(entry, dict):
            yield Descriptor.parse(entry, "index.manifests")
