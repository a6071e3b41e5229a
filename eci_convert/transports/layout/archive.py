"""`oci-archive:FILE[:NAME]`: an OCI image layout in a tar archive; FILE `-` is standard input or output.

For reading, the layout may be at the top of the archive or in its only directory, and the archive compressed (`.gz`,
`.xz`, `.zst`). Writing creates an archive of one image, which replaces FILE when it is complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from eci_convert.errors import DigestMismatchError, LimitExceededError, NotFoundError, SizeMismatchError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import parse_manifest
from eci_convert.oci.referrers import ReferrerIndex
from eci_convert.transports.base import (
    NO_VARIANTS,
    Catalog,
    ContainerFiles,
    SinkCapabilities,
    SourceTraits,
    Variants,
)
from eci_convert.transports.layout import index
from eci_convert.transports.layout.index import add_image, referrers, resolve_entry
from eci_convert.transports.layout.selector import ImageSelector, may_be_archive, reference_text, split_path
from eci_convert.transports.settings import Settings
from eci_convert.transports.tar_store.reader import TarStore
from eci_convert.transports.tar_store.writer import TarWriter, tar_output
from eci_convert.transports.verified_input import VerifiedInput

_MAX_NESTING = 16


_DOCKER_ARCHIVE = "manifest.json"
"""A file that archives of `docker save` have beside, or instead of, index.json."""


def open_source(rest: str, settings: Settings) -> OciArchiveSource:
    """The image that *rest*, `FILE[:NAME]`, names. Raises UsageError."""
    path, name = split_path(rest, may_be_archive)
    return OciArchiveSource(TarStore(path, settings.environ), name)


def open_sink(rest: str, settings: Settings) -> OciArchiveSink:
    """The sink for *rest*, `FILE[:NAME]`. Raises UsageError."""
    path, name = split_path(rest, may_be_archive)
    return OciArchiveSink(path, name.writable(), settings)


def open_catalog(rest: str, settings: Settings) -> Catalog:
    """All images of the archive of *rest*, `FILE[:NAME]`. Raises UsageError."""
    from eci_convert.transports.layout import catalog

    return catalog.open_archive_catalog(rest, settings)


class OciArchiveSource:
    """The image *name* in *archive*."""

    traits = SourceTraits()

    def __init__(self, archive: TarStore, name: ImageSelector, origin: str = "") -> None:
        self._archive = archive
        self._name = name
        self._top: str | None = None
        self.origin = origin or reference_text("oci-archive", archive.path, name)

    def resolve(self) -> Descriptor:
        self._archive.check()
        try:
            return resolve_entry(self.read, self._name, self.origin)
        except NotFoundError as error:
            if _DOCKER_ARCHIVE in self._archive and index.INDEX not in self._archive:
                error.add_note(f"hint: this is an archive of docker save: use docker-archive:{self._archive.path}")
            raise

    @contextmanager
    def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterable[bytes]]:
        path = self._below(index.blob_path(blob.digest))
        size = self._archive.size(path)
        if size != blob.size:
            raise SizeMismatchError(blob.size, size, f"{self.origin}: blob {blob.digest.short}")
        yield self._archive.chunks(path, skip)

    def filesystem(self) -> ContainerFiles | None:
        return None

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        return referrers(self.read, self.origin, subject)

    def read(self, path: str) -> bytes:
        """The whole of a small file by its path in the layout."""
        return self._archive.read(self._below(path))

    def _below(self, path: str) -> str:
        if self._top is None:
            self._top = _top(self._archive.names())
        return self._top + path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()


class OciArchiveSink:
    """Writes an archive at *path* with one image, *name*."""

    capabilities = SinkCapabilities()

    def __init__(self, path: str, name: ImageSelector, settings: Settings) -> None:
        self._path = path
        self._name = name
        self._output: TarWriter = tar_output(path, settings.environ)
        self._blobs: dict[Digest, int] = {}
        self._manifests: dict[Digest, tuple[str, bytes]] = {}
        self._referrers = ReferrerIndex()

    @property
    def destination(self) -> str:
        return reference_text("oci-archive", self._path, self._name)

    def has(self, blob: Descriptor) -> bool:
        if blob.digest in self._manifests:
            return len(self._manifests[blob.digest][1]) == blob.size
        return self._blobs.get(blob.digest) == blob.size

    def put(
        self, media_type: str, chunks: Iterable[bytes], *, digest: Digest | None = None, size: int | None = None
    ) -> Descriptor:
        received = VerifiedInput(self._referrers.record(media_type, chunks, digest), digest, size)
        if media_type in media_types.DOCUMENTS:
            content = b"".join(received)
            stored = received.descriptor(media_type)
            self._manifests[stored.digest] = (media_type, content)
        else:
            self._output.add(received, lambda computed: index.blob_path(computed) if computed else "")
            stored = received.descriptor(media_type)
            self._blobs[stored.digest] = stored.size
        return stored

    def publish(self, manifest: Descriptor, variants: Variants = NO_VARIANTS) -> None:
        if self._name.digest not in (None, manifest.digest):
            raise DigestMismatchError(self._name.digest, manifest.digest, "the manifest")
        if not self.has(manifest):
            raise NotFoundError(f"{self.destination}: manifest {manifest.digest} was not written")
        order: dict[Digest, None] = {}
        self._walk(manifest.digest, order)
        order |= dict.fromkeys(sorted({*self._blobs, *self._manifests} - {*order}))  # blobs that no manifest refers to
        for digest in order:
            if digest in self._manifests:
                self._add(index.blob_path(digest), self._manifests[digest][1])
        self._add(index.MARKER, index.MARKER_TEXT)
        referrer_entries = (entry for entry, _ in self._referrers.others(manifest.digest))
        self._add(index.INDEX, add_image(None, manifest, self._name.text, referrer_entries, variants))
        self._output.finish([*map(index.blob_path, order), index.MARKER, index.INDEX])

    def _add(self, path: str, content: bytes) -> None:
        self._output.add(VerifiedInput((content,), Digest.of(content), len(content)), lambda _: path)

    def _walk(self, digest: Digest, order: dict[Digest, None], levels: int = _MAX_NESTING) -> None:
        """Adds *digest* and all blobs written that it refers to to *order*, referenced blobs first."""
        if digest in order or not (digest in self._blobs or digest in self._manifests):
            return
        if digest in self._manifests:
            if not levels:
                raise LimitExceededError(f"indexes are nested more than {_MAX_NESTING} deep", where=self.destination)
            media_type, content = self._manifests[digest]
            manifest = parse_manifest(content, media_type)
            for child in manifest.manifests if isinstance(manifest, Index) else (*manifest.layers, manifest.config):
                self._walk(child.digest, order, levels - 1)
        order[digest] = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._output.close()


def _top(names: Iterable[str]) -> str:
    """The prefix of all names in an archive whose files are in one directory; else ""."""
    all_names = list(names)
    top_level = {name.partition("/")[0] for name in all_names}
    if index.INDEX not in all_names and len(top_level) == 1:
        return f"{top_level.pop()}/"
    return ""
