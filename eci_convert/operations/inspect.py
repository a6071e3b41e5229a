"""Inspects an image: its dialects, platforms and parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from eci_convert import dialects
from eci_convert.dialects import read_with
from eci_convert.errors import FormatError, NotFoundError, UnknownDialectError, UnsupportedImageError
from eci_convert.model import Artifact, Part
from eci_convert.oci.annotations import CREATED
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import ImageConfig, ImageMetadata
from eci_convert.oci.index import Index, candidates
from eci_convert.oci.manifest import Manifest
from eci_convert.oci.platform import Platform
from eci_convert.operations.declared_sizes import with_declared_sizes
from eci_convert.reading import images
from eci_convert.reading.images import flatten_index, load_root, right_sized, select_image
from eci_convert.transports.base import IMAGE_ID_ANNOTATION, Source

MAX_IMAGES: Final = 64
"""Images of one index that `inspect_all` loads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSummary:
    """The metadata of one image.

    *dialect* is "" and *artifact* empty where no dialect recognises the image; *unknown* then says why. Not
    *is_readable*: it is listed in an index, and its manifest or config is not there, or malformed.
    """

    image: ImageMetadata
    dialect: str
    artifact: Artifact
    unknown: str = ""
    is_readable: bool = True

    @property
    def serves(self) -> tuple[str, ...]:
        """All dialects that read the image as one of their own, and the one that it was read as."""
        if not self.is_readable:
            return ()
        served = dialects.served_dialects(self.image)
        return served if self.dialect in (*served, "") else (self.dialect, *served)

    @property
    def created(self) -> str:
        """When the image was made, as it says itself; "" where it does not."""
        return self.image.config.created or self.image.manifest.annotations.get(CREATED, "")

    @property
    def author(self) -> str:
        """Who made the image, as it says itself; "" where it does not."""
        author = self.image.config.fields.get("author")
        return author if isinstance(author, str) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection(ImageSummary):
    """What a reference stands for. *digest* is that of an index, where it names one, and in the Docker engine the
    image's id. *platforms* are those of all images in the index; the fields of a summary are about the chosen one."""

    reference: str
    digest: Digest
    platforms: tuple[Platform, ...] = field(default=())

    @property
    def dialects(self) -> tuple[str, ...]:
        """All dialects in which the image can be read, the one that it was read in first."""
        names = dict.fromkeys([self.dialect, *dialects.served_dialects(self.image)] if self.dialect else [])
        return tuple(names)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts, in the order kernel, initrd, root, disks, config, others."""
        return self.artifact.parts

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of the image's config."""
        return self.image.config.labels

    @property
    def annotations(self) -> Mapping[str, str]:
        """The annotations of the image's manifest."""
        return self.image.manifest.annotations

    @property
    def cmdline(self) -> str | None:
        """The kernel's command line, where the image has one."""
        return self.artifact.command_line


def inspect(source: Source, platform: Platform | None = None, dialect: str = "") -> Inspection:
    """The metadata of the image that *source* names; only manifests and configs are read.

    *dialect* reads it as that dialect and no other. Raises what `load_root` raises.
    """
    descriptor, root = load_root(source)
    documents = images.Documents(source)
    image = select_image(documents, descriptor, root, platform)
    summary = _summarise(image, dialect)
    return Inspection(
        reference=source.origin,
        digest=Digest.parse(descriptor.annotations.get(IMAGE_ID_ANNOTATION, str(descriptor.digest))),
        dialect=summary.dialect,
        platforms=_platforms(root if isinstance(root, Manifest) else flatten_index(documents, root), image),
        image=image,
        artifact=summary.artifact,
        unknown=summary.unknown,
    )


def inspect_all(source: Source, chosen: Inspection) -> tuple[ImageSummary, ...]:
    """What every image says that stands under the name of *source*, of which *chosen* is one; the first 64 of them.

    An image that cannot be read says why. Raises what `load_root` raises for the index itself.
    """
    _, root = load_root(source)
    if isinstance(root, Manifest):
        return (chosen,)
    documents = images.Documents(source)
    entries = {entry.digest: entry for entry in candidates(flatten_index(documents, root))}
    return tuple(
        chosen if entry.digest == chosen.image.descriptor.digest else _entry(documents, entry)
        for entry in list(entries.values())[:MAX_IMAGES]
    )


def _entry(documents: images.Documents, listed: Descriptor) -> ImageSummary:
    """What the image says that *listed* promises; why it cannot be read, where the index is all that there is of it."""
    try:
        entry = right_sized(documents.source, listed)
        image = select_image(documents, entry, documents.manifest(entry), None)
        return _summarise(replace(image, platform=listed.platform or image.platform), "")
    except (NotFoundError, FormatError, UnsupportedImageError) as error:
        promised = ImageMetadata(
            descriptor=listed, manifest=Manifest(config=listed, layers=()), config=ImageConfig(),
            platform=listed.platform,
        )  # fmt: skip
        return ImageSummary(
            image=promised, dialect="", artifact=Artifact(parts=()), unknown=str(error), is_readable=False
        )


def _summarise(image: ImageMetadata, dialect: str) -> ImageSummary:
    try:
        name, artifact = read_with(dialect, image) if dialect else dialects.read(image)
    except UnknownDialectError as error:
        if dialect:
            raise
        return ImageSummary(image=image, dialect="", artifact=Artifact(parts=()), unknown=str(error))
    return ImageSummary(image=image, dialect=name, artifact=with_declared_sizes(artifact, image))


def _platforms(root: Manifest | Index, image: ImageMetadata) -> tuple[Platform, ...]:
    if isinstance(root, Manifest):
        return (image.platform,) if image.platform else ()
    return tuple(entry.platform for entry in candidates(root) if entry.platform)
