"""manifest.json, the table of contents of what `docker save` writes (moby, image/spec/v1.2.md): which files of the
archive are an image's config and its layers. It promises nothing of them but by the config: its digest is the image's
id, and it holds the layers' diff ids.
"""

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
        """The image that the JSON object *data* tells. Raises FormatError, also for paths out of the archive."""
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
        """The image's id, which is its config's digest, as the config's path tells it; None where it does not."""
        found = _HEX.fullmatch(self.config)
        return Digest("sha256", found[1]) if found else None

    def check_config(self, content: bytes) -> Digest:
        """The digest of the config's *content*. Raises DigestMismatch if its path promises another."""
        digest = Digest.of(content)
        if self.id not in (None, digest):
            raise DigestMismatchError(self.id, digest, f"the config {self.config!r}")
        return digest

    def manifest(self, config: bytes, sizes: Sequence[int]) -> Manifest:
        """An OCI manifest that says of the image what is known: its layers, *sizes* bytes long, are promised by their
        diff ids. Raises FormatError if there are not as many of these."""
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
    """The images that manifest.json lists. Raises FormatError."""
    found = json_fields.array(content, MANIFEST_JSON)
    if len(found) > MAX_LAYERS:
        raise LimitExceededError(f"{len(found)} entries (limit {MAX_LAYERS})", where=MANIFEST_JSON)
    return tuple(
        ManifestEntry.parse(json_fields.typed(entry, dict, f"{MANIFEST_JSON}[{index}]"), f"{MANIFEST_JSON}[{index}]")
        for index, entry in enumerate(found)
    )


def rendered(images: Sequence[ManifestEntry]) -> bytes:
    """The text of manifest.json. Raises LimitExceeded where nobody here could read it again."""
    if len(images) > MAX_LAYERS:
        raise LimitExceededError(f"it would have {len(images)} entries (limit {MAX_LAYERS})", where=MANIFEST_JSON)
    return json.dumps([image.json() for image in images], separators=(",", ":")).encode()


def select_entry(images: Sequence[ManifestEntry], name: ImageSelector, origin: str) -> ManifestEntry:
    """The one of *images* that *name* stands for: a tag, an image id behind `@`, the first digits of one, or its place.

    Raises NotFound, and LayoutError where several could be meant.
    """
    found = {image.config: image for image in _matching(images, name)}
    if len(found) == 1:
        return next(iter(found.values()))
    once = {image.config: (place, image) for place, image in reversed(list(enumerate(images)))}
    names = (image.tags[0] if image.tags else f"@{place}" for place, image in reversed(once.values()))
    there = quoted_list(names) or "nothing"
    if found:
        several = UnsupportedImageError(f"{origin}: {len(found)} images: a name is required: {there}")
        several.add_note("hint: append :NAME")
        raise several
    error = NotFoundError(f"{origin}: no image {str(name)!r}")
    error.add_note(f"hint: it contains {there}")
    raise error


def _matching(images: Sequence[ManifestEntry], name: ImageSelector) -> Sequence[ManifestEntry]:
    if name.position is not None:
        return images[name.position : name.position + 1]
    if name.digest:
        return [image for image in images if image.id == name.digest]
    if not name.text:
        return images
    named = [image for image in images if any(same_reference(name.text, tag) for tag in image.tags)]
    if (named and not is_id(name.text)) or not (beginning := digits(name.text)):
        return named
    return [image for image in images if image.id and image.id.hex.startswith(beginning)]


def _path(value: object, where: str) -> str:
    """The name of a member, which never leads out of the archive."""
    text = json_fields.typed(value, str, where)
    steps = [step for step in text.split("/") if step not in ("", ".")]
    if text.startswith("/") or ".." in steps or not steps:
        raise FormatError(f"{text!r} is not a valid path in the archive", where=where)
    return "/".join(steps)
