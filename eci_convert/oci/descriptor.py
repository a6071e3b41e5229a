"""Descriptor: media type, size and digest of a blob (image-spec v1.1, descriptor.md)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from eci_convert.errors import FormatError, LimitExceededError
from eci_convert.oci import json_fields
from eci_convert.oci.digest import Digest
from eci_convert.oci.json_fields import Fields
from eci_convert.oci.platform import Platform

MAX_LAYERS = 2000
"""The number of layers, or of manifests in an index. Docker stops at 127 layers."""

MAX_SIZE = 2**63 - 1

_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """The media type, digest and size in bytes of a blob (image-spec v1.1.1, descriptor.md)."""

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
            platform=Platform.from_json(platform, f"{where}.platform") if platform else None,
            artifact_type=json_fields.optional(data, "artifactType", str, where, ""),
            urls=tuple(json_fields.typed(url, str, f"{where}.urls[{index}]") for index, url in enumerate(urls)),
            data=_embedded(data, where),
        )

    @classmethod
    def of(cls, content: bytes, media_type: str, annotations: Mapping[str, str] = _NOTHING) -> Self:
        """The descriptor of *content*."""
        return cls(media_type=media_type, digest=Digest.of(content), size=len(content), annotations=dict(annotations))

    def json(self) -> dict[str, Any]:
        """The JSON object, without absent fields, in the order of Go's `specs-go`."""
        fields: dict[str, Any] = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.urls:
            fields["urls"] = list(self.urls)
        if self.annotations:
            fields["annotations"] = dict(sorted(self.annotations.items()))
        if self.data is not None:
            fields["data"] = base64.b64encode(self.data).decode()
        if self.platform:
            fields["platform"] = self.platform.json()
        if self.artifact_type:
            fields["artifactType"] = self.artifact_type
        return fields


def descriptors(data: Fields, key: str, where: str) -> tuple[Descriptor, ...]:
    values: Sequence[Any] = json_fields.optional(data, key, list, where, [])
    if len(values) > MAX_LAYERS:
        raise LimitExceededError(f"{len(values)} entries (limit {MAX_LAYERS})", where=f"{where}.{key}")
    return tuple(
        Descriptor.parse(json_fields.typed(entry, dict, f"{where}.{key}[{index}]"), f"{where}.{key}[{index}]")
        for index, entry in enumerate(values)
    )


def _embedded(data: Fields, where: str) -> bytes | None:
    text = json_fields.optional(data, "data", str, where, "")
    if "data" not in data or data["data"] is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise FormatError("not base64", where=f"{where}.data") from error
