"""Sizes of files in layers, from annotations; no layer is read."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from eci_convert.dialects.part_labels import FILE_PATH, FILE_SIZE
from eci_convert.model import Artifact, Member, Part, RootfsFile
from eci_convert.oci.annotations import TITLE
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.image import ImageMetadata
from eci_convert.rootfs import components

_LONGEST_NUMBER: Final = 16


def with_declared_sizes(artifact: Artifact, image: ImageMetadata) -> Artifact:
    """*artifact*, with the sizes that annotations in *image* declare for files in its layers."""
    return replace(
        artifact,
        parts=tuple(replace(part, declared_size=declared_size(part, image)) for part in artifact.parts),
    )


def declared_size(part: Part, image: ImageMetadata) -> int | None:
    """The bytes of the file that *part* is, as manifest and config of *image* tell it; None where they do not."""
    match part.locator:
        case Member(descriptor=layer):
            return _annotated_size(layer)
        case RootfsFile(path=path):
            return _size_of_path(path, image)
        case _:
            return part.size


def _annotated_size(layer: Descriptor) -> int | None:
    text = layer.annotations.get(FILE_SIZE, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER else None


def _size_of_path(path: str, image: ImageMetadata) -> int | None:
    """The declared size of the file at *path*, or of the only one in the directory *path*; None if unknown."""
    wanted = components(path)
    sizes = {}
    for layer in image.manifest.layers:
        layer_path = components(layer.annotations.get(FILE_PATH) or layer.annotations.get(TITLE, ""))
        if layer_path and (layer_path[:-1] if path.endswith("/") else layer_path) == wanted:
            sizes["/".join(layer_path)] = _annotated_size(layer)
    return next(iter(sizes.values())) if len(sizes) == 1 else None
