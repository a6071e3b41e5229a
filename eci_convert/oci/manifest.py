"""The documents of an image as frozen values (image-spec v1.1.1; Docker image manifest v2 schema 2).

Reading is strict about what we rely on and silent about what we do not know; the original bytes stay with whoever
fetched them, because a digest is of bytes and not of values. Writing is deterministic: `rendered`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from eci_convert.errors import FormatError, LimitExceeded
from eci_convert.oci import json_fields, media_types
from eci_convert.oci.digest import Digest
from eci_convert.oci.json_fields import Fields

MAX_LAYERS = 2000
"""Layers, or manifests in an index, that one document may list. Docker stops at 127 layers."""

MAX_SIZE = 2**63 - 1

_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What an image runs on (image-spec v1.1.1, image-index.md): Go's words, as in `linux/arm64/v8`."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    @classmethod
    def parse(cls, data: Fields, where: str) -> Self:
        """The platform that the JSON object *data* tells. Raises FormatError."""
        features = json_fields.optional(data, "os.features", list, where, [])
        return cls(
            os=json_fields.optional(data, "os", str, where, ""),
            architecture=json_fields.optional(data, "architecture", str, where, ""),
            variant=json_fields.optional(data, "variant", str, where, ""),
            os_version=json_fields.optional(data, "os.version", str, where, ""),
            os_features=tuple(
                json_fields.typed(text, str, f"{where}.os.features[{index}]") for index, text in enumerate(features)
            ),
        )

    def json(self) -> dict[str, Any]:
        """The JSON object, empty fields left out but os and architecture, which always stand."""
        rest = {"os.version": self.os_version, "os.features": list(self.os_features), "variant": self.variant}
        return {"architecture": self.architecture, "os": self.os} | {key: value for key, value in rest.items() if value}

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A promise about a blob: its media type, digest and size in bytes (image-spec v1.1.1, descriptor.md)."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    platform: Platform | None = None
    artifact_type: str = ""
    urls: tuple[str, ...] = ()
    data: bytes | None = None

    @classmethod
    def parse(cls, data: Fields, where: str) -> Self:
        """The descriptor in the JSON object *data*. Raises FormatError, located below *where*."""
        size = json_fields.required(data, "size", int, where)
        if not 0 <= size <= MAX_SIZE:
            raise FormatError(f"{size} is not a size", where=f"{where}.size")
        platform = json_fields.optional(data, "platform", dict, where, {})
        urls = json_fields.optional(data, "urls", list, where, [])
        return cls(
            media_type=json_fields.optional(data, "mediaType", str, where, ""),
            digest=Digest.parse(json_fields.required(data, "digest", str, where), where=f"{where}.digest"),
            size=size,
            annotations=json_fields.strings(data, "annotations", where),
            platform=Platform.parse(platform, f"{where}.platform") if platform else None,
            artifact_type=json_fields.optional(data, "artifactType", str, where, ""),
            urls=tuple(json_fields.typed(url, str, f"{where}.urls[{index}]") for index, url in enumerate(urls)),
            data=_embedded(data, where),
        )

    @classmethod
    def of(cls, content: bytes, media_type: str, annotations: Mapping[str, str] = _NOTHING) -> Self:
        """The descriptor of *content*."""
        return cls(media_type=media_type, digest=Digest.of(content), size=len(content), annotations=dict(annotations))

    def json(self) -> dict[str, Any]:
        """The JSON object, with absent fields left out, in the order of Go's `specs-go`."""
        found: dict[str, Any] = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.urls:
            found["urls"] = list(self.urls)
        if self.annotations:
            found["annotations"] = dict(sorted(self.annotations.items()))
        if self.data is not None:
            found["data"] = base64.b64encode(self.data).decode()
        if self.platform:
            found["platform"] = self.platform.json()
        if self.artifact_type:
            found["artifactType"] = self.artifact_type
        return found


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
        found: dict[str, Any] = {"schemaVersion": 2, "mediaType": self.media_type}
        if self.artifact_type:
            found["artifactType"] = self.artifact_type
        found["config"] = self.config.json()
        found["layers"] = [layer.json() for layer in self.layers]
        if self.subject:
            found["subject"] = self.subject.json()
        if self.annotations:
            found["annotations"] = dict(sorted(self.annotations.items()))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Several images under one name (image-spec v1.1.1, image-index.md; Docker manifest list)."""

    manifests: tuple[Descriptor, ...]
    media_type: str = media_types.OCI_INDEX
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    artifact_type: str = ""
    subject: Descriptor | None = None
    schema_version: int = 2

    def json(self) -> dict[str, Any]:
        """The JSON object, in the order of Go's `specs-go`, of schema version 2."""
        found: dict[str, Any] = {"schemaVersion": 2, "mediaType": self.media_type}
        if self.artifact_type:
            found["artifactType"] = self.artifact_type
        found["manifests"] = [entry.json() for entry in self.manifests]
        if self.subject:
            found["subject"] = self.subject.json()
        if self.annotations:
            found["annotations"] = dict(sorted(self.annotations.items()))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """What a config blob tells that dialects and checks rely on (image-spec v1.1.1, config.md).

    *fields* is the whole JSON object; it is empty, as is all else, for a config that is not a JSON object.
    *diff_ids* are in the order of the layers, lowest first.
    """

    fields: Mapping[str, Any] = field(default_factory=dict, hash=False)
    platform: Platform | None = None
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    diff_ids: tuple[Digest, ...] = ()
    created: str = ""

    @classmethod
    def parse(cls, content: bytes, where: str = "config") -> Self:
        """The config of a container image. Raises FormatError."""
        data = json_fields.document(content, where)
        settings = json_fields.optional(data, "config", dict, where, {})
        rootfs = json_fields.optional(data, "rootfs", dict, where, {})
        diff_ids = json_fields.optional(rootfs, "diff_ids", list, f"{where}.rootfs", [])
        has_platform = bool(data.get("os") or data.get("architecture"))
        return cls(
            fields=data,
            platform=Platform.parse(data, where) if has_platform else None,
            labels=json_fields.strings(settings, "Labels", f"{where}.config"),
            diff_ids=tuple(
                Digest.parse(json_fields.typed(text, str, at), where=at)
                for text, at in ((text, f"{where}.rootfs.diff_ids[{index}]") for index, text in enumerate(diff_ids))
            ),
            created=json_fields.optional(data, "created", str, where, ""),
        )


