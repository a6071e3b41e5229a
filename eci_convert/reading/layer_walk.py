"""Reads layers from the top one down until a search is complete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from eci_convert.errors import FormatError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.image import ImageMetadata
from eci_convert.progress import Reporter
from eci_convert.reading.blobs import open_layer
from eci_convert.reading.resume import PartialDownloads
from eci_convert.rootfs.consumer import FileLocation
from eci_convert.rootfs.search import Search
from eci_convert.tar import TarEntry
from eci_convert.transports.base import Source


def is_filesystem(layer: Descriptor) -> bool:
    """Whether *layer* is part of the filesystem, by its media type."""
    return media_types.is_tar_layer(layer.media_type) or ".tar" in layer.media_type or not layer.media_type


def walk_layers(
    source: Source, image: ImageMetadata, reporter: Reporter, downloads: PartialDownloads | None
) -> LayerWalk:
    """The layers of *image*'s filesystem, each once."""
    layers = {layer.digest: layer for layer in reversed(image.manifest.layers) if is_filesystem(layer)}
    return LayerWalk(source, list(layers.values()), reporter, downloads)


class LayerWalk:
    """Layers, the top one first, and how they are read."""

    def __init__(
        self, source: Source, layers: Sequence[Descriptor], reporter: Reporter, downloads: PartialDownloads | None
    ) -> None:
        self._source = source
        self._layers = layers
        self._reporter = reporter
        self._downloads = downloads

    def search(self, search: Search) -> Mapping[str, FileLocation]:
        """Reads layers until all paths are found, and layers with missed files again."""
        if not self._layers:
            search.read((), last=True)
        for number, layer in enumerate(self._layers):
            with self._open_layer(layer, search) as entries:
                if search.read(entries, last=number == len(self._layers) - 1):
                    break
        return self.finish(search)

    def finish(self, search: Search) -> Mapping[str, FileLocation]:
        """Reads layers with missed files again."""
        locations = search.settled()
        for number, missed in sorted(search.missed_files().items()):
            with self._open_layer(self._layers[number], search) as entries:
                search.read_again(entries, missed, number)
        return {
            path: FileLocation(path=place.path, layer=self._layers[place.layer]) for path, place in locations.items()
        }

    @contextmanager
    def _open_layer(self, layer: Descriptor, search: Search) -> Iterator[Iterator[TarEntry]]:
        archive = open_layer(self._source, layer, self._reporter, self._downloads, search.input)
        with archive as entries, attributed_errors(layer):
            yield entries


@contextmanager
def attributed_errors(layer: Descriptor) -> Iterator[None]:
    """Adds the layer to errors about its content."""
    try:
        yield
    except FormatError as error:
        error.add_note(f"in layer {layer.digest.short}")
        raise
