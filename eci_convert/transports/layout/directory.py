"""`oci:DIR[:NAME]`: an OCI image layout in a directory (image-spec v1.1.1, image-layout.md).

Reading creates nothing and follows no links below DIR. Writing keeps existing content: blobs are renamed into place
when all are complete, then index.json is read, changed and replaced under a lock on DIR.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from eci_convert.errors import (
    CannotHoldError,
    DigestMismatchError,
    FormatError,
    NotFoundError,
    SizeMismatchError,
    TransportError,
)
from eci_convert.files.atomic import atomic_write
from eci_convert.files.errors import local_errors
from eci_convert.files.locks import exclusive
from eci_convert.files.safe_open import open_regular, read_range, read_small_file
from eci_convert.files.temp_files import status_of
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import parse_manifest
from eci_convert.oci.referrers import ReferrerIndex
from eci_convert.progress import NULL_REPORTER, warn
from eci_convert.transports.base import (
    NO_VARIANTS,
    Catalog,
    ContainerFiles,
    SinkCapabilities,
    SourceTraits,
    Variants,
)
from eci_convert.transports.layout import kraftkit
from eci_convert.transports.layout.blob_staging import BlobStaging
from eci_convert.transports.layout.index import (
    INDEX,
    MARKER,
    MARKER_TEXT,
    add_image,
    blob_path,
    layout_entries,
    referrers,
    resolve_entry,
)
from eci_convert.transports.layout.pending import pending_blobs
from eci_convert.transports.layout.reachable import superseded_blobs
from eci_convert.transports.layout.selector import ImageSelector, split_path
from eci_convert.transports.settings import Settings
from eci_convert.transports.verified_input import VerifiedInput


def open_source(rest: str, settings: Settings) -> LayoutSource:
    """The image that *rest*, `DIR[:NAME]`, names. Raises UsageError."""
    path, name = split_path(rest, os.path.isdir)
    return LayoutSource(Path(path), name)


def open_sink(rest: str, settings: Settings, *, first: bool = False) -> LayoutSink:
    """The sink for *rest*, `DIR[:NAME]`; *first*: the image is listed before all others. Raises UsageError."""
    path, name = split_path(rest, os.path.isdir)
    return LayoutSink(Path(path), name.writable(), settings, first=first)


def open_referrer_sink(rest: str, settings: Settings) -> LayoutSink:
    """The sink for referrers of the image *rest*: listed without a name, without a warning about that."""
    path, _ = split_path(rest, os.path.isdir)
    return LayoutSink(Path(path), ImageSelector(), replace(settings, reporter=NULL_REPORTER))


def open_catalog(rest: str, settings: Settings) -> Catalog:
    """All images of the layout of *rest*, `DIR[:NAME]`. Raises UsageError."""
    from eci_convert.transports.layout import catalog

    return catalog.open_catalog(rest, settings)


class LayoutSource:
    """The image *name* in *directory*."""

    traits = SourceTraits()

    def __init__(self, directory: Path, name: ImageSelector) -> None:
        self._directory = directory
        self._name = name
        self._read = kraftkit.reader(directory)

    @property
    def origin(self) -> str:
        return _spelt(self._directory, self._name)

    def resolve(self) -> Descriptor:
        return resolve_entry(self._read, self._name, self.origin)

    @contextmanager
    def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterable[bytes]]:
        with open_regular(self._directory, *kraftkit.blob_components(self._directory, blob.digest)) as descriptor:
            size = os.fstat(descriptor).st_size
            if size != blob.size:
                raise SizeMismatchError(blob.size, size, f"{self.origin}: blob {blob.digest.short}")
            yield read_range(descriptor, skip, size)

    def filesystem(self) -> ContainerFiles | None:
        return None

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        return referrers(self._read, self.origin, subject)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class LayoutSink:
    """Writes an image, *name*, to *directory*, which is created with the first blob."""

    capabilities = SinkCapabilities()

    def __init__(self, directory: Path, name: ImageSelector, settings: Settings, *, first: bool = False) -> None:
        self._directory = directory
        self._name = name
        self._first = first
        self._settings = settings
        self._staging = BlobStaging(directory)
        self._checked: dict[Digest, bool] = {}
        self._index_checked = False
        self._referrers = ReferrerIndex()

    @property
    def destination(self) -> str:
        return _spelt(self._directory, self._name)

    def has(self, blob: Descriptor) -> bool:
        """Whether *blob* exists and is intact. Its content is read: after a crash a file may have the right size and
        wrong content, and reading it is never more work than sending it."""
        if (staged_size := self._staging.size(blob.digest)) is not None:
            return staged_size == blob.size
        if blob.digest not in self._checked:
            self._checked[blob.digest] = self._is_intact(blob)
        return self._checked[blob.digest]

    def put(
        self, media_type: str, chunks: Iterable[bytes], *, digest: Digest | None = None, size: int | None = None
    ) -> Descriptor:
        if not self._index_checked:
            if kraftkit.is_store(self._directory):
                raise CannotHoldError(f"{self._directory} is a store of KraftKit's, which is read only")
            self._images()  # refuse an invalid layout before the first byte
            self._index_checked = True
        received = VerifiedInput(self._referrers.record(media_type, chunks, digest), digest, size)
        self._staging.write(received, size)
        stored = received.descriptor(media_type)
        self._checked[stored.digest] = True
        return stored

    def publish(self, manifest: Descriptor, variants: Variants = NO_VARIANTS) -> None:
        if self._name.digest not in (None, manifest.digest):
            raise DigestMismatchError(self._name.digest, manifest.digest, "the manifest")
        if not self.has(manifest):
            raise NotFoundError(f"{self.destination}: manifest {manifest.digest} was not written")
        with exclusive(self._directory, self._settings.timeout):
            referrer_entries = [entry for entry, _ in self._referrers.others(manifest.digest)]
            own = {manifest.digest, *(entry.digest for entry in (*referrer_entries, *variants.values()))}
            before = self._images()
            others = [entry for entry in before if entry.digest not in own]
            index = self._read(INDEX) if self._has(INDEX) else None
            changed = add_image(index, manifest, self._name.text, referrer_entries, variants, first=self._first)
            self._staging.commit()
            self._check_kept()
            if not self._has(MARKER):
                _replace(self._directory / MARKER, MARKER_TEXT)
            with pending_blobs(self._directory, self._superseded(before, changed)):
                _replace(self._directory / INDEX, changed)
        if others and not self._name.text:
            warn(
                self._settings.reporter,
                f"{self._directory} contains other images: this one is oci:{self._directory}:@{manifest.digest}",
            )

    def _superseded(self, before: Iterable[Descriptor], index: bytes) -> set[Digest]:
        """The blobs of images that are not listed in the new *index* any more."""
        after = parse_manifest(index, media_types.OCI_INDEX, INDEX)
        return superseded_blobs(self._read, before, after.manifests if isinstance(after, Index) else ())

    def _check_kept(self) -> None:
        """Raises TransportError if a blob that existed, and therefore was not sent, has been removed."""
        for digest, intact in self._checked.items():
            if intact and not self._has(blob_path(digest)):
                error = TransportError(f"{self.destination}: another command has just removed blob {digest.short}")
                error.add_note("hint: run it again")
                raise error

    def _images(self) -> tuple[Descriptor, ...]:
        try:
            return layout_entries(self._read, self.destination)
        except NotFoundError:
            return ()

    def _read(self, path: str) -> bytes:
        return read_small_file(self._directory, *path.split("/"))

    def _has(self, path: str) -> bool:
        with local_errors(self._directory):
            return status_of(self._directory / path) is not None

    def _is_intact(self, blob: Descriptor) -> bool:
        try:
            with open_regular(self._directory, *blob_path(blob.digest).split("/")) as descriptor:
                if os.fstat(descriptor).st_size != blob.size:
                    return False
                hasher = blob.digest.hasher()
                for block in read_range(descriptor, 0, blob.size):
                    hasher.update(block)
                return hasher.hexdigest() == blob.digest.hex
        except (NotFoundError, FormatError):
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._staging.close()


def _spelt(directory: Path, name: ImageSelector) -> str:
    text = str(name)
    return f"oci:{directory}:{text}" if text else f"oci:{directory}"


def _replace(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)
