"""`docker-archive:FILE[:NAME]`: an archive of `docker save`, of any version; FILE `-` is standard input or output.

Docker 25 and later write an OCI image layout beside manifest.json. It is preferred, because every blob has a digest
there; names are resolved by manifest.json. Without a layout, a manifest is synthesised from the diff ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from eci_convert.compression.codec import Compression, decompressed, detect_compression
from eci_convert.errors import FormatError, LimitExceededError, SizeMismatchError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index, candidates
from eci_convert.oci.manifest import Manifest, parse_manifest, to_json
from eci_convert.streams.blocks import peek
from eci_convert.streams.hashing import at_most
from eci_convert.transports.base import ContainerFiles, SourceTraits
from eci_convert.transports.docker_archive.manifest_json import (
    MANIFEST_JSON,
    ManifestEntry,
    parse_manifest_json,
    select_entry,
)
from eci_convert.transports.docker_archive.sink import DockerArchiveSink, open_sink
from eci_convert.transports.layout import index
from eci_convert.transports.layout.index import layout_entries, resolve_entry
from eci_convert.transports.layout.selector import ImageSelector, distinct, may_be_archive, reference_text, split_path
from eci_convert.transports.settings import Settings
from eci_convert.transports.tar_store.reader import TarStore

__all__ = ["DockerArchiveSink", "DockerArchiveSource", "open_sink", "open_source"]


_MAX_READ = 32 << 20
_SMALL = 1 << 30
_RATIO = 1100


def open_source(rest: str, settings: Settings) -> DockerArchiveSource:
    """The image that *rest*, `FILE[:NAME]`, names. Raises UsageError."""
    path, name = split_path(rest, may_be_archive)
    return DockerArchiveSource(TarStore(path, settings.environ), name)


class DockerArchiveSource:
    """The image *name* in *archive*."""

    def __init__(self, archive: TarStore, name: ImageSelector, origin: str = "") -> None:
        self._archive = archive
        self._name = name
        self._manifests: dict[Digest, bytes] = {}
        self._layers: dict[Digest, _ArchivedLayer] = {}
        self._parsed: dict[Digest, Manifest | Index | None] = {}
        self._budget = _MAX_READ
        self.traits = SourceTraits()
        self.origin = origin or reference_text("docker-archive", archive.path, name)

    def resolve(self) -> Descriptor:
        self._archive.check()
        if MANIFEST_JSON in self._archive:
            saved = select_entry(parse_manifest_json(self._archive.read(MANIFEST_JSON)), self._name, self.origin)
            return self._from_layout(saved) or self._synthesise(saved)
        if index.INDEX in self._archive:
            return resolve_entry(self._archive.read, self._name, self.origin)
        old = "repositories" in self._archive
        what = "written by Docker before 1.10" if old else "not an archive of docker save"
        raise FormatError(f"no {MANIFEST_JSON} in the archive: {what}", where=self.origin)

    @contextmanager
    def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterable[bytes]]:
        if blob.digest in self._manifests:
            yield (self._manifests[blob.digest][skip:],)
            return
        layer = self._layers.get(blob.digest)
        if layer and layer.compression is not Compression.NONE:
            yield _skipping(skip, self._decompressed(layer))
            return
        path = layer.path if layer else index.blob_path(blob.digest)
        size = self._archive.size(path)
        if size != blob.size:
            raise SizeMismatchError(blob.size, size, f"{self.origin}: blob {blob.digest.short}")
        yield self._archive.chunks(path, skip)

    def filesystem(self) -> ContainerFiles | None:
        return None

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        return ()

    def _synthesise(self, saved: ManifestEntry) -> Descriptor:
        """Synthesises a manifest from the config."""
        self.traits = SourceTraits(synthetic=True)
        config = self._archive.read(saved.config)
        layers, sizes = [], dict[tuple[int, int, int], tuple[Compression, int]]()
        for path in saved.layers:  # each file is examined once, even if several entries name it
            place = self._archive.place(path)
            if place not in sizes:
                layer = _ArchivedLayer(path=path, compression=self._compression(path))
                sizes[place] = (layer.compression, self._size(layer))
            layers.append(_ArchivedLayer(path=path, compression=sizes[place][0]))
        manifest = saved.manifest(config, [sizes[self._archive.place(path)][1] for path in saved.layers])
        self._layers = {blob.digest: layer for blob, layer in zip(manifest.layers, layers, strict=True)}
        content = to_json(manifest)
        self._manifests = {saved.check_config(config): config, Digest.of(content): content}
        return Descriptor.of(content, manifest.media_type)

    def _compression(self, path: str) -> Compression:
        head, _ = peek(self._archive.chunks(path))
        return detect_compression(head)

    def _size(self, layer: _ArchivedLayer) -> int:
        """The uncompressed size of a layer. A compressed one is decompressed to measure it, up to the largest ratio of
        gzip, the only compression found here."""
        stored = self._archive.size(layer.path)
        if layer.compression is Compression.NONE:
            return stored
        limit = max(_SMALL, stored * _RATIO)
        return sum(map(len, at_most(self._decompressed(layer), limit, f"the layer {layer.path!r}")))

    def _decompressed(self, layer: _ArchivedLayer) -> Iterator[bytes]:
        return decompressed(self._archive.chunks(layer.path), layer.compression)

    def _from_layout(self, saved: ManifestEntry) -> Descriptor | None:
        """The manifest of the image in the layout beside manifest.json, or the index with it if the archive has several
        platforms. None if there is no layout, or no such image in it."""
        if index.INDEX not in self._archive or saved.id is None:
            return None
        for entry in distinct(layout_entries(self._archive.read, self.origin)):
            manifest = self._manifest(entry)
            if isinstance(manifest, Manifest) and manifest.config.digest == saved.id:
                return entry
            if isinstance(manifest, Index):
                images = [child for child in candidates(manifest) if self._manifest(child)]
                if any(self._is(child, saved.id) for child in images):
                    return images[0] if len(images) == 1 else entry
        return None

    def _is(self, entry: Descriptor, config: Digest) -> bool:
        manifest = self._manifest(entry)
        return isinstance(manifest, Manifest) and manifest.config.digest == config

    def _manifest(self, entry: Descriptor) -> Manifest | Index | None:
        """The manifest or index of *entry*, if it is in the archive."""
        if entry.digest not in self._parsed:
            path = index.blob_path(entry.digest)
            self._parsed[entry.digest] = None
            if path in self._archive:
                content = self._archive.read(path)
                entry.digest.check(content, f"manifest {entry.digest.short}")
                self._budget -= len(content)
                if self._budget < 0:
                    raise LimitExceededError(f"more than {_MAX_READ} bytes of manifests", where=self.origin)
                self._parsed[entry.digest] = parse_manifest(content, entry.media_type)
        return self._parsed[entry.digest]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _ArchivedLayer:
    """A layer in the archive, and its compression."""

    path: str
    compression: Compression


def _skipping(skip: int, chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if skip < len(chunk):
            yield chunk[skip:] if skip else chunk
        skip = max(0, skip - len(chunk))
