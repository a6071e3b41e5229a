"""Manifests as frozen values (image-spec v1.1.1; Docker image manifest v2 schema 2).

Parsing is strict about fields that we use and ignores others; callers keep the original bytes, because digests are of
bytes and not of values. `to_json` is deterministic.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eci_convert.errors import FormatError
from eci_convert.oci import json_fields, media_types
from eci_convert.oci.descriptor import Descriptor, descriptors
from eci_convert.oci.index import Index, parse_index
from eci_convert.oci.json_fields import Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One image: a config and layers, lowest layer first (image-spec v1.1.1, manifest.md)."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    media_type: str = media_types.OCI_MANIFEST
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    artifact_type: str = ""
    subject: Descriptor | None = None
    schema_version: int = 2

    def json(self) -> dict[str, Any]:
        """The JSON object, in the order of Go's `specs-go`, of schema version 2."""
        fields: dict[str, Any] = {"schemaVersion": 2, "mediaType": self.media_type}
        if self.artifact_type:
            fields["artifactType"] = self.artifact_type
        fields["config"] = self.config.json()
        fields["layers"] = [layer.json() for layer in self.layers]
        if self.subject:
            fields["subject"] = self.subject.json()
        if self.annotations:
            fields["annotations"] = dict(sorted(self.annotations.items()))
        return fields


def parse_manifest(content: bytes, media_type: str, where: str = "manifest") -> Manifest | Index:
    """The manifest or index *content* of the type *media_type* ("": as its own field says).

    A `schemaVersion` that is 0, as written by the original `eci` (docs/specs/eci.md#D2), or missing, is accepted, and
    kept as 0. Raises FormatError for schema 1, for content that is both a manifest and an index, and if its own media
    type contradicts *media_type* in kind.
    """
    data = json_fields.document(content, where)
    if data.get("schemaVersion") == 1 or media_type in media_types.DOCKER_SCHEMA1:
        raise FormatError(
            "Docker image manifest schema 1 is not supported; push the image again with a newer tool", where=where
        )
    version = json_fields.optional(data, "schemaVersion", int, where, 0)
    if version not in (0, 2):
        raise FormatError(f"{version} is not 2", where=f"{where}.schemaVersion")
    own = json_fields.optional(data, "mediaType", str, where, "")
    claimed = own or (media_type if media_type in media_types.DOCUMENTS else "")
    if (
        own
        and media_type in media_types.DOCUMENTS
        and (own in media_types.INDEXES) != (media_type in media_types.INDEXES)
    ):
        raise FormatError(f"has the media type {own!r}, expected {media_type!r}", where=f"{where}.mediaType")
    if "manifests" in data and ("layers" in data or "config" in data):
        raise FormatError("is both a manifest and an index", where=where)
    if "manifests" in data:
        if claimed in media_types.MANIFESTS:
            raise FormatError(f"is an index, but has the media type {claimed!r}", where=where)
        return parse_index(data, claimed or media_types.OCI_INDEX, where)
    if claimed in media_types.INDEXES:
        raise FormatError("missing", where=f"{where}.manifests")
    return _manifest(data, claimed or media_types.OCI_MANIFEST, where)


def to_json(document: Manifest | Index | Mapping[str, Any]) -> bytes:
    """Compact JSON of *document* in its order, as Go's encoder writes it (`<`, `>`, `&` escaped)."""
    value = document if isinstance(document, Mapping) else document.json()
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def _manifest(data: Fields, media_type: str, where: str) -> Manifest:
    subject = json_fields.optional(data, "subject", dict, where, {})
    return Manifest(
        media_type=media_type,
        config=Descriptor.parse(json_fields.required(data, "config", dict, where), f"{where}.config"),
        layers=descriptors(data, "layers", where),
        annotations=json_fields.strings(data, "annotations", where),
        artifact_type=json_fields.optional(data, "artifactType", str, where, ""),
        subject=Descriptor.parse(subject, f"{where}.subject") if subject else None,
        schema_version=data.get("schemaVersion") or 0,
    )
