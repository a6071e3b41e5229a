"""Reads files from the layers of an image, from the top one down until all are found."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.image import ImageMetadata
from eci_convert.progress import NULL_REPORTER, Reporter
from eci_convert.reading import blobs
from eci_convert.reading.blobs import is_tar_archive, open_blob, read_members
from eci_convert.reading.container_files import read_container_files
from eci_convert.reading.layer_walk import LayerWalk, attributed_errors, is_filesystem, walk_layers
from eci_convert.reading.resume import PartialDownloads
from eci_convert.rootfs.consumer import FileConsumer, FileLocation
from eci_convert.rootfs.search import Search
from eci_convert.streams.blocks import peek_head
from eci_convert.transports.base import Source

__all__ = ["in_archive", "is_filesystem", "read_files"]


def read_files(
    source: Source,
    image: ImageMetadata,
    paths: Collection[str],
    consumer: FileConsumer,
    *,
    reporter: Reporter = NULL_REPORTER,
    downloads: PartialDownloads | None = None,
) -> Mapping[str, FileLocation]:
    """Passes the files *paths* of the image's filesystem to *consumer*, and returns their locations.

    A path may begin with "/", "./" or neither; one that ends in "/" is a directory with exactly one file.

    Raises MissingPartError for what does not exist or is not a regular file, AmbiguousRoleError for a directory with
    two files, CorruptStreamError and LimitExceededError for malformed and hostile layers, and what `open_blob` raises.
    """
    unpacked = source.filesystem()
    if unpacked is not None:
        return read_container_files(unpacked, paths, consumer, reporter)
    return walk_layers(source, image, reporter, downloads).search(Search(paths, consumer))


def in_archive(
    source: Source,
    layer: Descriptor,
    paths: Collection[str],
    consumer: FileConsumer,
    *,
    or_whole_blob: bool = False,
    reporter: Reporter = NULL_REPORTER,
    downloads: PartialDownloads | None = None,
) -> Mapping[str, FileLocation]:
    """Passes the files *paths* of the archive *layer* to *consumer*; "" is its only regular file.

    If *or_whole_blob*, a layer that is not an archive is itself the file, for all paths. Raises as `read_files`.
    """
    blobs.check_readable(layer)
    search = Search(paths, consumer)
    layers = LayerWalk(source, [layer], reporter, downloads)
    if not or_whole_blob:
        return layers.search(search)
    with open_blob(source, layer, reporter, downloads) as chunks:
        head, chunks = peek_head(chunks)
        if not is_tar_archive(head):
            consumer.take(tuple(paths), layer.size, chunks)
            return {path: FileLocation(path="", layer=layer) for path in paths}
        with read_members(chunks, search.input) as entries, attributed_errors(layer):
            search.read(entries, last=True)
    return layers.finish(search)
