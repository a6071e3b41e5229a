"""Packs parts of another image while reading it: each blob of that image is read once.

Nothing is spooled: a layer's header tells a file's size before its bytes come, and that is all an archive needs to
know. The verdict on a blob of the other image comes after what was made of it is stored, and before it has a name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from eci_convert.compression.codec import Compression, decompressed
from eci_convert.dialects.blueprint import Recipe, StoredBlob
from eci_convert.errors import FormatError, MissingPartError
from eci_convert.model import Blob, Member, RootfsFile
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.image import ImageMetadata
from eci_convert.pack.blob_writer import BlobWriter
from eci_convert.reading import blobs, files
from eci_convert.reading.blobs import open_blob
from eci_convert.reading.files import read_files
from eci_convert.reading.resume import PartialDownloads
from eci_convert.streams.repeatable import retry_lost_uploads
from eci_convert.transports.base import Source, is_available


class ImageParts:
    """From the *image* that *source* names, through *writer*."""

    def __init__(
        self, source: Source, image: ImageMetadata, writer: BlobWriter, downloads: PartialDownloads | None = None
    ) -> None:
        self._downloads = downloads
        self._source = source
        self._image = image
        self._writer = writer

    def read_all(self, recipes: dict[int, Recipe]) -> dict[int, StoredBlob]:
        """What became of each of *recipes*, all of whose parts are in the image, by its number."""
        stored: dict[int, StoredBlob] = {}
        members: dict[Descriptor, dict[int, Recipe]] = {}
        paths: dict[int, Recipe] = {}
        for number, recipe in recipes.items():
            match recipe.part.locator:
                case Blob() as blob:
                    stored[number] = self._blob(recipe, blob)
                case Member(descriptor=layer):
                    members.setdefault(replace(layer, annotations={}), {})[number] = recipe
                case RootfsFile():
                    paths[number] = recipe
        for layer, recipes_of_layer in members.items():
            stored |= self._members(layer, recipes_of_layer)
        return stored | self._files(paths)

    def _blob(self, recipe: Recipe, blob: Blob) -> StoredBlob:
        blobs.check_readable(blob.descriptor)
        if not recipe.entry and recipe.compression == blob.compression:
            return self._verbatim(recipe, blob.descriptor)
        size = blob.size if blob.size is not None else self._size(blob)

        def copy() -> StoredBlob:
            with self._content(blob) as chunks:
                return self._writer.write_passing(recipe, size, _exactly(chunks, size, blob))

        return retry_lost_uploads(copy)

    def _verbatim(self, recipe: Recipe, blob: Descriptor) -> StoredBlob:
        self._writer.check_size(recipe, blob.size)
        mounted = is_available(self._source, self._writer.sink, blob)
        if mounted and not recipe.with_disk_type:
            return self._writer.reused(recipe, blob)

        def copy() -> StoredBlob:
            with open_blob(self._source, blob, self._writer.reporter, self._downloads) as chunks:
                return self._writer.verbatim(recipe, blob, chunks, send=not mounted)

        return retry_lost_uploads(copy)

    def _size(self, blob: Blob) -> int:
        """How long the file is that *blob* holds. A compressed one that does not say is read an extra time for it."""
        if not blob.compression:
            return blob.descriptor.size
        with self._content(blob) as chunks:
            return sum(map(len, chunks))

    @contextmanager
    def _content(self, blob: Blob) -> Iterator[Iterator[bytes]]:
        with open_blob(self._source, blob.descriptor, downloads=self._downloads) as chunks:
            yield decompressed(chunks, Compression(blob.compression or "none"))

    def _members(self, layer: Descriptor, recipes: dict[int, Recipe]) -> dict[int, StoredBlob]:
        or_whole_blob = all(
            isinstance(each.part.locator, Member) and each.part.locator.or_whole_blob for each in recipes.values()
        )

        def read_pass(paths: Collection[str], consumer: _Consumer) -> None:
            files.in_archive(
                self._source, layer, paths, consumer, or_whole_blob=or_whole_blob, reporter=self._writer.reporter,
                downloads=self._downloads,
            )  # fmt: skip

        return self._collect(recipes, read_pass)

    def _files(self, recipes: dict[int, Recipe]) -> dict[int, StoredBlob]:
        def read_pass(paths: Collection[str], consumer: _Consumer) -> None:
            read_files(
                self._source, self._image, paths, consumer, reporter=self._writer.reporter, downloads=self._downloads
            )

        return self._collect(recipes, read_pass)

    def _collect(
        self, recipes: dict[int, Recipe], read_pass: Callable[[Collection[str], _Consumer], None]
    ) -> dict[int, StoredBlob]:
        """What became of *recipes*. One pass does for all of them, unless one file is wanted in two archives."""
        stored: dict[int, StoredBlob] = {}
        while pending := {number: recipe for number, recipe in recipes.items() if number not in stored}:
            written = retry_lost_uploads(lambda: self._one_pass(pending, read_pass))
            if not written:
                raise MissingPartError(f"no file of {self._source.origin} was found where its parts should be")
            stored |= written
        return stored

    def _one_pass(
        self, pending: dict[int, Recipe], read_pass: Callable[[Collection[str], _Consumer], None]
    ) -> dict[int, StoredBlob]:
        consumer = _Consumer(self._writer, pending)
        read_pass({_path(recipe) for recipe in pending.values()}, consumer)
        return consumer.written


class _Consumer:
    """Receives files and writes the blob of each by its recipe."""

    can_retake = False

    def __init__(self, writer: BlobWriter, recipes: dict[int, Recipe]) -> None:
        self.written: dict[int, StoredBlob] = {}
        self._writer = writer
        self._recipes = recipes

    def take(self, paths: tuple[str, ...], size: int, chunks: Iterator[bytes]) -> None:
        """Makes a blob of the file that *paths* are, and counts it for all recipes that would make the same."""
        matching = {number: recipe for number, recipe in self._recipes.items() if _path(recipe) in paths}
        first, *rest = matching
        made = self._writer.write_passing(matching[first], size, chunks)
        self.written[first] = made
        for number in rest:
            if _is_plain(matching[number]) and _is_plain(matching[first]):
                self.written[number] = self._writer.reused(matching[number], made.descriptor)


def _exactly(chunks: Iterable[bytes], size: int, blob: Blob) -> Iterator[bytes]:
    """*chunks*, checked to be *size* bytes, as declared by the image. Raises FormatError if they are not."""
    seen = 0
    for chunk in chunks:
        seen += len(chunk)
        if seen > size:
            break
        yield chunk
    if seen != size:
        raise FormatError(
            f"blob {blob.descriptor.digest.short} holds {'more' if seen > size else 'fewer'} than {size} bytes"
        )


def _path(recipe: Recipe) -> str:
    locator = recipe.part.locator
    return locator.path if isinstance(locator, (Member, RootfsFile)) else ""


def _is_plain(recipe: Recipe) -> bool:
    return not (recipe.entry or recipe.compression or recipe.with_disk_type)
