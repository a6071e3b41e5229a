"""The index of an OCI image layout, independent of storage (image-spec v1.1.1, image-layout.md): resolving a name, and
adding an image.

Deviations found in practice are accepted: no `oci-layout` file, `schemaVersion` 0, `"manifests": null`, duplicate
entries.
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
"""Reads a small file by its path in the layout. Raises NotFoundError, and FormatError for anything but a file."""


def blob_path(digest: Digest) -> str:
    """The path of a blob in a layout.

    >>> blob_path(Digest.of(b""))[:20]
    'blobs/sha256/e3b0c44'
    """
    return f"blobs/{digest.algorithm}/{digest.hex}"


def layout_entries(read: Read, origin: str) -> tuple[Descriptor, ...]:
    """The entries of index.json. Raises NotFoundError, and FormatError for a layout of another version."""
    _check_version(read, origin)
    try:
        content = read(INDEX)
    except NotFoundError as error:
        raise NotFoundError(f"{origin}: not an OCI image layout: {error}") from error
    parsed = parse_manifest(content, media_types.OCI_INDEX, f"{origin}: {INDEX}")
    return parsed.manifests if isinstance(parsed, Index) else ()


def resolve_entry(read: Read, name: ImageSelector, origin: str) -> Descriptor:
    """The entry that *name* refers to.

    Several images with one name and distinct platforms are combined into an index, which is synthesised and embedded in
    its descriptor. Raises NotFoundError, and UnsupportedImageError for an ambiguous name.
    """
    entries = layout_entries(read, origin)
    matches = select_entries(entries, name)
    if len(matches) > 1 and not str(name):
        matches = _without_referrers(read, matches) or matches
    if not matches and (digest := name.digest or _whole_id(name.text)):
        matches = tuple(_unlisted(read, digest))
    if len(matches) > 1 and all(is_id_prefix(name.text, entry.digest) for entry in matches):
        raise ambiguous_error(origin, matches, name, entries)
    if not matches:
        raise no_match_error(origin, entries, name)
    entry = matches[0] if len(matches) == 1 else _joined(matches)
    if entry is None:
        raise ambiguous_error(origin, matches, name, entries)
    return entry


def referrers(read: Read, origin: str, subject: Digest) -> tuple[Descriptor, ...]:
    """The manifests whose subject is *subject*, among those listed in index.json or in an index with the referrers tag
    (distribution-spec v1.1.1, "Referrers Tag Schema")."""
    entries = layout_entries(read, origin)
    tag = f"{subject.algorithm}-{subject.hex}"
    tagged = [entry for entry in entries if entry.annotations.get(REF_NAME) == tag]
    listed = [child for entry in tagged for child in _children(_read_verified(read, entry))]
    verified = (referrer(entry, _read_verified(read, entry), subject) for entry in distinct((*entries, *listed)))
    return tuple(entry for entry in verified if entry)


def _children(content: bytes) -> tuple[Descriptor, ...]:
    """The entries of the index *content*; empty if it is not an index: then the tag has another meaning."""
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
    """index.json (*content*, None if there is none) with *manifest* as *name*, replacing the entry of that name.

    *variants* are listed as *name* with each key appended; without a name, once. *first* lists *manifest* before all
    others: the original `eci` uses the first entry, whatever its name (docs/specs/eci.md#D3). The referrers *beside*
    are listed once, without a name. Other entries and unknown fields are kept. With an empty *name* the image is listed
    once, unnamed. Raises FormatError if *content* is not an index.
    """
    index: dict[str, Any] = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX}
    if content is not None:
        parse_manifest(content, media_types.OCI_INDEX, INDEX)
        index = {**json_fields.document(content, INDEX), "schemaVersion": 2}
    entries_by_name = {name: manifest} | {
        name + suffix if name else suffix: entry for suffix, entry in variants.items()
    }
    kept: list[Any] = index.get("manifests") or []
    for title, entry in entries_by_name.items():
        kept = [each for each in kept if not _is_replaced(each, entry, title if name else "")]
    present = {entry["digest"] for entry in kept}
    entries = [_listed(entry, {}) for entry in beside if str(entry.digest) not in present]
    entries += [
        _listed(entry, {REF_NAME: title} if name else {}) for title, entry in entries_by_name.items() if title != name
    ]
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


def _is_replaced(entry: json_fields.Fields, manifest: Descriptor, name: str) -> bool:
    """Whether *entry* is replaced by *manifest* under *name*: `NAME@DIGEST` is how the original `eci` writes it."""
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
    """A manifest that is listed only in an index within the layout, or not at all."""
    try:
        content = read(blob_path(digest))
    except NotFoundError:
        return
    digest.check(content, f"manifest {digest.short}")
    yield Descriptor(media_type=parse_manifest(content, "").media_type, digest=digest, size=len(content))


def _whole_id(text: str) -> Digest | None:
    """The digest *text*, if it is a complete one."""
    return Digest.parse(f"sha256:{digits(text)}") if is_id(text) and len(digits(text)) == 64 else None


def _joined(entries: Sequence[Descriptor]) -> Descriptor | None:
    """*entries* combined into an index, or None if two of them have the same platform."""
    images = candidates(Index(manifests=tuple(entries)))
    if len(images) == 1:
        return images[0]
    platforms = {str(entry.platform) for entry in images if entry.platform}
    if len(platforms) < len(images) or not images:
        return None
    text = to_json(Index(manifests=tuple(replace(entry, annotations={}) for entry in images)))
    return replace(Descriptor.of(text, media_types.OCI_INDEX), data=text)


def _without_referrers(read: Read, entries: Sequence[Descriptor]) -> tuple[Descriptor, ...]:
    """Those of *entries* that have no subject, and are not listed by an index among *entries*."""
    manifests = {entry.digest: _parsed(entry, _read_verified(read, entry)) for entry in entries}
    indexes = [manifest_parsed for manifest_parsed in manifests.values() if isinstance(manifest_parsed, Index)]
    inner = {child.digest for index in indexes for child in index.manifests}
    return tuple(
        entry
        for entry in entries
        if entry.digest not in inner and not ((manifest_parsed := manifests[entry.digest]) and manifest_parsed.subject)
    )


def _parsed(entry: Descriptor, content: bytes) -> Manifest | Index | None:
    try:
        return parse_manifest(content, entry.media_type)
    except EciError:  # not a manifest, so it has no subject
        return None


def _read_verified(read: Read, entry: Descriptor) -> bytes:
    """The manifest of *entry*; empty if it is missing or too large."""
    if entry.size > json_fields.MAX_DOCUMENT:
        return b""
    try:
        content = read(blob_path(entry.digest))
    except NotFoundError:
        return b""
    entry.digest.check(content, f"manifest {entry.digest.short}")
    return content
