"""manifest.json, the table of contents of archives of `docker save` (moby, image/spec/v1.2.md): the files of an image's
config and layers. Its only digests are those of the config: the image id, and the layers' diff ids."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from eci_convert.errors import (
    DigestMismatchError,
    FormatError,
    LimitExceededError,
    NotFoundError,
    UnsupportedImageError,
    quoted_list,
)
from eci_convert.oci import json_fields, media_types
from eci_convert.oci.descriptor import MAX_LAYERS, Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import ImageConfig
from eci_convert.oci.manifest import Manifest
from eci_convert.transports.ids import digits, is_id
from eci_convert.transports.layout.selector import ImageSelector, same_reference

MANIFEST_JSON = "manifest.json"

_HEX = re.compile(r"(?:.*/)?([0-9a-f]{64})(?:\.json)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestEntry:
    """One image in the archive. *layers* are paths of tar archives, lowest first; *tags* are Docker's short names."""

    config: str
    layers: tuple[str, ...]
    tags: tuple[str, ...] = ()

    @classmethod
    def parse(cls, data: json_fields.Fields, where: str) -> Self:
        """The image in the JSON object *data*. Raises FormatError, also for paths outside the archive."""
        layers = json_fields.optional(data, "Layers", list, where, [])
        tags = json_fields.optional(data, "RepoTags", list, where, [])
        if len(layers) > MAX_LAYERS:
            raise LimitExceededError(f"{len(layers)} entries (limit {MAX_LAYERS})", where=f"{where}.Layers")
        return cls(
            config=_path(json_fields.required(data, "Config", str, where), f"{where}.Config"),
            layers=tuple(_path(path, f"{where}.Layers[{index}]") for index, path in enumerate(layers)),
            tags=tuple(json_fields.typed(tag, str, f"{where}.RepoTags[{index}]") for index, tag in enumerate(tags)),
        )

    def json(self) -> Mapping[str, Any]:
        """The JSON object."""
        return {"Config": self.config, "RepoTags": list(self.tags) or None, "Layers": list(self.layers)}

    @property
    def id(self) -> Digest | None:
        """The image id, the digest of the config, from the config's path; None if the path has none."""
        match = _HEX.fullmatch(self.config)
        return Digest("sha256", match[1]) if match else None

    def check_config(self, content: bytes) -> Digest:
        """The digest of the config's *content*. Raises DigestMismatchError if its path has another one."""
        digest = Digest.of(content)
        if self.id not in (None, digest):
            raise DigestMismatchError(self.id, digest, f"the config {self.config!r}")
        return digest

    def manifest(self, config: bytes, sizes: Sequence[int]) -> Manifest:
        """An OCI manifest of the image: its layers have their diff ids as digests, and *sizes* in bytes.

        Raises FormatError if the number of layers and diff ids differ.
        """
        diff_ids = ImageConfig.parse(config, self.config).diff_ids
        if len(diff_ids) != len(self.layers):
            raise FormatError(
                f"{len(self.layers)} layers, but {len(diff_ids)} diff ids in the config",
                where=f"{MANIFEST_JSON}.Layers",
            )
        return Manifest(
            config=Descriptor.of(config, media_types.OCI_CONFIG),
            layers=tuple(
                Descriptor(media_type=media_types.OCI_LAYER, digest=diff_id, size=size)
                for diff_id, size in zip(diff_ids, sizes, strict=True)
            ),
        )


def parse_manifest_json(content: bytes) -> tuple[ManifestEntry, ...]:
    """The images listed in manifest.json. Raises FormatError."""
    entries = json_fields.array(content, MANIFEST_JSON)
    if len(entries) > MAX_LAYERS:
        raise LimitExceededError(f"{len(entries)} entries (limit {MAX_LAYERS})", where=MANIFEST_JSON)
    return tuple(
        ManifestEntry.parse(json_fields.typed(entry, dict, f"{MANIFEST_JSON}[{index}]"), f"{MANIFEST_JSON}[{index}]")
        for index, entry in enumerate(entries)
    )


def manifest_json_text(images: Sequence[ManifestEntry]) -> bytes:
    """The content of manifest.json. Raises LimitExceededError if it would exceed our own limits."""
    if len(images) > MAX_LAYERS:
        raise LimitExceededError(f"it would have {len(images)} entries (limit {MAX_LAYERS})", where=MANIFEST_JSON)
    return json.dumps([image.json() for image in images], separators=(",", ":")).encode()


def select_entry(images: Sequence[ManifestEntry], name: ImageSelector, origin: str) -> ManifestEntry:
    """The image in *images* that *name* refers to: a tag, an image id behind `@`, an abbreviated id, or a position.

    Raises NotFoundError, and UnsupportedImageError if it is ambiguous.
    """
    matches = {image.config: image for image in _matching(images, name)}
    if len(matches) == 1:
        return next(iter(matches.values()))
    once = {image.config: (place, image) for place, image in reversed(list(enumerate(images)))}
    names = (image.tags[0] if image.tags else f"@{place}" for place, image in reversed(once.values()))
    available = quoted_list(names) or "nothing"
    if matches:
        several = UnsupportedImageError(f"{origin}: {len(matches)} images: a name is required: {available}")
        several.add_note("hint: append :NAME")
        raise several
    error = NotFoundError(f"{origin}: no image {str(name)!r}")
    error.add_note(f"hint: it contains {available}")
    raise error


def _matching(images: Sequence[ManifestEntry], name: ImageSelector) -> Sequence[ManifestEntry]:
    if name.position is not None:
        return images[name.position : name.position + 1]
    if name.digest:
        return [image for image in images if image.id == name.digest]
    if not name.text:
        return images
    named = [image for image in images if any(same_reference(name.text, tag) for tag in image.tags)]
    if (named and not is_id(name.text)) or not (prefix := digits(name.text)):
        return named
    return [image for image in images if image.id and image.id.hex.startswith(prefix)]


def _path(value: object, where: str) -> str:
    """The name of a member, which is never outside the archive."""
    text = json_fields.typed(value, str, where)
    components = [component for component in text.split("/") if component not in ("", ".")]
    if text.startswith("/") or ".." in components or not components:
        raise FormatError(f"{text!r} is not a valid path in the archive", where=where)
    return "/".join(components)
