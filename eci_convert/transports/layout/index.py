"""An OCI image layout, whatever holds its files (image-spec v1.1.1, image-layout.md): which image a name stands for
there, and what index.json says once another image has come.

Reading takes what tools have written: no `oci-layout` file, `schemaVersion` 0, `"manifests": null`, an image listed
twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from eci_convert.errors import EciError, FormatError, LimitExceededError, NotFoundError
from eci_convert.oci import json_fields, media_types
from eci_convert.oci.annotations import REF_NAME
from eci_convert.oci.descriptor import MAX_LAYERS, Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index, candidates
from eci_convert.oci.manifest import Manifest, parse_manifest, to_json
from eci_convert.oci.referrers import referrer
from eci_convert.transports.ids import digits, is_id, is_id_prefix
from eci_convert.transports.layout.selector import (
    ImageSelector,
    ambiguous_error,
    distinct,
    no_match_error,
    select_entries,
)

INDEX = "index.json"
MARKER = "oci-layout"
MARKER_TEXT = b'{"imageLayoutVersion":"1.0.0"}'

Read = Callable[[str], bytes]
"""The whole of a small file by its path in the layout. Raises NotFound, and FormatError for what is no file."""


def blob_path(digest: Digest) -> str:
    """Where a layout keeps the blob.

    >>> blob_path(Digest.of(b""))[:20]
    'blobs/sha256/e3b0c44'
    """
    return f"blobs/{digest.algorithm}/{digest.hex}"


def list_images(read: Read, origin: str) -> tuple[Descriptor, ...]:
    """What index.json lists. Raises NotFound, and FormatError for a layout of another version."""
    _check_version(read, origin)
    try:
        content = read(INDEX)
    except NotFoundError as error:
        raise NotFoundError(f"{origin}: no OCI image layout is there: {error}") from error
    found = parse_manifest(content, media_types.OCI_INDEX, f"{origin}: {INDEX}")
    return found.manifests if isinstance(found, Index) else ()


def resolve(read: Read, name: ImageSelector, origin: str) -> Descriptor:
    """What *name* stands for in the layout.

    Several images under one name are one index if each is for a platform of its own; it is made up, and comes inside
    its descriptor. Raises NotFound, and LayoutError for a name that stands for several.
    """
    entries = list_images(read, origin)
    found = select_entries(entries, name)
    if len(found) > 1 and not str(name):
        found = _without_referrers(read, found) or found
    if not found and (digest := name.digest or _whole_id(name.text)):
        found = tuple(_unlisted(read, digest))
    if len(found) > 1 and all(is_id_prefix(name.text, entry.digest) for entry in found):
        raise ambiguous_error(origin, found, name, entries)
    if not found:
        raise no_match_error(origin, entries, name)
    one = found[0] if len(found) == 1 else _joined(found)
    if one is None:
        raise ambiguous_error(origin, found, name, entries)
    return one


def referrers(read: Read, origin: str, subject: Digest) -> tuple[Descriptor, ...]:
    """The manifests whose subject is *subject*, of those that index.json lists itself or in an index under the
    referrers tag (distribution-spec v1.1.1, "Referrers Tag Schema")."""
    entries = list_images(read, origin)
    tag = f"{subject.algorithm}-{subject.hex}"
    tagged = [entry for entry in entries if entry.annotations.get(REF_NAME) == tag]
    listed = [child for entry in tagged for child in _children(_verified_document(read, entry))]
    found = (referrer(entry, _verified_document(read, entry), subject) for entry in distinct((*entries, *listed)))
    return tuple(entry for entry in found if entry)


def _children(content: bytes) -> tuple[Descriptor, ...]:
    """What the index *content* lists; nothing where it is none: then the tag means something else."""
    try:
        index = parse_manifest(content, "")
    except EciError:
        return ()
    return index.manifests if isinstance(index, Index) else ()


def add_image(
    content: bytes | None,
    manifest: Descriptor,
    name: str,
    beside: Iterable[Descriptor] = (),
    variants: Mapping[str, Descriptor] = MappingProxyType({}),
    *,
    first: bool = False,
) -> bytes:
    """index.json (*content*, None where there is none) with *manifest* under *name*, and without what stood there.

    *variants* are listed under *name* with each key behind it; without a name, once. *first* puts *manifest* before
    all others: the original `eci` takes the first entry, whatever its name (docs/specs/eci.md#D3). *beside* are what
    refers to it: they are listed without a name, once. What others wrote stays, fields that nobody here knows too. With
    an empty *name* the image is listed once, unnamed. Raises FormatError if *content* is no index.
    """
    index: dict[str, Any] = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX}
    if content is not None:
        parse_manifest(content, media_types.OCI_INDEX, INDEX)
        index = {**json_fields.document(content, INDEX), "schemaVersion": 2}
    called = {name: manifest} | {name + suffix if name else suffix: entry for suffix, entry in variants.items()}
    kept: list[Any] = index.get("manifests") or []
    for title, entry in called.items():
        kept = [each for each in kept if not _replaced(each, entry, title if name else "")]
    there = {entry["digest"] for entry in kept}
    entries = [_listed(entry, {}) for entry in beside if str(entry.digest) not in there]
    entries += [_listed(entry, {REF_NAME: title} if name else {}) for title, entry in called.items() if title != name]
    own = _listed(manifest, {REF_NAME: name} if name else {})
    index["manifests"] = [own, *kept, *entries] if first else [*kept, *entries, own]
    if len(index["manifests"]) > MAX_LAYERS:
        raise LimitExceededError(f"it would have {len(index['manifests'])} entries (limit {MAX_LAYERS})", where=INDEX)
    text = to_json(index)
    if len(text) > json_fields.MAX_DOCUMENT:
        raise LimitExceededError(f"it would be {len(text)} bytes (limit {json_fields.MAX_DOCUMENT})", where=INDEX)
    return text


def _listed(entry: Descriptor, annotations: Mapping[str, str]) -> dict[str, Any]:
    return replace(entry, annotations=annotations, platform=None, data=None, urls=()).json()


def _replaced(entry: json_fields.Fields, manifest: Descriptor, name: str) -> bool:
    """Whether *entry* goes where *manifest* comes under *name*: `NAME@DIGEST` is how the original `eci` spells it."""
    own = (entry.get("annotations") or {}).get(REF_NAME, "")
    if name:
        return own in (name, f"{name}@{entry['digest']}")
    return bool(own == name and entry["digest"] == str(manifest.digest))


def _check_version(read: Read, origin: str) -> None:
    where = f"{origin}: {MARKER}"
    try:
        content = read(MARKER)
    except NotFoundError:
        return
    version = json_fields.required(json_fields.document(content, where), "imageLayoutVersion", str, where)
    if version != "1.0.0":
        raise FormatError(f"{version!r} is not 1.0.0", where=f"{where}.imageLayoutVersion")


def _unlisted(read: Read, digest: Digest) -> Iterator[Descriptor]:
    """A manifest that only an index within the layout lists."""
    try:
        content = read(blob_path(digest))
    except NotFoundError:
        return
    digest.check(content, f"manifest {digest.short}")
    yield Descriptor(media_type=parse_manifest(content, "").media_type, digest=digest, size=len(content))


def _whole_id(text: str) -> Digest | None:
    """The digest that *text* is, if it is all of one."""
    return Digest.parse(f"sha256:{digits(text)}") if is_id(text) and len(digits(text)) == 64 else None


def _joined(entries: Sequence[Descriptor]) -> Descriptor | None:
    """The index that *entries* are, or None if two of them are for one platform."""
    found = candidates(Index(manifests=tuple(entries)))
    if len(found) == 1:
        return found[0]
    platforms = {str(entry.platform) for entry in found if entry.platform}
    if len(platforms) < len(found) or not found:
        return None
    text = to_json(Index(manifests=tuple(replace(entry, annotations={}) for entry in found)))
    return replace(Descriptor.of(text, media_types.OCI_INDEX), data=text)


def _without_referrers(read: Read, entries: Sequence[Descriptor]) -> tuple[Descriptor, ...]:
    """Those of *entries* that refer to nothing, and that no index among *entries* lists."""
    documents = {entry.digest: _parsed(entry, _verified_document(read, entry)) for entry in entries}
    indexes = [document for document in documents.values() if isinstance(document, Index)]
    inner = {child.digest for index in indexes for child in index.manifests}
    return tuple(
        entry
        for entry in entries
        if entry.digest not in inner and not ((document := documents[entry.digest]) and document.subject)
    )


def _parsed(entry: Descriptor, content: bytes) -> Manifest | Index | None:
    try:
        return parse_manifest(content, entry.media_type)
    except EciError:  # what is no manifest refers to nothing
        return None


def _verified_document(read: Read, entry: Descriptor) -> bytes:
    """The document that *entry* promises; nothing where there is none that is worth reading."""
    if entry.size > json_fields.MAX_DOCUMENT:
        return b""
    try:
        content = read(blob_path(entry.digest))
    except NotFoundError:
        return b""
    entry.digest.check(content, f"manifest {entry.digest.short}")
    return content
