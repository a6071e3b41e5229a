"""An image moves between two places: every byte and digest kept, or said again in another dialect.

Whether the destination can hold what would come is decided before the first byte of a blob moves. A blob is read
once; a place that has it already is not sent it.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from eci_convert.compression.codec import Codec, Compression, compressed, detect_compression
from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.errors import (
    AccessDeniedError,
    IntegrityError,
    LimitExceededError,
    NotFoundError,
    TransportError,
    UsageError,
)
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.diff_ids import certainly_wrong, layers_by_diff_id
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import Image
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import Manifest, to_json
from eci_convert.oci.platform import Platform
from eci_convert.operations.convert import ImageConverter, images_to_convert
from eci_convert.pack.preflight import check_copy_fits, repair_command, warn_of_bundle
from eci_convert.pack.result import PushResult
from eci_convert.progress import COMPRESSING, NULL_REPORTER, Reporter, Reused, note, planned, warn
from eci_convert.reading.blobs import blob_name, open_blob
from eci_convert.reading.images import Documents, existing_image
from eci_convert.reading.manifests import Document, manifests_of, referrers_of
from eci_convert.reading.resume import PartialDownloads
from eci_convert.streams.blocks import peek
from eci_convert.streams.repeatable import retry_lost_uploads
from eci_convert.transports.base import Sink, Source, check_logins, lent

KEEP = "keep"


def copy(
    source: Source,
    sink: Sink,
    *,
    format: str = KEEP,
    platform: Platform | None = None,
    all_platforms: bool = False,
    referrers: bool = False,
    dialect: str = "",
    terms: WriteOptions | None = None,
    codec: Codec | None = None,
    before: Source | None = None,
    reporter: Reporter = NULL_REPORTER,
    max_size: int | None = None,
    concurrency: int = 1,
    dry_run: bool = False,
    journal: Path | None = None,
) -> PushResult:
    """Copies the image that *source* names to the name of *sink*, and says what stands there now.

    *format* "keep" preserves every byte and digest of the manifests, configs and blobs that are copied. With a *codec*
    layers that are not compressed are; without one, those that no manifest lists, as engines keep them, on their way to
    a registry, with gzip: configs stay, and image ids. *before* reads the image that the name of *sink* stands for now:
    what is in it is not compressed again. Any other *format* is the name of a row of `WRITERS`, whose layers
    are compressed with *codec*, or gzip. Of an index, the image for *platform* is copied, or with *all_platforms* every
    one; without both, an index that is one thing (of one entry, KraftKit's, a bundle) is kept whole. *referrers* takes
    along what refers to the image (signatures, SBOMs). *max_size* (bytes) bounds each part, or where images are kept
    each blob. *dry_run* moves nothing: the counts are of what would move. *journal* is a directory in which what
    arrives over a network is kept until all is done.

    Raises UsageError for contradictions, CannotHold before the first byte where the destination cannot hold the format,
    and what the two raise.
    """
    check_logins(source, sink)
    if all_platforms and platform:
        raise UsageError(f"the image for {platform} and all images of an index exclude each other")
    if referrers and format != KEEP:
        raise UsageError("--referrers needs --format keep: what refers to an image refers to its digest")
    if referrers and codec and codec.compression is not Compression.NONE:
        raise UsageError("--referrers needs every digest kept: leave --compression away")
    with PartialDownloads(journal, partial(warn, reporter)) if journal else nullcontext() as kept:
        if format != KEEP:
            said = ImageConverter(
                source, sink, format, dialect, terms, codec, max_size, reporter, concurrency, dry_run, kept
            )
            whole_package = format == "unikraft" and sink.holds_indexes
            return said.run(
                *images_to_convert(source, platform, reporter, everything=all_platforms, whole_package=whole_package)
            )
        if files := source.filesystem():
            source = files.full_image()
        documents = list(
            manifests_of(
                source, platform, everything=all_platforms, holds_indexes=sink.holds_indexes, reporter=reporter
            )
        )
        if referrers:
            documents[-1:-1] = referrers_of(source, documents)
        check(sink, source, documents, reporter, max_size)
        warn_of_bundle(source, documents[-1], reporter)
        press = layer_codec(codec, source, sink, referrers=referrers)
        there = existing_image(before) if press else None
        return BlobCopier(source, sink, reporter, concurrency, kept, press, there).copy_all(documents, dry_run=dry_run)


def check(sink: Sink, source: Source, documents: list[Document], reporter: Reporter, max_size: int | None) -> None:
    """Raises CannotHold, IntegrityError or LimitExceeded where *documents* cannot be moved to *sink* as they are."""
    check_copy_fits(sink, source, documents)
    _check_diff_ids(sink, source, documents, reporter)
    _check_sizes(documents, max_size)


def layer_codec(said: Codec | None, source: Source, sink: Sink, *, referrers: bool = False) -> Codec | None:
    """What to compress raw layers with where images are kept; None keeps them."""
    if said:
        return said if said.compression is not Compression.NONE else None
    return (
        Codec.parse("gzip") if source.synthetic_manifest and sink.prefers_compressed_layers and not referrers else None
    )


def _check_diff_ids(sink: Sink, source: Source, documents: list[Document], reporter: Reporter) -> None:
    """Raises IntegrityError where an engine is to get an image that it would not unpack; elsewhere it is told.

    The config of an image that nobody unpacks where it goes to is read for the mark of the original `eci` alone.
    """
    parsed = Documents(source)
    for document in documents:
        found = document.value
        if isinstance(found, Index) or found.config.media_type not in media_types.CONFIGS:
            continue
        if sink.holds_artifacts and found.schema_version == 2:
            continue
        if certainly_wrong(found, parsed.config(found.config)):
            wrong = "the diff ids of the image are wrong, so engines will not unpack it"
            if sink.holds_artifacts:
                warn(reporter, f"{wrong}: see verify --fix")
                continue
            error = IntegrityError(f"{sink.destination}: {wrong}")
            error.add_note(f"hint: {repair_command(source, sink)} writes it again with right ones")
            raise error


def _check_sizes(documents: list[Document], max_size: int | None) -> None:
    for blob in (blob for document in documents for blob in document.blobs):
        if max_size is not None and blob.size > max_size:
            raise LimitExceededError(f"blob {blob.digest.short} is larger than the limit of {max_size} bytes")


class BlobCopier:
    """From *source* to *sink*; *codec* is for layers that are not compressed yet, None keeps those too. *existing* is
    the image that the name of *sink* stands for now."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        reporter: Reporter,
        concurrency: int,
        journal: PartialDownloads | None,
        codec: Codec | None = None,
        existing: Image | None = None,
    ) -> None:
        self._journal = journal
        self._source = source
        self._sink = sink
        self._reporter = reporter
        self._concurrency = concurrency
        self._codec = None if sink.stores_layers_uncompressed else codec
        self._layers = layers_by_diff_id(existing) if self._codec else {}
        self._became: dict[Digest, Descriptor] = {}
        self._sizes: dict[Digest, int] = {}
        self._lock = threading.Lock()
        self._press = threading.Lock()
        self._written = self._reused = 0

    def copy_all(self, documents: list[Document], *, dry_run: bool) -> PushResult:
        """Moves what *documents* list, then themselves: the last is what the name is to stand for. *dry_run* counts
        what would be moved; what would be compressed is counted as it lies there."""
        return self.put(documents, dry_run=dry_run, publish=True)

    def put(self, documents: list[Document], *, dry_run: bool, publish: bool = False) -> PushResult:
        """The same, without a name for the last unless *publish*."""
        blobs = {blob.digest: blob for document in documents for blob in document.blobs}
        with planned(self._reporter, len(blobs), sum(blob.size for blob in blobs.values())):
            with ThreadPoolExecutor(self._concurrency) as pool:
                list(pool.map(lambda blob: self._blob(blob, dry_run=dry_run), blobs.values()))
            self._sizes = {document.descriptor.digest: len(document.text) for document in documents}
            moved = [self._rewrite_manifest(document) for document in documents]
            if not dry_run:
                self._put(moved, publish=publish)
        last = moved[-1]
        return PushResult(
            descriptor=last.descriptor,
            manifest=last.value,
            bytes_written=self._written + sum(len(document.text) for document in moved),
            bytes_reused=self._reused,
        )

    def _put(self, documents: list[Document], *, publish: bool) -> None:
        kinds = [document.descriptor.media_type or document.value.media_type for document in documents]
        try:
            for document, kind in zip(documents, kinds, strict=True):
                digest, size = document.descriptor.digest, len(document.text)
                self._sink.put(kind, iter((document.text,)), digest=digest, size=size)
            if publish:
                self._sink.publish(replace(documents[-1].descriptor, media_type=kinds[-1]))
        except (AccessDeniedError, NotFoundError):
            raise
        except TransportError as error:  # docker-registry 2.8 says 500 to it
            if any(document.value.schema_version != 2 for document in documents):
                repair = repair_command(self._source, self._sink)
                error.add_note(f"hint: its schemaVersion is not 2; {repair} writes it again as it should be")
            raise

    def _blob(self, blob: Descriptor, *, dry_run: bool) -> None:
        codec = self._codec if self._codec and media_types.is_raw_layer(blob.media_type) else None
        kind = media_types.compressed_type(blob.media_type, codec.compression) if codec else blob.media_type
        there = self._already_there(blob, kind) if codec else self._with_mount_hint(blob)
        if there:
            note(self._reporter, Reused(task=blob_name(blob), size=blob.size))
        if there or dry_run:
            return self._count((there or blob).size, written=not there)
        stored = retry_lost_uploads(
            lambda: self._copy_compressed(blob, kind, codec) if codec else self._copy_blob(blob)
        )
        return self._count(stored.size, written=True)

    def _with_mount_hint(self, blob: Descriptor) -> Descriptor | None:
        """*blob*, if the sink has it, or can have it without its being sent."""
        return blob if lent(self._source, self._sink, blob) else None

    def _already_there(self, blob: Descriptor, kind: str) -> Descriptor | None:
        """What an earlier copy made of the raw layer *blob*, if the sink still has it."""
        known = self._layers.get((blob.digest, kind))
        if known is None or not self._sink.has(known):
            return None
        self._became[blob.digest] = known
        return known

    def _copy_blob(self, blob: Descriptor) -> Descriptor:
        with open_blob(self._source, blob, self._reporter, self._journal) as chunks:
            return self._sink.put(blob.media_type, chunks, digest=blob.digest, size=blob.size)

    def _copy_compressed(self, blob: Descriptor, kind: str, codec: Codec) -> Descriptor:
        """The layer *blob*, compressed: one at a time, for it takes all cores. What is compressed, whatever its type
        says, is moved as it is."""
        with self._press, open_blob(self._source, blob, self._reporter, self._journal, COMPRESSING) as chunks:
            head, whole = peek(chunks)
            if detect_compression(head) is not Compression.NONE:
                return self._sink.put(blob.media_type, whole, digest=blob.digest, size=blob.size)
            stored = self._sink.put(kind, compressed(whole, codec))
        self._became[blob.digest] = replace(stored, media_type=kind)
        return stored

    def _rewrite_manifest(self, document: Document) -> Document:
        """*document* with what became of the blobs and manifests that it lists."""
        found = document.value
        if isinstance(found, Manifest):
            value: Manifest | Index = replace(found, layers=self._rewrite_all(found.layers))
        else:
            value = replace(found, manifests=self._rewrite_all(found.manifests))
        if value == found:
            return document
        if isinstance(value, Index):
            value = replace(value, manifests=tuple(map(self._right_sized, value.manifests)))
        text = to_json(value)
        descriptor = replace(document.descriptor, digest=Digest.of(text), size=len(text), data=None)
        self._became[document.descriptor.digest] = descriptor
        return Document(descriptor=descriptor, text=text, value=value)

    def _rewrite_all(self, listed: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
        return tuple(self._rewrite_descriptor(entry) for entry in listed)

    def _rewrite_descriptor(self, entry: Descriptor) -> Descriptor:
        became = self._became.get(entry.digest)
        if became is None:
            return entry
        return replace(entry, media_type=became.media_type, digest=became.digest, size=became.size, data=None, urls=())

    def _right_sized(self, entry: Descriptor) -> Descriptor:
        """*entry* with the size that its document has, whatever the index said: KraftKit's may lie."""
        return replace(entry, size=self._sizes.get(entry.digest, entry.size))

    def _count(self, size: int, *, written: bool) -> None:
        with self._lock:
            if written:
                self._written += size
            else:
                self._reused += size
