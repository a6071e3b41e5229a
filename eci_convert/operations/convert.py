"""An image read in one dialect and written in another."""

from __future__ import annotations

from dataclasses import replace

from eci_convert import dialects
from eci_convert.compression.codec import Codec
from eci_convert.dialects import read_with, writer
from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.dialects.container_images import unikraft
from eci_convert.oci.image import Image
from eci_convert.oci.index import Index, candidates
from eci_convert.oci.manifest import Manifest
from eci_convert.oci.platform import Platform
from eci_convert.pack.preflight import cannot_hold
from eci_convert.pack.result import PushResult
from eci_convert.progress import Reporter
from eci_convert.reading.images import Documents, flatten_index, load_root, right_sized, select_image
from eci_convert.reading.manifests import chosen
from eci_convert.reading.resume import PartialDownloads
from eci_convert.transports.base import Sink, Source


class ImageConverter:
    """Images are read in their dialect and written in another."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        format: str,
        dialect: str,
        terms: WriteOptions | None,
        codec: Codec | None,
        max_size: int | None,
        reporter: Reporter,
        concurrency: int,
        dry_run: bool,
        journal: PartialDownloads | None,
    ) -> None:
        self._journal = journal
        self._source, self._sink = source, sink
        self._format, self._dialect = format, dialect
        self._terms, self._codec, self._max_size = terms, codec, max_size
        self._reporter, self._concurrency, self._dry_run = reporter, concurrency, dry_run
        self._index: Index | None = None

    def run(self, index: Index | None, images: list[Image]) -> PushResult:
        self._index = index
        if len(images) > 1 and not self._sink.holds_indexes:
            raise cannot_hold(self._sink, "an index of several images", "choose one image with --platform OS/ARCH")
        packed = [self._one(image, publish=len(images) == 1) for image in images]
        if len(packed) == 1:
            return packed[0]
        from eci_convert.pack.image import join_into_index

        return join_into_index(packed, self._sink, dry_run=self._dry_run)

    def _one(self, image: Image, *, publish: bool) -> PushResult:
        from eci_convert.pack.image import pack

        name, artifact = read_with(self._dialect, image) if self._dialect else dialects.read(image)
        terms = self._terms_for(image)
        if name == dialects.READ_AS.get(self._format, self._format):
            terms = replace(terms, original=image, original_index=self._index)
        blueprint = writer(self._format)(artifact, terms)
        return pack(
            blueprint,
            self._sink,
            origin=self._source,
            image=image,
            codec=self._codec or Codec.parse("gzip"),
            max_size=self._max_size,
            reporter=self._reporter,
            concurrency=self._concurrency,
            publish=publish,
            dry_run=self._dry_run,
            journal=self._journal,
        )

    def _terms_for(self, image: Image) -> WriteOptions:
        platform = image.platform or Platform(os="linux", architecture="amd64")
        return replace(self._terms, platform=platform) if self._terms else WriteOptions(platform=platform)


def images_to_convert(
    source: Source, platform: Platform | None, reporter: Reporter, *, everything: bool, whole_package: bool
) -> tuple[Index | None, list[Image]]:
    """The images to write again, and the index that they are in: all of a *whole_package* of KraftKit's."""
    descriptor, found = load_root(source)
    documents = Documents(source)
    if whole_package and not platform and isinstance(found, Index) and unikraft.is_package(found):
        everything = True
    if not everything and isinstance(found, Index):
        chosen(flatten_index(documents, found), platform, source.origin, reporter)
    index = found if isinstance(found, Index) else None
    if not everything or isinstance(found, Manifest):
        return index, [select_image(documents, descriptor, found, platform)]
    entries = candidates(flatten_index(documents, found))
    sized = [right_sized(source, entry) for entry in entries]
    return index, [select_image(documents, entry, documents.manifest(entry), platform) for entry in sized]
