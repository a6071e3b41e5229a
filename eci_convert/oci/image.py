"""ImageMetadata: manifest, config and platform of an image together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from eci_convert.oci import json_fields
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Manifest
from eci_convert.oci.platform import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageMetadata:
    """The manifest and config of one image, verified: all that a dialect gets to see.

    *descriptor* is the manifest's. *config* is empty for a config blob that is not that of a container image, except
    for its `fields` if it is a JSON object.
    """

    descriptor: Descriptor
    manifest: Manifest
    config: ImageConfig
    platform: Platform | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """The fields of a config blob that dialects and checks rely on (image-spec v1.1.1, config.md).

    *fields* is the whole JSON object; it is empty, like everything else, for a config that is not a JSON object.
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
            platform=Platform.from_json(data, where) if has_platform else None,
            labels=json_fields.strings(settings, "Labels", f"{where}.config"),
            diff_ids=tuple(
                Digest.parse(json_fields.typed(text, str, at), where=at)
                for text, at in ((text, f"{where}.rootfs.diff_ids[{index}]") for index, text in enumerate(diff_ids))
            ),
            created=json_fields.optional(data, "created", str, where, ""),
        )
