"""Sizes and digests of parts: what an image tells of them without a layer being read, and what their bytes tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eci_convert.dialects.part_labels import FILE_PATH, FILE_SIZE
from eci_convert.model import Artifact, Blob, DiskType, Member, Memory, Part, RemoteBlob, RootfsFile
from eci_convert.oci.annotations import TITLE
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import Image
from eci_convert.operations.extract import extract_files
from eci_convert.operations.output_files import Discard, OutputTarget
from eci_convert.options import TransferOptions
from eci_convert.progress import NULL_REPORTER, Reporter
from eci_convert.rootfs import components
from eci_convert.transports.base import Source

_LONGEST_NUMBER = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFacts:
    """What is known of a part's file: its size in bytes, its digest, the type of its disk; None where nothing tells."""

    size: int | None
    digest: Digest | None
    disk_type: DiskType | None
    blob: Digest | None = None
    path: str = ""


def declared_facts(part: Part, image: Image) -> PartFacts:
    """What manifest and config of *image* tell of *part*.

    An image of another tool tells no sizes of files in its layers; ours do, in annotations of the layers.
    """
    size: int | None = None
    digest: Digest | None = None
    match part.locator:
        case Blob(compression="", descriptor=blob):
            size, digest = blob.size, blob.digest
        case Blob(size=size):
            pass
        case Member(descriptor=layer):
            size = _annotated_size(layer)
        case RootfsFile(path=path):
            size = _size_of_path(path, image)
        case Memory(content=content):
            size, digest = len(content), Digest.of(content)
        case RemoteBlob(digest=digest, size=size):
            pass
        case _:
            pass
    return PartFacts(size=size, digest=digest, disk_type=part.disk_type)


def measured_facts(
    source: Source, image: Image, parts: tuple[Part, ...], *, reporter: Reporter = NULL_REPORTER
) -> Mapping[Part, PartFacts]:
    """What the bytes of *parts* tell, each blob read once and nothing kept. Raises as `extract_files`."""
    targets = [OutputTarget(part=part, file=Discard()) for part in parts]
    extracted = extract_files(source, image, targets, digests=True, options=TransferOptions(reporter=reporter))
    return {
        file.part: PartFacts(
            size=file.size,
            digest=file.digest,
            disk_type=file.disk_type,
            blob=file.blob,
            path=_absolute(file.image_path),
        )
        for file in extracted
    }


def image_size(image: Image) -> int | None:
    """The bytes of all that a registry would send for *image*: manifest, config, and each layer once. None where the
    place where it is (the Docker engine) does not say how long its layers are."""
    layers = {layer.digest: layer.size for layer in image.manifest.layers}
    if any(size == 0 for size in layers.values()):
        return None
    return image.descriptor.size + image.manifest.config.size + sum(layers.values())


def parts_of(artifact: Artifact) -> tuple[Part, ...]:
    """The parts of *artifact*, the kernel command line among them as the file that `extract` makes of it."""
    from eci_convert.operations.extract_request import command_line_part

    text = command_line_part(artifact)
    return (*artifact.parts, text) if text else artifact.parts


def _absolute(path: str) -> str:
    """*path* in an image as people write it: `kernel`, `./kernel` and `/kernel` are one file."""
    return "/" + path.removeprefix("./").lstrip("/") if path else ""


def _annotated_size(layer: Descriptor) -> int | None:
    text = layer.annotations.get(FILE_SIZE, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER else None


def _size_of_path(path: str, image: Image) -> int | None:
    """The size of the file at *path*, or of the only one in the directory that it is, as a layer of ours tells it."""
    requested = components(path)
    sizes = {}
    for layer in image.manifest.layers:
        layer_path = components(layer.annotations.get(FILE_PATH) or layer.annotations.get(TITLE, ""))
        if layer_path and (layer_path[:-1] if path.endswith("/") else layer_path) == requested:
            sizes["/".join(layer_path)] = _annotated_size(layer)
    return next(iter(sizes.values())) if len(sizes) == 1 else None
