"""An image on its way into the Docker engine: one archive in one stream, never on a disk here.

The archive is two things at once. Its manifest.json is what `docker load` has always read. Beside it stands an OCI
layout's index.json: an engine that keeps its images in containerd reads that, and then keeps the manifest, annotations
and all, under its own digest. Neither minds what the layers' files are called, so a layer is sent before anybody knows
its digest; its length must be known, or it is spooled. But no two loads may call them alike: containerd goes on where
it was with a file of a name that it has seen in a load that broke off.

A layer that is compressed although its media type says it is not, or with xz or bzip2, for which there are no media
types, is sent as the archive that it is: containerd would take its bytes for one. The manifest then says so.
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
    LimitExceededError,
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
from eci_convert.streams.repeatable import SparseStream
from eci_convert.tasks import current_task
from eci_convert.transports.base import NO_VARIANTS, SinkCapabilities, Variants
from eci_convert.transports.docker_daemon.engine import Engine, image_id
from eci_convert.transports.docker_daemon.load import LoadRequest
from eci_convert.transports.ids import check_is_name
from eci_convert.transports.settings import Settings
from eci_convert.transports.tar_store.stream_writer import StreamTarWriter
from eci_convert.transports.verified_input import VerifiedInput

_READS_ZSTD: Final = (1, 42)
"""The API of Docker 23, whose classic store was the first to read layers of zstd."""


class DaemonSink:
    """A place for one image under *name* in the engine that *settings* lead to. Raises UsageError for no such name."""

    capabilities = SinkCapabilities(artifacts=False, indexes=False, sha512=False, stores_uncompressed=True)

    def __init__(self, name: str, settings: Settings) -> None:
        check_is_name(name)
        self._reference = Reference.parse(name)
        if self._reference.digest or not self._reference.tag:
            raise UsageError(f"{name!r}: an image is loaded under a name and a tag, not under a digest")
        self._engine = Engine(settings)
        self._load = LoadRequest(self._engine, self.destination)
        self._archive = StreamTarWriter(self._load.write, settings.environ)
        self._layers: dict[Digest, str] = {}
        self._archives: dict[Digest, Descriptor] = {}
        self._documents: dict[Digest, bytes] = {}
        self._prefix = secrets.token_hex(8)
        self._sent = 0

    @property
    def destination(self) -> str:
        return f"docker-daemon:{self._reference.familiar}"

    def has(self, blob: Descriptor) -> bool:
        return False

    def put(
        self, media_type: str, chunks: Iterable[bytes], *, digest: Digest | None = None, size: int | None = None
    ) -> Descriptor:
        if media_types.is_tar_layer(media_type):
            return self._layer_sent(media_type, chunks, digest, size)
        received = VerifiedInput(chunks, digest, size)
        document = self._buffered(received)
        stored = received.descriptor(media_type)
        self._documents[stored.digest] = document
        return stored

    def publish(self, manifest: Descriptor, variants: Variants = NO_VARIANTS) -> None:
        document = self._document(manifest.digest)
        found = parse_manifest(document, manifest.media_type)
        if not isinstance(found, Manifest):
            raise CannotHoldError(f"{self.destination} cannot hold an index of several images")
        config = self._document(found.config.digest)
        self._check_diff_ids(found, config)
        sent = replace(found, layers=tuple(self._as_sent(layer) for layer in found.layers))
        document = document if sent == found else to_json(sent)
        root = Descriptor.of(document, found.media_type) if sent != found else replace(manifest, size=len(document))
        for name, text in self._index(found, root, document).items():
            self._archive.add(name, VerifiedInput((text,), None, len(text)))
        self._archive.finish()
        self._load.finish()
        self._check_is_there({str(root.digest), str(found.config.digest)})

    def _layer_sent(
        self, media_type: str, chunks: Iterable[bytes], digest: Digest | None, size: int | None
    ) -> Descriptor:
        """Sends a layer: as it is, or as the archive in it where the engine could not read it."""
        if task := current_task():
            task.travels()
        data = chunks.data() if isinstance(chunks, SparseStream) else None
        head, chunks = peek(chunks)
        received, compression = VerifiedInput(chunks, digest, size), detect_compression(head)
        name = f"{self._prefix}/{self._sent}.tar"
        self._sent += 1
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

    def _as_sent(self, layer: Descriptor) -> Descriptor:
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

    def _index(self, manifest: Manifest, root: Descriptor, document: bytes) -> dict[str, bytes]:
        """The small files of the archive: config and manifest, and what says which they are, twice."""
        config = f"{manifest.config.digest.hex}.json"
        layers = [self._layer(layer) for layer in manifest.layers]
        entry = root.json() | {
            "annotations": {
                "io.containerd.image.name": str(self._reference),
                "org.opencontainers.image.ref.name": self._reference.tag,
            }
        }
        return {
            config: self._document(manifest.config.digest),
            f"{root.digest.hex}.manifest": document,
            "manifest.json": _json([{"Config": config, "RepoTags": [self._reference.familiar], "Layers": layers}]),
            "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
            "index.json": to_json({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [entry]}),
        }

    def _buffered(self, received: VerifiedInput) -> bytes:
        found = bytearray()
        for chunk in received:
            found += chunk
            if len(found) > MAX_DOCUMENT:
                raise LimitExceededError(f"a document is more than {MAX_DOCUMENT} bytes", where=self.destination)
        return bytes(found)

    def _document(self, digest: Digest) -> bytes:
        if digest not in self._documents:
            raise NotFoundError(f"{self.destination}: no blob {digest}")
        return self._documents[digest]

    def _layer(self, layer: Descriptor) -> str:
        if layer.digest not in self._layers:
            raise NotFoundError(f"{self.destination}: no blob {layer.digest}")
        return self._layers[layer.digest]

    def _check_diff_ids(self, manifest: Manifest, config: bytes) -> None:
        """What the engine would refuse in words of its own, after it has taken everything."""
        diff_ids = ImageConfig.parse(config).diff_ids
        if len(diff_ids) != len(manifest.layers):
            raise CannotHoldError(
                f"{self.destination}: the config names {len(diff_ids)} layers and the manifest {len(manifest.layers)}"
            )
        for number, (layer, diff_id) in enumerate(zip(manifest.layers, diff_ids, strict=True)):
            archive = self._archives.get(layer.digest)
            if archive and archive.digest.algorithm == diff_id.algorithm and archive.digest != diff_id:
                raise DigestMismatchError(diff_id, archive.digest, f"layer {number}")

    def _check_is_there(self, expected: set[str]) -> None:
        """An engine says "loaded" in English, and a stream that was cut says nothing: so it is asked."""
        found = image_id(self._engine.inspect_image(self._reference.familiar), self.destination)
        if found not in expected:
            raise TransportError(
                f"{self.destination}: the Docker engine has {found} under this name, which was not sent"
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
