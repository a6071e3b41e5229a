"""What an image holds: its dialect, platforms and parts."""

from __future__ import annotations

from dataclasses import dataclass

from eci_convert import dialects
from eci_convert.dialects import read_with
from eci_convert.errors import UnknownDialectError
from eci_convert.model import Artifact
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import Image
from eci_convert.oci.index import Index, candidates
from eci_convert.oci.manifest import Manifest
from eci_convert.oci.platform import Platform
from eci_convert.reading import images
from eci_convert.reading.images import flatten_index, load_root, select_image
from eci_convert.transports.base import IMAGE_ID_ANNOTATION, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What an image says of itself. *digest* is what the name stands for: an index, where it names one, and in the
    Docker engine the image's id.

    *dialect* is "" and *artifact* empty where no dialect recognises the image; *unknown* then says why.
    """

    reference: str
    digest: Digest
    dialect: str
    platforms: tuple[Platform, ...]
    image: Image
    artifact: Artifact
    unknown: str = ""


def inspect(source: Source, platform: Platform | None = None, dialect: str = "") -> Inspection:
    """What the image that *source* names says of itself; no blob beyond manifests and configs is read.

    *dialect* reads it as that dialect and no other. Raises what `load_root` raises.
    """
    descriptor, found = load_root(source)
    documents = images.Documents(source)
    image = select_image(documents, descriptor, found, platform)
    name, artifact, unknown = _read(image, dialect)
    return Inspection(
        reference=source.origin,
        digest=Digest.parse(descriptor.annotations.get(IMAGE_ID_ANNOTATION, str(descriptor.digest))),
        dialect=name,
        platforms=_platforms(found if isinstance(found, Manifest) else flatten_index(documents, found), image),
        image=image,
        artifact=artifact,
        unknown=unknown,
    )


def _read(image: Image, dialect: str) -> tuple[str, Artifact, str]:
    try:
        name, artifact = read_with(dialect, image) if dialect else dialects.read(image)
    except UnknownDialectError as error:
        if dialect:
            raise
        return "", Artifact(parts=()), str(error)
    return name, artifact, ""


def _platforms(found: Manifest | Index, image: Image) -> tuple[Platform, ...]:
    if isinstance(found, Manifest):
        return (image.platform,) if image.platform else ()
    return tuple(entry.platform for entry in candidates(found) if entry.platform)
