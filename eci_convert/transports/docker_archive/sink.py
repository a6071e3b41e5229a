"""Writes archives for `docker load` as a stream: uncompressed layers, then the config, then manifest.json.

A layer is stored as its uncompressed tar archive, and must have the diff id in the config. Docker 20.10 and later,
podman and skopeo accept any file names. A layer is named by its diff id; if that is unknown when its header is written
to a stream, it gets a unique name, because containerd resumes an aborted file of the same name.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from eci_convert.compression.codec import Compression, decompressed, detect_compression
from eci_convert.errors import (
    CannotHoldError,
    DigestMismatchError,
    FormatError,
    NotFoundError,
    UsageError,
)
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import ImageConfig
from eci_convert.oci.json_fields import MAX_DOCUMENT
from eci_convert.oci.manifest import Manifest, parse_manifest
from eci_convert.oci.reference import Reference
from eci_convert.streams.blocks import peek
from eci_convert.streams.hashing import at_most
from eci_convert.transports.base import NO_VARIANTS, SinkCapabilities, Variants
from eci_convert.transports.docker_archive import manifest_json
from eci_convert.transports.docker_archive.manifest_json import MANIFEST_JSON, ManifestEntry
from eci_convert.transports.layout.selector import ImageSelector, may_be_archive, reference_text, split_path
from eci_convert.transports.settings import Settings
from eci_convert.transports.tar_store.writer import TarWriter, tar_output
from eci_convert.transports.verified_input import VerifiedInput


def open_sink(rest: str, settings: Settings) -> DockerArchiveSink:
    """The sink for *rest*, `FILE[:NAME]`. Raises UsageError."""
    path, name = split_path(rest, may_be_archive)
    if name.digest:
        raise UsageError(f"'@{name.digest}': a docker-archive does not record the digest of its image")
    tags = (Reference.parse(name.text).familiar,) if name.writable().text else ()
    return DockerArchiveSink(path, name, DockerArchiveWriter(tar_output(path, settings.environ), tags))


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredLayer:
    """A layer in the archive: the name of its member, its diff id, and its size in bytes as it was given."""

    name: str
    diff_id: Digest
    size: int


class DockerArchiveWriter:
    """Writes an archive for `docker load` to *output*; *tags* are the image's names as Docker shows them.

    To a `tar_store.writer.StreamOutput` the archive is passed in chunks, in order, by the thread that calls `put` or
    `publish`. Layers of known size are passed through; others are spooled first (`$TMPDIR`). The archive ends within
    `publish`; `close` without it leaves a truncated archive, which an engine refuses.
    """

    def __init__(self, output: TarWriter, tags: tuple[str, ...] = ()) -> None:
        self._output = output
        self._tags = tags
        self._layers: dict[Digest, _StoredLayer] = {}
        self._small_blobs: dict[Digest, bytes] = {}

    def has(self, blob: Descriptor) -> bool:
        """Whether *blob* was put."""
        if blob.digest in self._small_blobs:
            return len(self._small_blobs[blob.digest]) == blob.size
        return blob.digest in self._layers and self._layers[blob.digest].size == blob.size

    def put(self, media_type: str, chunks: Iterable[bytes], digest: Digest | None, size: int | None) -> Descriptor:
        """As `Sink.put`. Raises CannotHoldError for anything but tar layers, configs and manifests."""
        received = VerifiedInput(chunks, digest, size)
        if media_types.is_tar_layer(media_type):
            self._layer(received)
        elif media_type in media_types.DOCUMENTS | media_types.CONFIGS:
            content = b"".join(at_most(received, MAX_DOCUMENT, "a manifest or config"))
            self._small_blobs[received.descriptor("").digest] = content
        else:
            raise CannotHoldError(f"an archive for docker load cannot hold a blob of type {media_type!r}")
        return received.descriptor(media_type)

    def publish(self, manifest: Descriptor) -> Digest:
        """Completes the archive with the image *manifest*, and returns the image id.

        Raises NotFoundError for blobs that were not put, CannotHoldError for an index, and DigestMismatchError for
        layers that do not match the diff ids of the config, which every engine would refuse.
        """
        parsed = parse_manifest(self._small_blob(manifest), manifest.media_type)
        if not isinstance(parsed, Manifest):
            raise CannotHoldError("an archive for docker load holds one image, not an index")
        config = self._small_blob(parsed.config)
        layers = [self._stored(layer) for layer in parsed.layers]
        _check(layers, ImageConfig.parse(config).diff_ids)
        digest = Digest.of(config)
        saved = ManifestEntry(
            config=f"{digest.hex}.json", layers=tuple(layer.name for layer in layers), tags=self._tags
        )
        self._add(saved.config, config)
        self._add(MANIFEST_JSON, manifest_json.manifest_json_text((saved,)))
        self._output.finish([*dict.fromkeys(saved.layers), saved.config, MANIFEST_JSON])
        return digest

    def close(self) -> None:
        """Releases all resources. An archive that was not published is discarded."""
        self._output.close()

    def _layer(self, received: VerifiedInput) -> None:
        head, chunks = peek(received)
        compression = detect_compression(head)
        is_tar = compression is Compression.NONE and (not received.expected or received.expected.algorithm == "sha256")
        tar_input = VerifiedInput(
            decompressed(chunks, compression),
            received.expected if is_tar else None,
            received.expected_size if is_tar else None,
        )
        name = self._output.add(tar_input, self._named)
        blob = received.descriptor("")
        self._layers[blob.digest] = _StoredLayer(name=name, diff_id=tar_input.descriptor("").digest, size=blob.size)

    def _named(self, digest: Digest | None) -> str:
        return f"{digest.hex}.tar" if digest else f"layer-{secrets.token_hex(8)}.tar"

    def _small_blob(self, blob: Descriptor) -> bytes:
        if blob.data is not None:
            blob.digest.check(blob.data)
            return blob.data
        if blob.digest not in self._small_blobs:
            raise NotFoundError(f"{blob.digest} was not written")
        return self._small_blobs[blob.digest]

    def _stored(self, layer: Descriptor) -> _StoredLayer:
        if layer.digest not in self._layers:
            raise NotFoundError(f"the layer {layer.digest} was not written")
        return self._layers[layer.digest]

    def _add(self, name: str, content: bytes) -> None:
        self._output.add(VerifiedInput((content,), Digest.of(content), len(content)), lambda _: name)


class DockerArchiveSink:
    """Writes an archive with one image at *path*."""

    capabilities = SinkCapabilities(artifacts=False, indexes=False, stores_uncompressed=True)

    def __init__(self, path: str, name: ImageSelector, writer: DockerArchiveWriter) -> None:
        self._path = path
        self._name = name
        self._writer = writer

    @property
    def destination(self) -> str:
        return reference_text("docker-archive", self._path, self._name)

    def has(self, blob: Descriptor) -> bool:
        return self._writer.has(blob)

    def put(
        self, media_type: str, chunks: Iterable[bytes], *, digest: Digest | None = None, size: int | None = None
    ) -> Descriptor:
        return self._writer.put(media_type, chunks, digest, size)

    def publish(self, manifest: Descriptor, variants: Variants = NO_VARIANTS) -> None:
        self._writer.publish(manifest)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()


def _check(layers: list[_StoredLayer], diff_ids: tuple[Digest, ...]) -> None:
    if len(layers) != len(diff_ids):
        raise FormatError(f"{len(layers)} layers, but {len(diff_ids)} diff ids in the config", where="config.rootfs")
    for number, (layer, diff_id) in enumerate(zip(layers, diff_ids, strict=True)):
        if diff_id.algorithm != layer.diff_id.algorithm:
            raise CannotHoldError(f"an archive for docker load supports sha256 digests only, not {diff_id.short!r}")
        if layer.diff_id != diff_id:
            error = DigestMismatchError(diff_id, layer.diff_id, f"layer {number}, uncompressed")
            error.add_note("hint: the image has wrong diff ids; `eci-convert verify --fix` corrects them")
            raise error
