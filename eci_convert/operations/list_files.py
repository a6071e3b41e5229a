"""Lists the files of an image: those of its root filesystem, or the titles of an artifact's layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from eci_convert.dialects import part_labels
from eci_convert.errors import MissingPartError
from eci_convert.oci import media_types
from eci_convert.oci.annotations import TITLE
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import ImageMetadata
from eci_convert.oci.platform import Platform
from eci_convert.progress import NULL_REPORTER, Reporter
from eci_convert.reading.blobs import check_readable, open_layer
from eci_convert.reading.images import load_image
from eci_convert.reading.layer_walk import attributed_errors
from eci_convert.rootfs.listing import LayerListing, ListedFile
from eci_convert.rootfs.path_pattern import compile_pattern
from eci_convert.transports.base import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One line of a listing. *mode* and *link* are None for a layer of an artifact, whose *path* is its title and
    whose *kind* is "blob"; *blob* is the digest of the layer that the file is in, or is."""

    path: str
    kind: str
    mode: int | None
    size: int | None
    link: str | None
    blob: Digest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The files of the image that *image* is, and the reference under which it was found."""

    reference: str
    image: ImageMetadata
    files: tuple[FileEntry, ...]


def list_files(
    source: Source,
    pattern: str = "",
    *,
    platform: Platform | None = None,
    reporter: Reporter = NULL_REPORTER,
) -> Listing:
    """The files of the image that *source* names whose paths match *pattern*: all, if that is empty.

    In *pattern* `*`, `?` and `[…]` are within one name and `**` crosses directories; one without a slash is about
    names in any directory, one without wildcards about a file, or a directory and all in it.
    Raises MissingPartError where nothing matches, UsageError for a pattern that is none, FormatError for malformed and
    hostile layers, UnsupportedImageError for encrypted ones, and what `load_image` raises.
    """
    matches = compile_pattern(pattern)
    image = load_image(source, platform)
    files = files_of(source, image, platform, reporter)
    matching = tuple(entry for entry in files if matches(entry.path))
    if pattern and not matching:
        raise MissingPartError(f"{source.origin} has no file that matches {pattern!r}")
    return Listing(reference=source.origin, image=image, files=matching)


def files_of(
    source: Source, image: ImageMetadata, platform: Platform | None = None, reporter: Reporter = NULL_REPORTER
) -> Iterator[FileEntry]:
    """All files of *image*, which *source* holds: paths in order, or the titles of an artifact's layers.

    Raises UnsupportedImageError for the encrypted layers of a container image.
    """
    if not part_labels.is_artifact(image):
        return _filesystem(source, image, platform, reporter)
    if image.manifest.config.media_type in media_types.CONFIGS and not part_labels.is_file_artifact(image):
        for layer in image.manifest.layers:
            check_readable(layer)
    return _titles(image)


def _titles(image: ImageMetadata) -> Iterator[FileEntry]:
    for layer in image.manifest.layers:
        title = layer.annotations.get(TITLE) or str(layer.digest)
        yield FileEntry(path=title, kind="blob", mode=None, size=layer.size, link=None, blob=layer.digest)


def _filesystem(
    source: Source, image: ImageMetadata, platform: Platform | None, reporter: Reporter
) -> Iterator[FileEntry]:
    unpacked = source.filesystem()
    if unpacked is not None:  # an engine serves single files, and layers only in the saved image
        source = unpacked.full_image()
        image = load_image(source, platform)
    layers = list({layer.digest: layer for layer in reversed(image.manifest.layers)}.values())
    listing = LayerListing()
    for layer in layers:
        with open_layer(source, layer, reporter, through=listing.input) as entries, attributed_errors(layer):
            listing.add_layer(entries)
    for file in listing.files():
        yield _entry(file, layers[file.layer].digest if file.layer is not None and file.layer < len(layers) else None)


def _entry(file: ListedFile, blob: Digest | None) -> FileEntry:
    return FileEntry(path=file.path, kind=file.kind, mode=file.mode, size=file.size, link=file.link, blob=blob)
