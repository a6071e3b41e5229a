"""Estimates the bytes that an operation would read or write, for `--dry-run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eci_convert.model import Blob, Member, RootfsFile
from eci_convert.oci.image import ImageMetadata
from eci_convert.reading.file_size import size_in_container
from eci_convert.reading.local_content import size_of_part

if TYPE_CHECKING:
    from eci_convert.operations.output_files import OutputTarget
    from eci_convert.transports.base import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What *targets* come to: the bytes of each, None where only reading would tell, and the bytes to be read for them
    at most (compressed layers are read as they are)."""

    sizes: Mapping[OutputTarget, int | None]
    read: int


def estimate_extract(source: Source, image: ImageMetadata, targets: Sequence[OutputTarget]) -> Estimate:
    """Estimates what extracting *targets* would read. If a transport keeps files unpacked, only their sizes are
    requested.

    Raises MissingPartError for a file that such a place has not, and what the source raises.
    """
    files = source.filesystem()
    sizes: dict[OutputTarget, int | None] = {}
    blobs: dict[object, int] = {}
    read = 0
    for target in targets:
        locator = target.part.locator
        sizes[target] = size_of_part(target.part)
        match locator:
            case RootfsFile(path=path) if files:
                sizes[target] = size = size_in_container(files, path)
                read += size
            case RootfsFile():
                blobs |= {layer.digest: layer.size for layer in image.manifest.layers}
            case Blob(descriptor=blob) | Member(descriptor=blob):
                blobs[blob.digest] = blob.size
            case _:
                pass
    return Estimate(sizes=sizes, read=read + sum(blobs.values()))
