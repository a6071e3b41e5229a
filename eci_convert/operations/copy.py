"""Copies an image to another place: with every byte and digest, or converted to another dialect.

Whether the destination can hold what would come is decided before the first byte of a blob moves. A blob is read
once; a place that has it already is not sent it.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

from eci_convert.compression.codec import Codec, Compression, compressed, detect_compression
from eci_convert.errors import (
    AccessDeniedError,
    IntegrityError,
    LimitExceededError,
    NotFoundError,
    TransportError,
)
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.diff_ids import certainly_wrong, layers_by_diff_id
from eci_convert.oci.digest import Digest
from eci_convert.oci.image import ImageMetadata
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import Manifest, to_json
from eci_convert.operations.convert import convert_images
from eci_convert.operations.copy_request import KEEP, CopyRequest
from eci_convert.options import TransferOptions
from eci_convert.pack.preflight import check_copy_fits, repair_command, warn_of_bundle
from eci_convert.pack.result import PushResult
from eci_convert.progress import COMPRESSING, Reporter, Reused, note, planned, warn
from eci_convert.reading.blobs import blob_name, open_blob
from eci_convert.reading.images import Documents, existing_image
from eci_convert.reading.manifests import Document, manifests_of, referrers_of
from eci_convert.reading.resume import PartialDownloads
from eci_convert.streams.blocks import peek
from eci_convert.streams.repeatable import retry_lost_uploads
from eci_convert.transports.base import Sink, Source, check_logins, is_available

_AS_IT_IS = CopyRequest()
_DEFAULTS = TransferOptions()


def copy(
    source: Source,
    sink: Sink,
    request: CopyRequest = _AS_IT_IS,
    *,
    existing: Source | None = None,
    options: TransferOptions = _DEFAULTS,
) -> PushResult:
    """Copies what *request* asks for of the image that *source* names to the name of *sink*, and says what stands there
    now. *existing* reads the image that the name stands for now: what is in it is not compressed again, and
    what an earlier run made of the same image for the same name is not sent again.

    Raises UsageError for contradictions, CannotHoldError before the first byte where the destination cannot hold the
    format, and what the two raise.
    """
    check_logins(source, sink)
    request.check()
    if request.format != KEEP:
        return convert_images(source, sink, request, options, existing)
    directory, reporter = options.resume_directory, options.reporter
    keeping = PartialDownloads(directory, partial(warn, reporter)) if directory else nullcontext()
    with keeping as downloads:
        if files := source.filesystem():
            source = files.full_image()
        documents = list(
            manifests_of(
                source,
                request.platform,
                everything=request.all_platforms,
                holds_indexes=sink.capabilities.indexes,
                reporter=reporter,
            )
        )
        if request.referrers:
            documents[-1:-1] = referrers_of(source, documents)
        check_documents(sink, source, documents, options)
        warn_of_bundle(source, documents[-1], reporter)
        codec = layer_codec(request.codec, source, sink, referrers=request.referrers)
        image = existing_image(existing) if codec else None
        return BlobCopier(source, sink, options, downloads, codec, image).copy_all(documents)


def check_documents(sink: Sink, source: Source, documents: list[Document], options: TransferOptions) -> None:
    """Raises CannotHoldError, IntegrityError or LimitExceededError where *documents* cannot be moved to *sink* as they
    are."""
    check_copy_fits(sink, source, documents)
    _check_diff_ids(sink, source, documents, options.reporter)
    _check_sizes(documents, options.max_size)


def layer_codec(requested: Codec | None, source: Source, sink: Sink, *, referrers: bool = False) -> Codec | None:
    """What to compress raw layers with where images are kept; None keeps them."""
    if requested:
        return requested if requested.compression is not Compression.NONE else None
    worthwhile = source.traits.synthetic and sink.capabilities.prefers_compressed and not referrers
    return Codec.parse("gzip") if worthwhile else None


def _check_diff_ids(sink: Sink, source: Source, documents: list[Document], reporter: Reporter) -> None:
    """Raises IntegrityError if an engine would not unpack the image; in other places a warning is reported.

    The config of an image that nobody unpacks where it goes to is read for the mark of the original `eci` alone.
    """
    parsed = Documents(source)
    for document in documents:
        manifest = document.value
        if isinstance(manifest, Index) or manifest.config.media_type not in media_types.CONFIGS:
            continue
        if sink.capabilities.artifacts and manifest.schema_version == 2:
            continue
        if certainly_wrong(manifest, parsed.config(manifest.config)):
            wrong = "the diff ids of the image are wrong, so engines will not unpack it"
            if sink.capabilities.artifacts:
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
        options: TransferOptions,
        partial: PartialDownloads | None,
        codec: Codec | None = None,
        existing: ImageMetadata | None = None,
    ) -> None:
        self._partial = partial
        self._source = source
        self._sink = sink
        self._options = options
        self._codec = None if sink.capabilities.stores_uncompressed else codec
        self._layers = layers_by_diff_id(existing) if self._codec else {}
        self._became: dict[Digest, Descriptor] = {}
        self._sizes: dict[Digest, int] = {}
        self._lock = threading.Lock()
        self._press = threading.Lock()
        self._written = self._reused = 0

    def copy_all(self, documents: list[Document]) -> PushResult:
        """Moves what *documents* list, then themselves: the last is what the name is to stand for. A dry run
        counts what would be moved; what would be compressed is counted as it lies there."""
        return self.put(documents, publish=True)

    def put(self, documents: list[Document], *, publish: bool = False) -> PushResult:
        """The same, without a name for the last unless *publish*."""
        blobs = {blob.digest: blob for document in documents for blob in document.blobs}
        with planned(self._options.reporter, len(blobs), sum(blob.size for blob in blobs.values())):
            with ThreadPoolExecutor(self._options.concurrency) as pool:
                list(pool.map(self._blob, blobs.values()))
            self._sizes = {document.descriptor.digest: len(document.text) for document in documents}
            moved = [self._rewrite_manifest(document) for document in documents]
            if not self._options.dry_run:
                self._put(moved, publish=publish)
        last = moved[-1]
        return PushResult(
            descriptor=last.descriptor,
            manifest=last.value,
            bytes_sent=self._written + sum(len(document.text) for document in moved),
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
        except TransportError as error:  # docker-registry 2.8 responds 500
            if any(document.value.schema_version != 2 for document in documents):
                repair = repair_command(self._source, self._sink)
                error.add_note(f"hint: its schemaVersion is not 2; {repair} writes it again as it should be")
            raise

    def _blob(self, blob: Descriptor) -> None:
        codec = self._codec if self._codec and media_types.is_raw_layer(blob.media_type) else None
        kind = media_types.compressed_type(blob.media_type, codec.compression) if codec else blob.media_type
        existing = self._already_there(blob, kind) if codec else self._with_mount_hint(blob)
        if existing:
            note(self._options.reporter, Reused(task=blob_name(blob), size=blob.size))
        if existing or self._options.dry_run:
            return self._count((existing or blob).size, written=not existing)
        stored = retry_lost_uploads(
            lambda: self._copy_compressed(blob, kind, codec) if codec else self._copy_blob(blob)
        )
        return self._count(stored.size, written=True)

    def _with_mount_hint(self, blob: Descriptor) -> Descriptor | None:
        """*blob*, if the sink has it, or can have it without its being sent."""
        return blob if is_available(self._source, self._sink, blob) else None

    def _already_there(self, blob: Descriptor, kind: str) -> Descriptor | None:
        """The compressed layer that an earlier copy stored for the uncompressed *blob*, if the sink still has it."""
        remembered = self._layers.get((blob.digest, kind))
        if remembered is None or not self._sink.has(remembered):
            return None
        self._became[blob.digest] = remembered
        return remembered

    def _copy_blob(self, blob: Descriptor) -> Descriptor:
        with open_blob(self._source, blob, self._options.reporter, self._partial) as chunks:
            return self._sink.put(blob.media_type, chunks, digest=blob.digest, size=blob.size)

    def _copy_compressed(self, blob: Descriptor, kind: str, codec: Codec) -> Descriptor:
        """Copies the layer *blob* compressed; one at a time, since it takes all cores. Content that is compressed
        already, whatever its media type, is copied as it is."""
        with self._press, open_blob(self._source, blob, self._options.reporter, self._partial, COMPRESSING) as chunks:
            head, whole = peek(chunks)
            if detect_compression(head) is not Compression.NONE:
                return self._sink.put(blob.media_type, whole, digest=blob.digest, size=blob.size)
            stored = self._sink.put(kind, compressed(whole, codec))
        self._became[blob.digest] = replace(stored, media_type=kind)
        return stored

    def _rewrite_manifest(self, document: Document) -> Document:
        """*document* with what became of the blobs and manifests that it lists."""
        manifest = document.value
        if isinstance(manifest, Manifest):
            value: Manifest | Index = replace(manifest, layers=self._rewrite_all(manifest.layers))
        else:
            value = replace(manifest, manifests=self._rewrite_all(manifest.manifests))
        if value == manifest:
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
        """*entry* with the true size of its document, if the index has a wrong one, as those of KraftKit do."""
        return replace(entry, size=self._sizes.get(entry.digest, entry.size))

    def _count(self, size: int, *, written: bool) -> None:
        with self._lock:
            if written:
                self._written += size
            else:
                self._reused += size
