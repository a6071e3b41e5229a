"""The layers of an image, read from the top one down until all that is looked for is found."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from eci_convert import content
from eci_convert.errors import FormatError
from eci_convert.journal import Journal
from eci_convert.model import Image
from eci_convert.oci import mediatype
from eci_convert.oci.manifest import Descriptor
from eci_convert.progress import SILENT, Reporter
from eci_convert.rootfs.consumer import Consumer, Settled
from eci_convert.rootfs.engine import from_engine
from eci_convert.rootfs.search import Search
from eci_convert.streams.tar import Entry
from eci_convert.transports.base import Source


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
    CorruptStream and LimitExceeded for malformed and hostile layers, and what `content.opened` raises.
    """
    unpacked = source.filesystem()
    if unpacked is not None:
        return from_engine(unpacked, paths, consumer, reporter)
    layers = {layer.digest: layer for layer in reversed(image.manifest.layers) if is_filesystem(layer)}
    return _Layers(source, list(layers.values()), reporter, journal).search(Search(paths, consumer))


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
    content.check_readable(layer)
    search = Search(paths, consumer)
    layers = _Layers(source, [layer], reporter, journal)
    if not or_bytes:
        return layers.search(search)
    with content.opened(source, layer, reporter, journal) as chunks:
        head, chunks = content.peeked(chunks)
        if not content.is_archive(head):
            consumer.take(tuple(paths), layer.size, chunks)
            return {path: Settled(path="", layer=layer) for path in paths}
        with content.members(chunks, search.input) as entries, _blamed(layer):
            search.read(entries, last=True)
    return layers.finish(search)


def is_filesystem(layer: Descriptor) -> bool:
    """Whether *layer* is a part of the filesystem, as far as its media type tells."""
    return mediatype.is_tar_layer(layer.media_type) or ".tar" in layer.media_type or not layer.media_type


class _Layers:
    """Layers, the top one first, and how they are read."""

    def __init__(
        self, source: Source, layers: Sequence[Descriptor], reporter: Reporter, journal: Journal | None
    ) -> None:
        self._source = source
        self._layers = layers
        self._reporter = reporter
        self._journal = journal

    def search(self, search: Search) -> Mapping[str, Settled]:
        """Reads layers until all is found, and once more what went by untaken."""
        if not self._layers:
            search.read((), last=True)
        for number, layer in enumerate(self._layers):
            with self._opened(layer, search) as entries:
                if search.read(entries, last=number == len(self._layers) - 1):
                    break
        return self.finish(search)

    def finish(self, search: Search) -> Mapping[str, Settled]:
        """Reads once more what went by untaken."""
        found = search.settled()
        for number, missed in sorted(search.missed().items()):
            with self._opened(self._layers[number], search) as entries:
                search.read_again(entries, missed, number)
        return {path: Settled(path=place.path, layer=self._layers[place.layer]) for path, place in found.items()}

    @contextmanager
    def _opened(self, layer: Descriptor, search: Search) -> Iterator[Iterator[Entry]]:
        archive = content.archive(self._source, layer, self._reporter, self._journal, search.input)
        with archive as entries, _blamed(layer):
            yield entries


@contextmanager
def _blamed(layer: Descriptor) -> Iterator[None]:
    """Says of errors about what is in a layer which layer that is."""
    try:
        yield
    except FormatError as error:
        error.add_note(f"in layer {layer.digest.short}")
        raise
