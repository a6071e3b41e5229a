"""The layers of an image, read from the top one down until all that is looked for is found."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from eci_convert import content
from eci_convert.errors import FormatError
from eci_convert.model import Image
from eci_convert.oci import mediatype
from eci_convert.oci.manifest import Descriptor
from eci_convert.progress import SILENT, Reporter
from eci_convert.rootfs.consumer import Consumer, Settled
from eci_convert.rootfs.engine import from_engine
from eci_convert.rootfs.search import Search
from eci_convert.transports.base import Source


def files(
    source: Source, image: Image, paths: Collection[str], consumer: Consumer, *, reporter: Reporter = SILENT
) -> Mapping[str, Settled]:
    """Gives *consumer* the files that *paths* are in the image's filesystem, and says where they were.

    A path may begin with "/", "./" or neither; one that ends in "/" is a directory that holds exactly one file.

    Raises MissingPart for what is not there or is no regular file, AmbiguousRole for a directory with two files,
    CorruptStream and LimitExceeded for malformed and hostile layers, and what `content.opened` raises.
    """
    unpacked = source.filesystem()
    if unpacked is not None:
        return from_engine(unpacked, paths, consumer, reporter)
    layers = {layer.digest: layer for layer in reversed(image.manifest.layers) if is_filesystem(layer)}
    return _found(source, list(layers.values()), Search(paths, consumer), reporter)


def in_archive(
    source: Source,
    layer: Descriptor,
    paths: Collection[str],
    consumer: Consumer,
    *,
    or_bytes: bool = False,
    reporter: Reporter = SILENT,
) -> Mapping[str, Settled]:
    """Gives *consumer* the files that *paths* are in the one archive that *layer* is; "" is its only regular file.

    Where *or_bytes*, a layer that is no archive is itself the file, for all paths. Raises as `files`.
    """
    search = Search(paths, consumer)
    if not or_bytes:
        return _found(source, [layer], search, reporter)
    with content.opened(source, layer, reporter) as chunks:
        head, chunks = content.peeked(chunks)
        if not content.is_archive(head):
            consumer.take(tuple(paths), layer.size, chunks)
            return {path: Settled(path="", layer=layer) for path in paths}
        with content.members(chunks) as entries, _blamed(layer):
            search.read(entries, last=True)
    return _finished(source, [layer], search, reporter)


def is_filesystem(layer: Descriptor) -> bool:
    """Whether *layer* is a part of the filesystem, as far as its media type tells."""
    return mediatype.is_tar_layer(layer.media_type) or ".tar" in layer.media_type or not layer.media_type


def _found(source: Source, layers: Sequence[Descriptor], search: Search, reporter: Reporter) -> Mapping[str, Settled]:
    """The search over *layers*, the top one first."""
    if not layers:
        search.read((), last=True)
    for number, layer in enumerate(layers):
        with content.archive(source, layer, reporter) as entries, _blamed(layer):
            if search.read(entries, last=number == len(layers) - 1):
                break
    return _finished(source, layers, search, reporter)


def _finished(
    source: Source, layers: Sequence[Descriptor], search: Search, reporter: Reporter
) -> Mapping[str, Settled]:
    found = search.settled()
    for number, missed in sorted(search.missed().items()):
        with content.archive(source, layers[number], reporter) as entries, _blamed(layers[number]):
            search.read_again(entries, missed, number)
    return {path: Settled(path=place.path, layer=layers[place.layer]) for path, place in found.items()}


@contextmanager
def _blamed(layer: Descriptor) -> Iterator[None]:
    """Says of errors about what is in a layer which layer that is."""
    try:
        yield
    except FormatError as error:
        error.add_note(f"in layer {layer.digest.short}")
        raise
