"""All images of an OCI image layout, in a directory (`oci:`) or in a tar archive (`oci-archive:`).

Names are added and removed under the lock of the directory. Blobs to be deleted are listed in a file (`pending`) before
index.json is changed, and deleted afterwards: if the process is killed in between, the layout is intact, and the next
deletion removes them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from eci_convert.errors import CannotHoldError, EciError, UsageError, one_line
from eci_convert.files.atomic import atomic_write
from eci_convert.files.locks import exclusive
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.progress import warn
from eci_convert.transports.base import CatalogEntry, Source
from eci_convert.transports.layout import kraftkit
from eci_convert.transports.layout.archive import OciArchiveSource
from eci_convert.transports.layout.directory import LayoutSource
from eci_convert.transports.layout.index import INDEX, Read, layout_entries
from eci_convert.transports.layout.index_entries import IndexEntries, Removed, entry_name
from eci_convert.transports.layout.pending import clear_pending, read_pending, write_pending
from eci_convert.transports.layout.reachable import mentioned_blobs, owned_blobs, referring_digests
from eci_convert.transports.layout.selector import ImageSelector, may_be_archive, split_path
from eci_convert.transports.settings import Settings
from eci_convert.transports.tar_store.reader import TarStore


def open_catalog(rest: str, settings: Settings) -> LayoutCatalog:
    """The layout of *rest*, `DIR[:NAME]`. Raises UsageError."""
    path, name = split_path(rest, os.path.isdir)
    return LayoutCatalog(Path(path), name, settings)


def open_archive_catalog(rest: str, settings: Settings) -> OciArchiveCatalog:
    """The archive of *rest*, `FILE[:NAME]`. Raises UsageError."""
    path, name = split_path(rest, may_be_archive)
    return OciArchiveCatalog(path, name, settings)


class LayoutCatalog:
    """The images in the layout *directory*; *name* is what the reference named."""

    def __init__(self, directory: Path, name: ImageSelector, settings: Settings) -> None:
        self._directory = directory
        self._settings = settings
        self._read: Read = kraftkit.reader(directory)
        self.name = str(name)

    @property
    def place(self) -> str:
        return f"oci:{self._directory}"

    def images(self) -> tuple[CatalogEntry, ...]:
        return catalog_entries(self._read, self.place)

    def open_image(self, entry: CatalogEntry) -> Source | None:
        return LayoutSource(self._directory, ImageSelector(digest=entry.digest))

    def tag(self, name: str, new: Sequence[str]) -> Digest:
        titles = [writable_name(title) for title in new]
        with self._changing() as entries:
            selected = entries.tag(ImageSelector.parse(name), titles)
            self._save(entries)
        return selected.digest

    def delete(self, names: Sequence[str], *, all_tags: bool = False) -> tuple[CatalogEntry, ...]:
        selectors = [ImageSelector.parse(name) for name in names]
        if not all(map(str, selectors)):
            raise UsageError(f"{self.place}: no image name: write {self.place}:NAME")
        with self._changing() as entries:
            before = entries.descriptors
            removed = entries.remove(selectors, all_tags=all_tags)
            gone = {entry.digest for entry in before} - {entry.digest for entry in entries.descriptors}
            unreferred = referring_digests(self._read, entries.descriptors, gone)
            entries.drop(unreferred)
            to_delete = [entry for entry in before if entry.digest in gone | unreferred]
            self._collect(entries, to_delete)
        return _as_catalog(removed)

    @contextmanager
    def _changing(self) -> Iterator[IndexEntries]:
        """The index, to be changed in the block, under the lock that every eci-convert process takes for that."""
        layout_entries(self._read, self.place)  # also refuses a layout of another version
        if kraftkit.is_store(self._directory):
            raise CannotHoldError(f"{self.place} is a store of KraftKit's, which is read only")
        with exclusive(self._directory, self._settings.timeout):
            yield IndexEntries(self._read(INDEX), self.place)

    def _save(self, entries: IndexEntries) -> None:
        text = entries.to_json()
        if self._settings.dry_run:
            return
        with atomic_write(self._directory / INDEX) as file:
            file.write(text)

    def _collect(self, entries: IndexEntries, to_delete: Sequence[Descriptor]) -> None:
        """Saves *entries*, then removes the blobs of *to_delete* that are no longer referenced."""
        candidates = owned_blobs(self._read, to_delete) | read_pending(self._directory)
        try:
            candidates -= mentioned_blobs(self._read, entries.descriptors)
        except EciError as error:
            warn(self._settings.reporter, f"{self.place}: no blobs are removed: {one_line(error)}")
            self._save(entries)
            return
        if candidates and not self._settings.dry_run:
            write_pending(self._directory, candidates)
        self._save(entries)
        if self._settings.dry_run:
            return
        _remove_blobs(self._directory, candidates)
        clear_pending(self._directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class OciArchiveCatalog:
    """The images in the archive at *path*, which is read only: an archive is written once."""

    def __init__(self, path: str, name: ImageSelector, settings: Settings) -> None:
        self._archive = TarStore(path, settings.environ)
        self._source = OciArchiveSource(self._archive, name)
        self.place = f"oci-archive:{path}"
        self.name = str(name)

    def images(self) -> tuple[CatalogEntry, ...]:
        self._archive.check()
        return catalog_entries(self._source.read, self.place)

    def open_image(self, entry: CatalogEntry) -> Source | None:
        return OciArchiveSource(self._archive, ImageSelector(digest=entry.digest), self.place)

    def tag(self, name: str, new: Sequence[str]) -> Digest:
        raise written_once_error(self.place)

    def delete(self, names: Sequence[str], *, all_tags: bool = False) -> tuple[CatalogEntry, ...]:
        raise written_once_error(self.place)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()


def written_once_error(place: str) -> CannotHoldError:
    """The error for an attempt to change an archive."""
    error = CannotHoldError(f"{place}: an archive is written once and cannot be changed")
    error.add_note("hint: copy the image under its new name to a layout (oci:DIR) or a new archive")
    return error


def writable_name(text: str) -> str:
    """*text*, if it is a valid name for an image in a layout. Raises UsageError."""
    name = ImageSelector.parse(text).writable()
    if name.digest or not name.text:
        raise UsageError(f"{text!r} is not an image name")
    return name.text


def catalog_entries(read: Read, place: str) -> tuple[CatalogEntry, ...]:
    """The entries of a layout: each name once, and each image that has no name in any entry once."""
    entries = layout_entries(read, place)
    named = {entry.digest for entry in entries if entry_name(entry)}
    listed = {(entry_name(entry), entry.digest): None for entry in entries}
    return tuple(CatalogEntry(name=name, digest=digest) for name, digest in listed if name or digest not in named)


def _as_catalog(removed: Removed) -> tuple[CatalogEntry, ...]:
    return tuple(CatalogEntry(name=name, digest=entry.digest) for name, entry in removed)


def _remove_blobs(directory: Path, digests: Iterable[Digest]) -> None:
    """Deletes the blobs without following links. Missing blobs and errors of the operating system are ignored."""
    for algorithm in ("sha256", "sha512"):
        try:
            descriptor = _open_below(directory, "blobs", algorithm)
        except OSError:
            continue
        try:
            for digest in digests:
                if digest.algorithm == algorithm:
                    with suppress(OSError):
                        os.unlink(digest.hex, dir_fd=descriptor)
        finally:
            os.close(descriptor)


def _open_below(directory: Path, *names: str) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    descriptor = os.open(directory, flags)
    for name in names:
        try:
            below = os.open(name, flags | os.O_NOFOLLOW, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = below
    return descriptor
