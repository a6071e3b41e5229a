"""`oci:DIR[:NAME]`: an OCI image layout in a directory (image-spec v1.1.1, image-layout.md).

Reading makes nothing and follows no link below DIR. Writing keeps what others wrote: blobs get their names when all of
them are complete, then index.json is read, changed and replaced under a lock on DIR.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from eci_convert.errors import DigestMismatch, FormatError, NotFound, SizeMismatch
from eci_convert.files import safe_open
from eci_convert.files.atomic import replacing
from eci_convert.files.locks import exclusive
from eci_convert.files.temp_files import local_errors
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Descriptor
from eci_convert.oci.referrers import Referrers
from eci_convert.transports.base import NO_PROVENANCE, NO_VARIANTS, Filesystem, Settings, Variants
from eci_convert.transports.layout.blob_staging import Ingest
from eci_convert.transports.layout.index import (
    INDEX,
    MARKER,
    MARKER_TEXT,
    blob_path,
    images,
    referring,
    resolved,
    with_image,
)
from eci_convert.transports.layout.selector import Name, split
from eci_convert.transports.verified_input import Received


def open_source(rest: str, settings: Settings) -> LayoutSource:
    """The image that *rest*, `DIR[:NAME]`, stands for. Raises UsageError."""
    path, name = split(rest, os.path.isdir)
    return LayoutSource(Path(path), name)


def open_sink(rest: str, settings: Settings, *, first: bool = False) -> LayoutSink:
    """A place for an image under *rest*, `DIR[:NAME]`; *first*: it is listed before all others. Raises UsageError."""
    path, name = split(rest, os.path.isdir)
    return LayoutSink(Path(path), name.writable(), settings, first=first)


class LayoutSource:
    """The image that *directory* keeps under *name*."""

    provenance = NO_PROVENANCE
    resumable = False
    made_up = False

    def __init__(self, directory: Path, name: Name) -> None:
        self._directory = directory
        self._name = name

    @property
    def origin(self) -> str:
        return _spelt(self._directory, self._name)

    def resolve(self) -> Descriptor:
        return resolved(self._read, self._name, self.origin)

    @contextmanager
    def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterable[bytes]]:
        with safe_open.opened(self._directory, *blob_path(blob.digest).split("/")) as descriptor:
            size = os.fstat(descriptor).st_size
            if size != blob.size:
                raise SizeMismatch(blob.size, size, f"{self.origin}: blob {blob.digest.short}")
            yield safe_open.between(descriptor, skip, size)

    def filesystem(self) -> Filesystem | None:
        return None

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        return referring(self._read, self.origin, subject)

    def _read(self, path: str) -> bytes:
        return safe_open.read_small(self._directory, *path.split("/"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class LayoutSink:
    """Stores an image in *directory* under *name*. The directory is made when the first blob comes."""

    holds_artifacts = True
    holds_indexes = True
    holds_sha512 = True
    wants_raw_layers = False
    wants_compressed_layers = False

    def __init__(self, directory: Path, name: Name, settings: Settings, *, first: bool = False) -> None:
        self._directory = directory
        self._name = name
        self._first = first
        self._settings = settings
        self._ingest = Ingest(directory)
        self._checked: dict[Digest, bool] = {}
        self._begun = False
        self._referrers = Referrers()

    @property
    def destination(self) -> str:
        return _spelt(self._directory, self._name)

    def has(self, blob: Descriptor) -> bool:
        """Whether *blob* is there and sound. Its bytes are read: a crash may have left a torn file of the right size,
        and reading it is never more work than sending it."""
        if (waiting := self._ingest.size(blob.digest)) is not None:
            return waiting == blob.size
        if blob.digest not in self._checked:
            self._checked[blob.digest] = self._sound(blob)
        return self._checked[blob.digest]

    def put(
        self, media_type: str, chunks: Iterable[bytes], *, digest: Digest | None = None, size: int | None = None
    ) -> Descriptor:
        if not self._begun:
            self._images()  # what cannot be added to is refused before the first byte
            self._begun = True
        received = Received(self._referrers.noting(media_type, chunks, digest), digest, size)
        self._ingest.take(received, size)
        stored = received.descriptor(media_type)
        self._checked[stored.digest] = True
        return stored

    def publish(self, manifest: Descriptor, variants: Variants = NO_VARIANTS) -> None:
        if self._name.digest not in (None, manifest.digest):
            raise DigestMismatch(self._name.digest, manifest.digest, "the manifest")
        if not self.has(manifest):
            raise NotFound(f"{self.destination}: manifest {manifest.digest} has not been put there")
        with exclusive(self._directory, self._settings.timeout):
            beside = [entry for entry, _ in self._referrers.beside(manifest.digest)]
            own = {manifest.digest, *(entry.digest for entry in (*beside, *variants.values()))}
            others = [entry for entry in self._images() if entry.digest not in own]
            index = self._read(INDEX) if self._has(INDEX) else None
            changed = with_image(index, manifest, self._name.text, beside, variants, first=self._first)
            self._ingest.settle()
            if not self._has(MARKER):
                _replace(self._directory / MARKER, MARKER_TEXT)
            _replace(self._directory / INDEX, changed)
        if others and not self._name.text:
            self._settings.reporter.warned(
                f"{self._directory} holds other images: this one is oci:{self._directory}:@{manifest.digest}"
            )

    def _images(self) -> tuple[Descriptor, ...]:
        try:
            return images(self._read, self.destination)
        except NotFound:
            return ()

    def _read(self, path: str) -> bytes:
        return safe_open.read_small(self._directory, *path.split("/"))

    def _has(self, path: str) -> bool:
        with local_errors(self._directory):
            return (self._directory / path).exists()

    def _sound(self, blob: Descriptor) -> bool:
        try:
            with safe_open.opened(self._directory, *blob_path(blob.digest).split("/")) as descriptor:
                if os.fstat(descriptor).st_size != blob.size:
                    return False
                hasher = blob.digest.hasher()
                for block in safe_open.between(descriptor, 0, blob.size):
                    hasher.update(block)
                return hasher.hexdigest() == blob.digest.hex
        except (NotFound, FormatError):
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ingest.close()


def _spelt(directory: Path, name: Name) -> str:
    text = str(name)
    return f"oci:{directory}:{text}" if text else f"oci:{directory}"


def _replace(path: Path, content: bytes) -> None:
    with replacing(path) as file:
        file.write(content)
