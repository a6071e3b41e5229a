"""IndexEntries: adds and removes names in index.json. Unknown fields and entries of other programs are preserved."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from eci_convert.errors import LimitExceededError
from eci_convert.oci import json_fields, media_types
from eci_convert.oci.annotations import IMAGE_NAME, REF_NAME
from eci_convert.oci.descriptor import MAX_LAYERS, Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import parse_manifest, to_json
from eci_convert.transports.base import shared_id_error
from eci_convert.transports.ids import is_id
from eci_convert.transports.layout.selector import (
    ImageSelector,
    ambiguous_error,
    distinct,
    no_match_error,
    same_reference,
    select_entries,
)

Record = dict[str, Any]
Removed = tuple[tuple[str, Descriptor], ...]
"""Removed names, "" for an image without one, and the manifest or index each referred to."""

_INDEX = "index.json"
_NAMES = (IMAGE_NAME, REF_NAME)
"""The annotations with an entry's name: the first holds the full name, the other, if written by containerd, the tag."""


class IndexEntries:
    """The entries of an index.json (*content*), to be changed. *origin* is for messages. Raises FormatError."""

    def __init__(self, content: bytes, origin: str) -> None:
        parse_manifest(content, media_types.OCI_INDEX, f"{origin}: {_INDEX}")
        self._origin = origin
        self._fields = {**json_fields.document(content, _INDEX), "schemaVersion": 2}
        self._records: list[Record] = list(self._fields.get("manifests") or [])

    @property
    def descriptors(self) -> tuple[Descriptor, ...]:
        """All entries, in the order of the index."""
        return tuple(Descriptor.parse(record, f"{_INDEX}.manifests[{at}]") for at, record in enumerate(self._records))

    def to_json(self) -> bytes:
        """The content of index.json. Raises LimitExceededError."""
        if len(self._records) > MAX_LAYERS:
            raise LimitExceededError(f"it would have {len(self._records)} entries (limit {MAX_LAYERS})", where=_INDEX)
        text = to_json({**self._fields, "manifests": self._records})
        if len(text) > json_fields.MAX_DOCUMENT:
            raise LimitExceededError(f"it would be {len(text)} bytes (limit {json_fields.MAX_DOCUMENT})", where=_INDEX)
        return text

    def tag(self, name: ImageSelector, new: Sequence[str]) -> Descriptor:
        """Adds each of *new* as a name of the image *name*, and returns it; an image that loses its last name is kept
        unnamed.

        Raises NotFoundError, and UnsupportedImageError if *name* matches several images.
        """
        selected = self._selected(name)
        digests = {entry.digest for entry in selected}
        sources = list({record["digest"]: record for record in self._records if _is_one(record, digests)}.values())
        kept = [record for record in self._records if not set(new) & set(_names(record))]
        lost = [record for record in self._records if set(new) & set(_names(record))]
        named = {record["digest"] for record in kept} | {str(digest) for digest in digests}
        kept += [_renamed(record, "") for record in lost if record["digest"] not in named]
        kept = [record for record in kept if _names(record) or not _is_one(record, digests)]
        self._records = [*kept, *(_renamed(source, title) for title in new for source in sources)]
        return selected[0]

    def remove(self, names: Sequence[ImageSelector], *, all_tags: bool) -> Removed:
        """Removes the entries of *names*; with the last name of an image, its entries without a name too.

        Raises NotFoundError, UnsupportedImageError for a name that matches several images, and UsageError for an id
        with several names unless *all_tags*.
        """
        to_delete: list[Record] = []
        for name in names:
            to_delete += self._to_delete(name, all_tags=all_tags)
        kept = [record for record in self._records if all(record is not each for each in to_delete)]
        named = {record["digest"] for record in kept if _names(record)}
        gone = {record["digest"] for record in to_delete} - named
        self._records = [record for record in kept if record["digest"] not in gone]
        titles = {(title, record["digest"]): record for record in to_delete for title in _names(record)[:1] or [""]}
        return tuple((title, Descriptor.parse(record, _INDEX)) for (title, _), record in titles.items())

    def drop(self, digests: Collection[Digest]) -> None:
        """Removes the unnamed entries of *digests*."""
        self._records = [record for record in self._records if _names(record) or not _is_one(record, digests)]

    def _to_delete(self, name: ImageSelector, *, all_tags: bool) -> list[Record]:
        digests = {entry.digest for entry in self._selected(name)}
        records = [record for record in self._records if _is_one(record, digests)]
        titled = _titled(records, name)
        if name.digest and name.text and not titled:
            raise no_match_error(self._origin, self.descriptors, name)
        if titled and not all_tags:
            return titled
        if len(titles := {title for record in records for title in _names(record)[:1]}) > 1 and not all_tags:
            raise shared_id_error(self._origin, str(name), titles)
        return records

    def _selected(self, name: ImageSelector) -> tuple[Descriptor, ...]:
        entries = self.descriptors
        selected = select_entries(entries, name)
        if not selected:
            raise no_match_error(self._origin, entries, name)
        if len(selected) > 1 and not _titled(
            [entry.json() for entry in selected], name
        ):  # one name may have an image for each of several platforms
            raise ambiguous_error(self._origin, distinct(selected), name, entries)
        return selected


def _names(record: Mapping[str, Any]) -> list[str]:
    annotations = record.get("annotations") or {}
    return list(dict.fromkeys(annotations[key] for key in _NAMES if annotations.get(key)))


def _is_one(record: Record, digests: Collection[Digest]) -> bool:
    return record["digest"] in set(map(str, digests))


def _titled(records: Sequence[Record], name: ImageSelector) -> list[Record]:
    """Those of *records* whose name is *name*, by the first spelling that matches any; abbreviated ids do not match."""
    if not name.text or is_id(name.text):
        return []
    spellings: tuple[Callable[[str, Record], bool], ...] = (
        lambda title, _: title == name.text,
        lambda title, record: title == f"{name.text}@{record['digest']}",
        lambda title, _: same_reference(title, name.text),
    )
    for is_spelt in spellings:
        if titled := [record for record in records if any(is_spelt(title, record) for title in _names(record))]:
            return titled
    return []


def _renamed(record: Record, name: str) -> Record:
    """*record* with the name *name*; without a name if that is ""."""
    annotations = {key: text for key, text in (record.get("annotations") or {}).items() if key not in _NAMES}
    if name:
        annotations[REF_NAME] = name
    rest = {key: value for key, value in record.items() if key != "annotations"}
    return {**rest, "annotations": annotations} if annotations else rest


def entry_name(entry: Descriptor) -> str:
    """The name of an entry of index.json: containerd's annotation, else the OCI one; "" if it has none."""
    name = entry.annotations.get(IMAGE_NAME) or entry.annotations.get(REF_NAME) or ""
    return name.removesuffix(f"@{entry.digest}")
