"""An image in a store: its layers' archives are rebuilt, so that their digests are correct.

A store keeps no compressed blobs. If the image had compressed layers, a manifest with the same config and annotations
is synthesised, whose layers are the uncompressed archives; an image of uncompressed layers keeps its manifest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self

from eci_convert.errors import FormatError, NotFoundError, TransportError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import MAX_LAYERS, Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import ImageConfig
from eci_convert.oci.manifest import Manifest, parse_manifest, to_json
from eci_convert.transports.base import ContainerFiles, SourceTraits
from eci_convert.transports.containers_storage import index_files
from eci_convert.transports.containers_storage.index_files import LayerRecord, StoredImage
from eci_convert.transports.containers_storage.layers.layer_archive import rebuild_archive
from eci_convert.transports.containers_storage.location import StoreLocation
from eci_convert.transports.containers_storage.lookup import find_image
from eci_convert.transports.containers_storage.store import ContainersStore, open_store
from eci_convert.transports.settings import Settings

_RAW = (media_types.OCI_LAYER, media_types.DOCKER_LAYER)


class StorageSource:
    """An image in containers-storage."""

    def __init__(
        self, place: StoreLocation, settings: Settings, stores: tuple[ContainersStore, ...] | None = None
    ) -> None:
        """*stores*: those of *place*, if they are open already."""
        self._place = place
        self._stores = stores or tuple(
            open_store(root, place.driver, settings.timeout) for root in (place.root, *place.more)
        )
        self._documents: dict[Digest, bytes] = {}
        self._layers: dict[Digest, tuple[ContainersStore, str]] = {}
        self._root: Descriptor | None = None
        self.traits = SourceTraits()

    @property
    def origin(self) -> str:
        return f"containers-storage:{self._place.text}"

    def resolve(self) -> Descriptor:
        if self._root is None:
            self._root = self._load()
        return self._root

    @contextmanager
    def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterable[bytes]]:
        self.resolve()
        if blob.digest in self._documents:
            yield (self._documents[blob.digest][skip:],)
        elif blob.digest in self._layers:
            home, layer = self._layers[blob.digest]
            chunks = rebuild_archive(home.split_file(layer), home.driver.content(layer), skip)
            try:
                yield chunks
            finally:
                chunks.close()
        else:
            raise NotFoundError(f"{self.origin}: no blob {str(blob.digest)!r}")

    def filesystem(self) -> ContainerFiles | None:
        return None

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        return ()

    def _load(self) -> Descriptor:
        """Looks the image up, and caches its manifest, config and layers."""
        home, image = find_image(self._stores, self._place)
        directory = home.image_directory(image.id)
        text = index_files.read_document(directory, "manifest")
        stored = _manifest(text, image)
        stored_type = stored.media_type
        content = index_files.read_document(directory, str(stored.config.digest))
        config = ImageConfig.parse(content)
        chain = self._chain(image)
        if not len(chain) == len(config.diff_ids) == len(stored.layers):
            raise FormatError(f"{self.origin}: {len(chain)} layers for {len(config.diff_ids)} diff ids")
        layers = []
        for (where, layer), diff_id, original in zip(chain, config.diff_ids, stored.layers, strict=True):
            self._layers[diff_id] = where, layer.id
            layers.append(_uncompressed(original, diff_id, layer))
        self._documents[stored.config.digest] = content
        if tuple(layers) != stored.layers:
            self.traits = SourceTraits(synthetic=True)
            text = to_json(_synthesise_manifest(stored, tuple(layers)))
            stored_type = media_types.OCI_MANIFEST
        self._documents[Digest.of(text)] = text
        return Descriptor.of(text, stored_type)

    def _chain(self, image: StoredImage) -> list[tuple[ContainersStore, LayerRecord]]:
        """The layers of *image*, the lowest first, each with the store that has it."""
        layers_by_store = [(where, where.layers()) for where in self._stores if where.exists()]
        chain: list[tuple[ContainersStore, LayerRecord]] = []
        layer_id = image.layer
        while layer_id:
            holders = [(where, layers[layer_id]) for where, layers in layers_by_store if layer_id in layers]
            if not holders or not holders[0][1].complete:
                raise NotFoundError(f"{self.origin}: the store has no layer {layer_id!r}, which the image needs")
            if len(chain) > MAX_LAYERS:
                raise FormatError(f"{self.origin}: the chain of layers is a loop, or too long")
            chain.append(holders[0])
            layer_id = holders[0][1].parent
        return chain[::-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def _manifest(text: bytes, image: StoredImage) -> Manifest:
    manifest = parse_manifest(text, "", f"image {image.id[:12]}")
    if not isinstance(manifest, Manifest):
        raise FormatError(f"the image {image.id[:12]} has an index for a manifest")
    return manifest


def _uncompressed(original: Descriptor, diff_id: Digest, layer: LayerRecord) -> Descriptor:
    """The uncompressed layer's descriptor: *original* itself, if it is not compressed."""
    if layer.diff_id is None or not layer.diff_size:
        raise TransportError(f"the store has no digest of the archive of its layer {layer.id[:12]}")
    if original.digest == diff_id and original.size == layer.diff_size and original.media_type in _RAW:
        return original
    return Descriptor(
        media_type=media_types.OCI_LAYER, digest=diff_id, size=layer.diff_size, annotations=original.annotations
    )


def _synthesise_manifest(stored: Manifest, layers: tuple[Descriptor, ...]) -> Manifest:
    return Manifest(
        config=replace(stored.config, media_type=media_types.OCI_CONFIG),
        layers=tuple(replace(layer, media_type=media_types.OCI_LAYER) for layer in layers),
        annotations=stored.annotations,
        subject=stored.subject,
    )
