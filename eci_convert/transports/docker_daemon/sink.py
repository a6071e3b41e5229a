"""Loads an image into the Docker engine: one archive in one stream, never on the local disk.

The archive has two formats at once. Its manifest.json is what `docker load` has always read. Its OCI layout's
index.json is read by engines with containerd's store, which keep the manifest, including annotations, under its own
digest. File names of layers are arbitrary in both, so a layer is sent before its digest is known; its length must be
known, or it is spooled. File names must be unique among loads: containerd resumes an aborted ingest by name.

A layer that is compressed although its media type is uncompressed, or compressed with xz or bzip2, which have no media
types, is decompressed: containerd would otherwise store the compressed bytes as tar. The manifest is adjusted.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self

from eci_convert.compression.codec import Compression, decompressed, detect_compression
from eci_convert.errors import (
    CannotHoldError,
    DigestMismatchError,
    NotFoundError,
    TransportError,
    UsageError,
)
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import ImageConfig
from eci_convert.oci.json_fields import MAX_DOCUMENT
from eci_convert.oci.manifest import Manifest, parse_manifest, to_json
from eci_convert.oci.reference import Reference
from eci_convert.streams.blocks import peek
from eci_convert.streams.hashing import at_most
from eci_convert.streams.repeatable import data_regions
from eci_convert.tasks import current_task
from eci_convert.transports.base import NO_VARIANTS, SinkCapabilities, Variants
from eci_convert.transports.docker_daemon.engine import Engine, image_id
from eci_convert.transports.docker_daemon.load import LoadRequest
from eci_convert.transports.ids import check_is_name
from eci_convert.transports.settings import Settings
from eci_convert.transports.tar_store.stream_writer import StreamTarWriter
from eci_convert.transports.verified_input import VerifiedInput

_READS_ZSTD: Final = (1, 42)
"""The API of Docker 23, whose classic store was the first to read zstd layers."""


class DaemonSink:
    """The sink for one image, *name*, in the engine of *settings*. Raises UsageError for an invalid name."""

    capabilities = SinkCapabilities(artifacts=False, indexes=False, sha512=False, stores_uncompressed=True)

    def __init__(self, name: str, settings: Settings) -> None:
        check_is_name(name)
        self._reference = Reference.parse(name)
        if self._reference.digest or not self._reference.tag:
            raise UsageError(f"{name!r}: the Docker engine loads an image under a name and tag, not under a digest")
        self._engine = Engine(settings)
        self._load = LoadRequest(self._engine, self.destination)
        self._archive = StreamTarWriter(self._load.write, settings.environ)
        self._layers: dict[Digest, str] = {}
        self._archives: dict[Digest, Descriptor] = {}
        self._small_blobs: dict[Digest, bytes] = {}
        self._prefix = secrets.token_hex(8)
        self._layer_count = 0

    @property
    def destination(self) -> str:
        return f"docker-daemon:{self._reference.familiar}"

    def has(self, blob: Descriptor) -> bool:
        return False

    def put(
        self, media_type: str, chunks: Iterable[bytes], *, digest: Digest | None = None, size: int | None = None
    ) -> Descriptor:
        if media_types.is_tar_layer(media_type):
            return self._send_layer(media_type, chunks, digest, size)
        received = VerifiedInput(chunks, digest, size)
        content = b"".join(at_most(received, MAX_DOCUMENT, "a manifest or config"))
        stored = received.descriptor(media_type)
        self._small_blobs[stored.digest] = content
        return stored

    def publish(self, manifest: Descriptor, variants: Variants = NO_VARIANTS) -> None:
        content = self._small_blob(manifest.digest)
        parsed = parse_manifest(content, manifest.media_type)
        if not isinstance(parsed, Manifest):
            raise CannotHoldError(f"{self.destination} cannot hold an index of several images")
        config = self._small_blob(parsed.config.digest)
        self._check_diff_ids(parsed, config)
        sent = replace(parsed, layers=tuple(self._sent_descriptor(layer) for layer in parsed.layers))
        content = content if sent == parsed else to_json(sent)
        root = Descriptor.of(content, parsed.media_type) if sent != parsed else replace(manifest, size=len(content))
        for name, text in self._index(parsed, root, content).items():
            self._archive.add(name, VerifiedInput((text,), None, len(text)))
        self._archive.finish()
        self._load.finish()
        self._check_loaded({str(root.digest), str(parsed.config.digest)})

    def _send_layer(
        self, media_type: str, chunks: Iterable[bytes], digest: Digest | None, size: int | None
    ) -> Descriptor:
        """Sends a layer: unchanged, or decompressed if the engine could not read it."""
        if task := current_task():
            task.travels()
        data = data_regions(chunks)
        head, chunks = peek(chunks)
        received, compression = VerifiedInput(chunks, digest, size), detect_compression(head)
        name = f"{self._prefix}/{self._layer_count}.tar"
        self._layer_count += 1
        plain: VerifiedInput | None = None
        if self._must_be_plain(media_type, compression):
            plain = VerifiedInput(decompressed(received, compression), None, None)
        self._archive.add(name, plain or received, None if plain else data)
        stored = received.descriptor(media_type)
        self._layers[stored.digest] = name
        if plain or compression is Compression.NONE:
            self._archives[stored.digest] = (plain or received).descriptor(media_types.raw_type(media_type))
        return stored

    def _must_be_plain(self, media_type: str, compression: Compression) -> bool:
        match compression:
            case Compression.NONE:
                return False
            case Compression.XZ | Compression.BZIP2:
                return True
            case _ if media_types.is_raw_layer(media_type):
                return True
            case _:
                return compression is Compression.ZSTD and not self._reads_zstd()

    def _sent_descriptor(self, layer: Descriptor) -> Descriptor:
        archive = self._archives.get(layer.digest)
        if archive is None or archive.digest == layer.digest:
            return layer
        return replace(
            layer, media_type=archive.media_type, digest=archive.digest, size=archive.size, data=None, urls=()
        )

    def _reads_zstd(self) -> bool:
        with self._engine.client() as client:
            if client.at_least(*_READS_ZSTD):
                return True
        return self._engine.keeps_images_in_containerd

    def _index(self, manifest: Manifest, root: Descriptor, content: bytes) -> dict[str, bytes]:
        """The small files of the archive: config, manifest, and the index files of both formats."""
        config = f"{manifest.config.digest.hex}.json"
        layers = [self._layer_file(layer) for layer in manifest.layers]
        entry = root.json() | {
            "annotations": {
                "io.containerd.image.name": str(self._reference),
                "org.opencontainers.image.ref.name": self._reference.tag,
            }
        }
        return {
            config: self._small_blob(manifest.config.digest),
            f"{root.digest.hex}.manifest": content,
            "manifest.json": _json([{"Config": config, "RepoTags": [self._reference.familiar], "Layers": layers}]),
            "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
            "index.json": to_json({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [entry]}),
        }

    def _small_blob(self, digest: Digest) -> bytes:
        if digest not in self._small_blobs:
            raise NotFoundError(f"{self.destination}: no blob {digest}")
        return self._small_blobs[digest]

    def _layer_file(self, layer: Descriptor) -> str:
        if layer.digest not in self._layers:
            raise NotFoundError(f"{self.destination}: no blob {layer.digest}")
        return self._layers[layer.digest]

    def _check_diff_ids(self, manifest: Manifest, config: bytes) -> None:
        """Raises the error that the engine would report only after receiving everything."""
        diff_ids = ImageConfig.parse(config).diff_ids
        if len(diff_ids) != len(manifest.layers):
            raise CannotHoldError(
                f"{self.destination}: {len(diff_ids)} diff ids in the config, {len(manifest.layers)} layers"
            )
        for number, (layer, diff_id) in enumerate(zip(manifest.layers, diff_ids, strict=True)):
            archive = self._archives.get(layer.digest)
            if archive and archive.digest.algorithm == diff_id.algorithm and archive.digest != diff_id:
                raise DigestMismatchError(diff_id, archive.digest, f"layer {number}")

    def _check_loaded(self, expected: set[str]) -> None:
        """Checks the image id: `docker load` reports success in English only, and reports nothing for a truncated
        stream."""
        loaded_id = image_id(self._engine.inspect_image(self._reference.familiar), self.destination)
        if loaded_id not in expected:
            raise TransportError(
                f"{self.destination}: after the load the Docker engine has another image, {loaded_id}, under this name"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._load.abandon()
        self._engine.close()


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
