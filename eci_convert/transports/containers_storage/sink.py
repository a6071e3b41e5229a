"""Writes an image to a store, for any user who can write to its directory: no daemon or other program is needed.

A layer is unpacked as it is received, beside the existing ones; `publish` adds layers and image to the index files.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Self

from eci_convert.errors import CannotHoldError, DigestMismatchError, FormatError, NotFoundError
from eci_convert.oci import json_fields, media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import ImageConfig
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import Manifest, parse_manifest
from eci_convert.oci.reference import Reference
from eci_convert.progress import waiting
from eci_convert.streams.hashing import at_most
from eci_convert.tar.input import ExtensionBudget
from eci_convert.transports.base import NO_VARIANTS, SinkCapabilities, Variants
from eci_convert.transports.containers_storage.commit import NewImage, NewLayer, commit, layer_id
from eci_convert.transports.containers_storage.drivers.staging import Staged, Staging
from eci_convert.transports.containers_storage.index_files import LayerRecord
from eci_convert.transports.containers_storage.layers.layer_archive import rebuild_archive
from eci_convert.transports.containers_storage.layers.layer_import import import_layer
from eci_convert.transports.containers_storage.location import StoreLocation
from eci_convert.transports.containers_storage.store import open_store
from eci_convert.transports.ids import check_is_name
from eci_convert.transports.settings import Settings
from eci_convert.transports.verified_input import VerifiedInput


class StorageSink:
    """An image name in containers-storage."""

    capabilities = SinkCapabilities(artifacts=False, indexes=False, sha512=False, stores_uncompressed=True)

    def __init__(self, place: StoreLocation, settings: Settings) -> None:
        check_is_name(place.name)
        reference = Reference.parse(place.name)
        self._name, self._digest = reference.store_name, reference.digest
        self._reporter = settings.reporter
        self._store = open_store(place.root, place.driver, settings.timeout)
        self._lock = threading.Lock()
        self._budget = ExtensionBudget()
        self._staging: Staging | None = None
        self._documents: dict[Digest, bytes] = {}
        self._staged: dict[Digest, Staged] = {}
        self._existing_layers: dict[Digest, LayerRecord] = {}
        self._used: set[Digest] = set()

    @property
    def destination(self) -> str:
        return f"containers-storage:[{self._store.driver.name}@{self._store.root}]{self._name}"

    def has(self, blob: Descriptor) -> bool:
        if not self._store.exists():
            return False
        with waiting(self._reporter, f"the locks of {self._store.root}"):
            layers = self._store.layers()
        for layer in layers.values():
            if layer.complete and (blob.digest, blob.size) in (
                (layer.digest, layer.size),
                (layer.diff_id, layer.diff_size),
            ):
                self._existing_layers[blob.digest] = layer
                return True
        return False

    def put(
        self, media_type: str, chunks: Iterable[bytes], *, digest: Digest | None = None, size: int | None = None
    ) -> Descriptor:
        received = VerifiedInput(chunks, digest, size)
        if media_type in media_types.DOCUMENTS | media_types.CONFIGS:
            content = b"".join(at_most(received, json_fields.MAX_DOCUMENT, "a manifest or config"))
            stored = received.descriptor(media_type)
            self._documents[stored.digest] = content
            return stored
        if not media_types.is_tar_layer(media_type):
            raise _no_container(media_type)
        staged = import_layer(
            self._open_staging(), self._store.driver, media_type, received, self._reporter, self._budget
        )
        with self._lock:
            self._staged[staged.blob.digest] = staged
        return staged.blob

    def publish(self, manifest: Descriptor, variants: Variants = NO_VARIANTS) -> None:
        if self._digest not in (None, manifest.digest):
            raise DigestMismatchError(self._digest, manifest.digest, "the manifest")
        text = self._small_blob(manifest.digest, "manifest")
        parsed = _check_supported(parse_manifest(text, manifest.media_type))
        content = self._small_blob(parsed.config.digest, "config")
        config = ImageConfig.parse(content)
        self._store.make()
        with waiting(self._reporter, f"the layers to be written to {self._store.root}"):
            layers = tuple(self._layers(parsed, config))
        if len(layers) > self._store.driver.max_layers:
            raise CannotHoldError(
                f"{len(layers)} layers are more than the driver can stack ({self._store.driver.max_layers})"
            )
        image = NewImage(
            name=self._name,
            layers=layers,
            manifest=(manifest.digest, text),
            config=(parsed.config.digest, content),
            created=config.created,
        )
        with waiting(self._reporter, f"the locks of {self._store.root}"):
            commit(self._store, image)

    def _open_staging(self) -> Staging:
        with self._lock:
            if self._staging is None:
                if self._store.exists():
                    self._store.images()  # refuse an invalid store before the first byte
                self._staging = self._store.staging()
            return self._staging

    def _small_blob(self, digest: Digest, what: str) -> bytes:
        if digest not in self._documents:
            raise NotFoundError(f"the {what} {str(digest)!r} was not written to the store")
        return self._documents[digest]

    def _layers(self, manifest: Manifest, config: ImageConfig) -> Iterator[NewLayer]:
        """The image's layers, the lowest first: existing ones, and new complete ones."""
        if len(manifest.layers) != len(config.diff_ids):
            raise FormatError(f"the image has {len(manifest.layers)} layers and {len(config.diff_ids)} diff ids")
        existing = self._store.layers() if self._store.exists() else {}
        parent, below = "", None
        for blob, diff_id in zip(manifest.layers, config.diff_ids, strict=True):
            identity = layer_id(parent, diff_id)
            self._check(blob, diff_id)
            if identity in existing and existing[identity].complete:
                yield NewLayer(id=identity, parent=parent, staged=None)
                below = self._store.driver.content(identity)
            else:
                staged = self._take(blob)
                self._store.driver.complete(staged, below)
                yield NewLayer(id=identity, parent=parent, staged=staged)
                below = staged.diff
            parent = identity

    def _check(self, blob: Descriptor, diff_id: Digest) -> None:
        """Raises DigestMismatchError if the layer *blob* has another archive, NotFoundError if there is none."""
        if blob.digest in self._staged:
            actual: Digest | None = self._staged[blob.digest].diff_id
        elif blob.digest in self._existing_layers:
            actual = self._existing_layers[blob.digest].diff_id
        else:
            raise NotFoundError(f"the layer {str(blob.digest)!r} was not written to the store")
        if actual != diff_id:
            error = DigestMismatchError(diff_id, actual, f"the archive in the layer {blob.digest.short}")
            error.add_note("hint: the image's config is wrong; `eci-convert verify --fix` corrects it")
            raise error

    def _take(self, blob: Descriptor) -> Staged:
        """The unpacked layer, for one use: rebuilt if the store has it already, or if this image uses it twice."""
        if blob.digest not in self._used and blob.digest in self._staged:
            self._used.add(blob.digest)
            return self._staged[blob.digest]
        if blob.digest in self._staged:
            staged = self._staged[blob.digest]
            archive = rebuild_archive(staged.split, staged.diff)
            verified_input = VerifiedInput(archive, staged.diff_id, staged.size)
        else:
            layer = self._existing_layers[blob.digest]
            archive = rebuild_archive(self._store.split_file(layer.id), self._store.driver.content(layer.id))
            verified_input = VerifiedInput(archive, layer.diff_id, layer.diff_size)
        again = import_layer(
            self._open_staging(),
            self._store.driver,
            media_types.OCI_LAYER,
            verified_input,
            self._reporter,
            self._budget,
        )
        return replace(again, blob=blob)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._staging is not None:
            self._staging.end()
            self._staging = None


def _check_supported(manifest: Manifest | Index) -> Manifest:
    """*manifest*, if containers-storage can hold it. Raises CannotHoldError."""
    if isinstance(manifest, Index):
        raise CannotHoldError("containers-storage holds one image under a name, not an index")
    if manifest.config.media_type not in media_types.CONFIGS:
        raise CannotHoldError(
            f"containers-storage cannot hold an image with a config of type {manifest.config.media_type!r}"
        )
    for blob in (manifest.config, *manifest.layers):
        if blob.digest.algorithm != "sha256":
            raise CannotHoldError(f"containers-storage supports sha256 digests only, not {blob.digest.short!r}")
        if blob is not manifest.config and not media_types.is_tar_layer(blob.media_type):
            raise _no_container(blob.media_type)
    return manifest


def _no_container(media_type: str) -> CannotHoldError:
    error = CannotHoldError(f"containers-storage cannot hold a blob of type {media_type!r}")
    error.add_note("hint: use --format legacy for such stores")
    return error
