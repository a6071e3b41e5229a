"""Verified blobs. Only this package calls `Source.fetch`, so nothing is used unverified.

Manifests and configs are buffered, verified, then parsed; other blobs are verified while they are read, to their last
byte.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain

from eci_convert import tar
from eci_convert.compression.codec import Compression, decompressed, detect_compression
from eci_convert.compression.head import decompressed_head
from eci_convert.errors import EciError, FormatError, IntegrityError, LimitExceededError, UnsupportedImageError
from eci_convert.oci import json_fields, media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.progress import NULL_REPORTER, RECEIVING, Reporter
from eci_convert.reading.resume import PartialDownload, PartialDownloads
from eci_convert.streams.blocks import peek_head
from eci_convert.streams.hashing import verified
from eci_convert.streams.threads import prefetched
from eci_convert.tar import TarEntry
from eci_convert.tar.header import TAR_BLOCK, parse_header
from eci_convert.tar.input import ByteReader, ExtensionBudget
from eci_convert.tasks import Task
from eci_convert.transports.base import Source

DECRYPT_HINT = "decrypt the image with skopeo copy --decryption-key"

_SMALL = 1 << 20


TarInputFactory = Callable[[Iterable[bytes]], Iterable[bytes] | ByteReader]


@contextmanager
def open_blob(
    source: Source,
    blob: Descriptor,
    reporter: Reporter = NULL_REPORTER,
    downloads: PartialDownloads | None = None,
    phase: str = RECEIVING,
) -> Iterator[Iterator[bytes]]:
    """The bytes of *blob*, for use inside the block; leaving it without an error reads the rest and completes the
    verification. Raises SizeMismatchError, DigestMismatchError, and what the source raises.

    If the block raises FormatError, verification is completed too, so that a digest mismatch, if any, is reported
    instead. Large blobs are received and hashed by a thread. *downloads* keeps received data of slow downloads for the
    next run. *phase* is the phase reported to *reporter*.
    """
    try:
        with Task(reporter, blob_name(blob), blob.size) as task, _fetched(source, blob, downloads) as received:
            task.enter(phase, blob.size)
            verdict: list[IntegrityError] = []
            checked = _attribute_errors(verified(task.counted(received), blob.digest, blob.size), source, blob, verdict)
            with prefetched(checked) if blob.size > _SMALL else nullcontext(checked) as running:
                # An iterator without close: a stage that ends early cannot end the verification.
                chunks = chain(running)
                try:
                    yield chunks
                except FormatError:
                    deque(chunks, maxlen=0)
                    if verdict:  # another thread has read it to the end
                        raise verdict[0] from None
                    raise
                deque(chunks, maxlen=0)
    except IntegrityError as error:
        if downloads and downloads.discard(blob):
            error.add_note(
                "hint: data from an earlier run may have been corrupt; it was deleted: run the command again"
            )
        raise


def blob_name(blob: Descriptor) -> str:
    """The name of *blob* in progress and messages: its title, else its short digest."""
    return blob.annotations.get("org.opencontainers.image.title") or blob.digest.short


def begins_as(source: Source, blob: Descriptor) -> Compression | None:
    """The compression detected from the first bytes of *blob*, unverified; None if it cannot be read. For warnings
    only."""
    try:
        with source.fetch(blob) as chunks:
            return detect_compression(next(iter(chunks), b""))
    except EciError:
        return None


@contextmanager
def open_layer(
    source: Source,
    layer: Descriptor,
    reporter: Reporter = NULL_REPORTER,
    downloads: PartialDownloads | None = None,
    through: TarInputFactory = iter,
    budget: ExtensionBudget | None = None,
) -> Iterator[Iterator[TarEntry]]:
    """The members of the tar archive in *layer*, compressed or not, for use inside the block.

    Leaving it without an error reads the rest and completes the verification of the blob. Raises as `open_blob` and
    `check_readable`, and CorruptStreamError and LimitExceededError for malformed archives.
    """
    check_readable(layer)
    with open_blob(source, layer, reporter, downloads) as chunks, read_members(chunks, through, budget) as entries:
        yield entries


def check_readable(blob: Descriptor) -> None:
    """Raises UnsupportedImageError if *blob* is encrypted."""
    if media_types.is_encrypted(blob.media_type):
        error = UnsupportedImageError(
            f"{blob.digest.short} is encrypted, which is not supported: it is {blob.media_type!r}"
        )
        error.add_note(f"hint: {DECRYPT_HINT}")
        raise error


@contextmanager
def read_members(
    chunks: Iterator[bytes], through: TarInputFactory = iter, budget: ExtensionBudget | None = None
) -> Iterator[Iterator[TarEntry]]:
    """The members of the tar archive in *chunks*, compressed or not. A thread decompresses it.

    The archive is passed *through* a stage of the caller. *budget* limits extension headers of several archives.
    """
    head, chunks = peek_head(chunks)
    compression = detect_compression(head)
    unwrapped = decompressed(chunks, compression)
    with nullcontext(unwrapped) if compression is Compression.NONE else prefetched(unwrapped) as unwrapped:
        entries = tar.entries(through(unwrapped), budget=budget)
        yield entries
        for _ in entries:
            pass


def load_document(source: Source, blob: Descriptor, what: str = "document") -> bytes:
    """The content of a manifest or config, verified. Raises LimitExceededError over 4 MiB, whatever size is
    declared."""
    if blob.size > json_fields.MAX_DOCUMENT:
        raise LimitExceededError(f"{blob.size} bytes (limit {json_fields.MAX_DOCUMENT})", where=what)
    with open_blob(source, blob) as chunks:
        return b"".join(chunks)


def _fetched(
    source: Source, blob: Descriptor, downloads: PartialDownloads | None
) -> AbstractContextManager[Iterable[bytes]]:
    """The unverified bytes: embedded in the descriptor, partially downloaded before, or from the source."""
    if blob.data is not None:
        return nullcontext((blob.data,))
    partial = downloads.partial(blob) if downloads and source.traits.resumable else None
    return nullcontext(_resumed(source, blob, partial)) if partial else source.fetch(blob)


def _resumed(source: Source, blob: Descriptor, partial: PartialDownload) -> Iterator[bytes]:
    """The part of *blob* that was downloaded before, then the rest."""
    yield from partial.chunks()
    if partial.size < blob.size:
        with source.fetch(blob, partial.size) as rest:
            yield from partial.append_while_slow(rest)


def _attribute_errors(
    chunks: Iterable[bytes], source: Source, blob: Descriptor, verdict: list[IntegrityError]
) -> Iterator[bytes]:
    """Attributes errors raised by *chunks* to the source.

    An error of *verdict* is recorded too: another thread than the one that needs it may read to the end.
    """
    try:
        yield from chunks
    except EciError as error:
        error.add_note(f"while reading {blob.digest.short} from {source.origin}")
        if isinstance(error, IntegrityError):
            verdict.append(error)
        raise


def is_tar_archive(head: bytes) -> bool:
    """Whether a blob that begins with *head* is a non-empty tar archive, compressed or not."""
    try:
        parse_header(decompressed_head(head, TAR_BLOCK).ljust(TAR_BLOCK, b"\0"))
    except FormatError:
        return False
    return True
