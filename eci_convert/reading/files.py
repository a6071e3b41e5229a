"""The layers of an image, read from the top one down until all that is looked for is found."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from eci_convert.compression import codec
from eci_convert.model import Image
from eci_convert.oci.manifest import Descriptor
from eci_convert.progress import SILENT, Reporter
from eci_convert.reading import blobs
from eci_convert.reading.container_files import from_engine
from eci_convert.reading.layer_walk import LayerWalk, blamed, is_filesystem, of_image
from eci_convert.reading.resume import Journal
from eci_convert.rootfs.consumer import Consumer, Settled
from eci_convert.rootfs.search import Search
from eci_convert.transports.base import Source

__all__ = ["files", "in_archive", "is_filesystem"]


def files(
    source: Source,
    image: Image,
    paths: Collection[str],
    consumer: Consumer,
    *,
    reporter: Reporter = SILENT,
    journal: Journal | None = None,
) -> Mapping[str, Settled]:
    """Gives *consumer* the files that *paths* are in the image's filesystem, and says where they were.

    A path may begin with "/", "./" or neither; one that ends in "/" is a directory that holds exactly one file.

    Raises MissingPart for what is not there or is no regular file, AmbiguousRole for a directory with two files,
    CorruptStream and LimitExceeded for malformed and hostile layers, and what `opened` raises.
    """
    unpacked = source.filesystem()
    if unpacked is not None:
        return from_engine(unpacked, paths, consumer, reporter)
    return of_image(source, image, reporter, journal).search(Search(paths, consumer))


def in_archive(
    source: Source,
    layer: Descriptor,
    paths: Collection[str],
    consumer: Consumer,
    *,
    or_bytes: bool = False,
    reporter: Reporter = SILENT,
    journal: Journal | None = None,
) -> Mapping[str, Settled]:
    """Gives *consumer* the files that *paths* are in the one archive that *layer* is; "" is its only regular file.

    Where *or_bytes*, a layer that is no archive is itself the file, for all paths. Raises as `files`.
    """
    blobs.check_readable(layer)
    search = Search(paths, consumer)
    layers = LayerWalk(source, [layer], reporter, journal)
    if not or_bytes:
        return layers.search(search)
    with blobs.opened(source, layer, reporter, journal) as chunks:
        head, chunks = blobs.peeked(chunks)
        if not codec.is_archive(head):
            consumer.take(tuple(paths), layer.size, chunks)
            return {path: Settled(path="", layer=layer) for path in paths}
        with blobs.members(chunks, search.input) as entries, blamed(layer):
            search.read(entries, last=True)
    return layers.finish(search)
