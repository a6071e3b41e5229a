"""Sizes and digests of parts: declared by the image, or read from its layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eci_convert.model import Artifact, DiskType, Memory, Part
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import ImageMetadata
from eci_convert.operations.declared_sizes import declared_size
from eci_convert.operations.extract import extract_files
from eci_convert.operations.output_files import Discard, OutputTarget
from eci_convert.options import TransferOptions
from eci_convert.progress import NULL_REPORTER, Reporter
from eci_convert.transports.base import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFacts:
    """Facts about the file of a part: its size in bytes, its digest, the type of its disk; None if unknown."""

    size: int | None
    digest: Digest | None
    disk_type: DiskType | None
    blob: Digest | None = None
    path: str = ""


def declared_facts(part: Part, image: ImageMetadata) -> PartFacts:
    """What manifest and config of *image* tell of *part*.

    An image of another tool tells no sizes of files in its layers; ours do, in annotations of the layers.
    """
    digest = Digest.of(part.locator.content) if isinstance(part.locator, Memory) else part.digest
    return PartFacts(size=declared_size(part, image), digest=digest, disk_type=part.disk_type)


def measured_facts(
    source: Source,
    image: ImageMetadata,
    parts: tuple[Part, ...],
    *,
    reporter: Reporter = NULL_REPORTER,
    max_size: int | None = None,
) -> Mapping[Part, PartFacts]:
    """What the bytes of *parts* tell, each blob read once and nothing kept. Raises as `extract_files`: for a part of
    more than *max_size* bytes too."""
    targets = [OutputTarget(part=part, file=Discard()) for part in parts]
    options = TransferOptions(reporter=reporter, max_size=max_size)
    extracted = extract_files(source, image, targets, digests=True, options=options)
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


def image_size(image: ImageMetadata) -> int | None:
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