def parse(content: bytes, media_type: str, where: str = "manifest") -> Manifest | Index:
    """The manifest or index in *content*, which was found under *media_type* (may be empty: then it says itself).

    A `schemaVersion` that is 0, as the original `eci` writes it (specs/eci.md, D2), or absent, is read as if it were 2,
    and told as 0. Raises FormatError for schema 1, for a document that is both a manifest and an index, and for one
    whose own media type contradicts *media_type* in kind.
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
        raise FormatError(f"says {own!r} where {media_type!r} was promised", where=f"{where}.mediaType")
    if "manifests" in data and ("layers" in data or "config" in data):
        raise FormatError("is both a manifest and an index", where=where)
    if "manifests" in data:
        if claimed in media_types.MANIFESTS:
            raise FormatError(f"is an index but says {claimed!r}", where=where)
        return _index(data, claimed or media_types.OCI_INDEX, where)
    if claimed in media_types.INDEXES:
        raise FormatError("missing", where=f"{where}.manifests")
    return _manifest(data, claimed or media_types.OCI_MANIFEST, where)


def rendered(document: Manifest | Index | Mapping[str, Any]) -> bytes:
    """The JSON text of *document*: compact, in the order given, as Go's encoder writes it (`<`, `>`, `&` escaped)."""
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
        layers=_descriptors(data, "layers", where),
        annotations=json_fields.strings(data, "annotations", where),
        artifact_type=json_fields.optional(data, "artifactType", str, where, ""),
        subject=Descriptor.parse(subject, f"{where}.subject") if subject else None,
        schema_version=data.get("schemaVersion") or 0,
    )


def _index(data: Fields, media_type: str, where: str) -> Index:
    subject = json_fields.optional(data, "subject", dict, where, {})
    return Index(
        media_type=media_type,
        manifests=_descriptors(data, "manifests", where),
        annotations=json_fields.strings(data, "annotations", where),
        artifact_type=json_fields.optional(data, "artifactType", str, where, ""),
        subject=Descriptor.parse(subject, f"{where}.subject") if subject else None,
        schema_version=data.get("schemaVersion") or 0,
    )


def _descriptors(data: Fields, key: str, where: str) -> tuple[Descriptor, ...]:
    found: Sequence[Any] = json_fields.optional(data, key, list, where, [])
    if len(found) > MAX_LAYERS:
        raise LimitExceeded(f"{len(found)} entries (limit {MAX_LAYERS})", where=f"{where}.{key}")
    return tuple(
        Descriptor.parse(json_fields.typed(entry, dict, f"{where}.{key}[{index}]"), f"{where}.{key}[{index}]")
        for index, entry in enumerate(found)
    )


def _embedded(data: Fields, where: str) -> bytes | None:
    text = json_fields.optional(data, "data", str, where, "")
    if "data" not in data or data["data"] is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise FormatError("not base64", where=f"{where}.data") from error
